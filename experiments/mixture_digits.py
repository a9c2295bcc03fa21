"""Gaussian mixtures of scikit-learn's digits by EM: how many components, and of what covariance.

Run     python -m launch --exp mixture_digits
Smoke   python -m launch --exp mixture_digits --config.steps=2 --config.components=3
        --config.sizes='(1, 2)' --config.fit=2
Small   python -m launch --exp mixture_digits --config.sizes='(1, 5, 10, 20)' --config.fit=20
Source  Dempster, Laird and Rubin 1977, "Maximum likelihood from incomplete data via the EM
        algorithm"; Schwarz 1978, "Estimating the dimension of a model", for the choice of the
        number of components
Ours    100 steps, 65 s in all on 2 CPU cores, most of it the 27 fits of `choice` (commit d8e2f2a):
        -45.13 nats a test digit; 91.9 % of test digits fall to a component named after them. BIC
        chooses 20 diagonal components; 20 full ones are 12 nats a test digit better, but have too
        many parameters for it
"""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from genjax.algorithms.mixture import bic, diagonal, full, mixture, parameters, tied
from genjax.data.derived import vectors
from genjax.data.images.sets import images
from genjax.probes.decoded import unit_images
from genjax.probes.figures import grid, render, tile, to_pixels
from genjax.training import Experiment, Probe

VIEW = unit_images((8, 8, 1))
STRUCTURES = {'full': full, 'tied': tied, 'diagonal': diagonal}


def get_config():
    config = dict(
        seed=0,
        steps=100,
        batch=1500,  # all training digits: a step is one of EM proper
        components=20,
        # Of the variances of grey levels in [0, 1]; pixels in corners have none of their own
        floor=0.01,
        sizes=(1, 2, 5, 10, 15, 20, 30, 40, 60),  # numbers of components to choose from
        fit=50,  # steps of EM for each of these
        every=dict(log=10, evaluate=50, save=100),
    )
    return ConfigDict(config)


def build(config):
    data = vectors(images('digits', batch=config.batch, seed=config.seed, size=8))
    algorithm = mixture(config.components, covariance=full, floor=config.floor)
    train = data.train[0]
    test = data.test[0]

    def sample_images(key, state, n):
        return VIEW(algorithm.sample(key, state, n))

    probes = {
        'components': Probe(config.steps, means),
        'samples': Probe(config.steps, grid(sample_images, n=64)),
        'labels': Probe(config.steps, labels(algorithm.encode, train, test)),
        'choice': Probe(config.steps, choice(config.sizes, config.floor, config.fit, train, test)),
    }
    return Experiment(algorithm, data, probes, images=sample_images)


def means(key, state):
    """The means of the components as images, the heaviest first."""
    order = np.argsort(-np.asarray(state.mixture.log_weights))
    return {'means': tile(to_pixels(VIEW(np.asarray(state.mixture.means)[order])), columns=10)}


def labels(encode, train, test):
    """Which digits a component answers for: the mean responsibilities for each digit of the tests.

    A component is named by the digit that it has most of in training; 'purity' is the share of test
    digits whose heaviest component has their name.
    """
    from matplotlib.figure import Figure

    compiled = jax.jit(encode)

    def measure(key, state):
        def by_digit(batch):
            """The sums of responsibilities over the images of each digit, [10, K]."""
            digits = np.asarray(jax.nn.one_hot(batch['label'], 10))
            return digits.T @ np.asarray(compiled(key, state, batch))

        names = by_digit(train).argmax(0)  # [K]
        heaviest = np.asarray(compiled(key, state, test)).argmax(1)
        purity = np.mean(names[heaviest] == test['label'])

        order = np.argsort(names, stable=True)
        digits = np.bincount(test['label'], minlength=10)
        shares = (by_digit(test) / digits[:, None])[:, order]

        figure = Figure((9, 4.5), 100, layout='tight')
        axes = figure.add_subplot(xlabel='component, by the digit it has most of', ylabel='digit')
        picture = axes.imshow(shares, vmin=0, vmax=1, cmap='viridis', aspect='auto')
        axes.set(xticks=range(len(names)), xticklabels=names[order], yticks=range(10))
        figure.colorbar(picture, label='mean responsibility')
        return {'purity': purity, 'responsibilities': render(figure)}

    return measure


def choice(sizes, floor, steps, train, test):
    """BIC, from the training set alone, and -log p of the test set, by structure and components."""
    from matplotlib.figure import Figure

    examples = len(train['x'])
    if not (sizes and 1 <= min(sizes) <= max(sizes) <= examples and steps >= 1):
        raise ValueError(
            f'sizes are {tuple(sizes)}, fit is {steps}; '
            f'needed: 1 to {examples} components, 1 step or more'
        )

    def fit(key, covariance, components):
        """Nats a training and a test digit of a fitted mixture."""
        algorithm = mixture(components, covariance=covariance, floor=floor)

        def step(i, state):
            state, _ = algorithm.update(key, state, train)
            return state

        state = jax.lax.fori_loop(0, steps, step, algorithm.init(key, train))
        return [jnp.mean(algorithm.evaluate(key, state, batch)['loss']) for batch in (train, test)]

    compiled = jax.jit(fit, static_argnums=(1, 2))

    def measure(key, state):
        figure = Figure((11, 4.5), 100, layout='tight')
        left, right = figure.subplots(1, 2)
        table = []
        criteria = []
        for (name, covariance), mark in zip(STRUCTURES.items(), 'os^', strict=True):
            nats = np.array([compiled(key, covariance, k) for k in sizes])  # [sizes, 2]
            free = [parameters(covariance, k, train['x'].shape[1]) for k in sizes]
            criterion = [bic(n, p, examples) for n, p in zip(nats[:, 0], free, strict=True)]
            left.plot(sizes, criterion, marker=mark, label=name)
            right.plot(sizes, nats[:, 1], marker=mark, label=name)

            criteria.append(criterion)
            best = np.argmin(criterion)
            row = {
                'covariance': name,
                'components': sizes[best],
                'BIC': f'{criterion[best]:,.0f}',
                'test nats': f'{nats[best, 1]:.2f}',
                'best test nats': f'{nats[:, 1].min():.2f}',
            }
            table.append(row)

        # Up to the worst single component: beyond it a structure is out of the race.
        low = np.min(criteria)
        high = np.max(criteria, 0)[0]
        left.set(
            xlabel='components',
            ylabel='BIC (lower is better)',
            ylim=(low - (high - low) / 10, high),
        )
        right.set(xlabel='components', ylabel='-log p of a test digit, nats')
        left.legend()
        return {'curves': render(figure), 'chosen': table}

    return measure
