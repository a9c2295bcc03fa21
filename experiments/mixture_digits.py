"""Gaussian mixtures of the 8 x 8 digits of scikit-learn by full-batch EM: how many components, and
of what.

Run     python -m launch --exp mixture_digits
Smoke   python -m launch --exp mixture_digits --config.steps=2 --config.components=3 --config.sizes='(1, 2)'
        --config.fit=2
Small   python -m launch --exp mixture_digits --config.sizes='(1, 5, 10, 20)' --config.fit=20
Source  Dempster, Laird and Rubin 1977, "Maximum likelihood from incomplete data via the EM algorithm"; Schwarz 1978,
        "Estimating the dimension of a model", for the choice of the number of components
Ours    100 steps, 65 s in all on 2 CPU cores, most of it the 27 fits of `choice` (commit d8e2f2a): -45.13 nats a test
        digit; 91.9 % of test digits fall to a component named after them. BIC chooses 20 diagonal
        components; 20 full ones are 12 nats a test digit better, but have too many parameters for
        it
"""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from genjax.algorithms.mixture.covariances import diagonal, full, tied
from genjax.algorithms.mixture.mixture import bic, mixture, parameters
from genjax.data.derived import vectors
from genjax.data.images.sets import images
from genjax.probes.decoded import unit_images
from genjax.probes.figures import grid, render, tile, to_pixels
from genjax.training.train import Experiment, Probe

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
    train, test = data.train[0], data.test[0]
    probes = {
        'components': Probe(config.steps, means),
        'samples': Probe(
            config.steps, grid(lambda key, state, n: VIEW(algorithm.sample(key, state, n)), n=64)
        ),
        'labels': Probe(config.steps, labels(algorithm.encode, train, test)),
        'choice': Probe(config.steps, choice(config.sizes, config.floor, config.fit, train, test)),
    }
    return Experiment(algorithm, data, probes)


def means(key, state):
    """The means of the components as images, the heaviest first."""
    order = np.argsort(-np.asarray(state.mixture.log_weights))
    return {'means': tile(to_pixels(VIEW(np.asarray(state.mixture.means)[order])), columns=10)}


def labels(encode, train, test):
    """Which digits a component answers for: the mean responsibilities for each digit of the test
    set.

    A component is named by the digit that it has most of in training; 'purity' is the share of test
    digits whose heaviest component has their name.
    """
    from matplotlib.figure import Figure

    compiled = jax.jit(encode)

    def measure(key, state):
        of = lambda batch: (
            np.asarray(jax.nn.one_hot(batch['label'], 10)).T
            @ np.asarray(compiled(key, state, batch))
        )
        names = of(train).argmax(0)  # [K]
        purity = np.mean(names[np.asarray(compiled(key, state, test)).argmax(1)] == test['label'])
        order = np.argsort(names, stable=True)
        shares = (of(test) / np.bincount(test['label'], minlength=10)[:, None])[:, order]
        figure = Figure((9, 4.5), 100, layout='tight')
        axes = figure.add_subplot(xlabel='component, by the digit it has most of', ylabel='digit')
        picture = axes.imshow(shares, vmin=0, vmax=1, cmap='viridis', aspect='auto')
        axes.set(xticks=range(len(names)), xticklabels=names[order], yticks=range(10))
        figure.colorbar(picture, label='mean responsibility')
        return {'purity': purity, 'responsibilities': render(figure)}

    return measure


def choice(sizes, floor, steps, train, test):
    """For each structure and number of components: BIC, from the training set alone, and -log p of
    the test set."""
    from matplotlib.figure import Figure

    if not (sizes and 1 <= min(sizes) <= max(sizes) <= len(train['x']) and steps >= 1):
        most = len(train['x'])
        raise ValueError(
            f'sizes are {tuple(sizes)}, fit is {steps}; needed: 1 to {most} components, 1 step or more'
        )

    def fitted(key, family, components):
        algorithm = mixture(components, covariance=family, floor=floor)
        step = lambda i, state: algorithm.update(key, state, train)[0]
        state = jax.lax.fori_loop(0, steps, step, algorithm.init(key, train))
        return [jnp.mean(algorithm.evaluate(key, state, batch)['loss']) for batch in (train, test)]

    def measure(key, state):
        figure, rows, criteria = Figure((11, 4.5), 100, layout='tight'), [], []
        left, right = figure.subplots(1, 2)
        for (name, family), mark in zip(STRUCTURES.items(), 'os^', strict=True):
            nats = np.array(
                [jax.jit(fitted, static_argnums=(1, 2))(key, family, k) for k in sizes]
            )  # [sizes, 2]
            free = [parameters(family, k, train['x'].shape[1]) for k in sizes]
            criteria.append(
                [bic(n, p, len(train['x'])) for n, p in zip(nats[:, 0], free, strict=True)]
            )
            left.plot(sizes, criteria[-1], marker=mark, label=name)
            right.plot(sizes, nats[:, 1], marker=mark, label=name)
            best = np.argmin(criteria[-1])
            rows.append(
                {'covariance': name, 'components': sizes[best], 'BIC': f'{criteria[-1][best]:,.0f}'}
            )
            rows[-1] |= {
                'test nats': f'{nats[best, 1]:.2f}',
                'best test nats': f'{nats[:, 1].min():.2f}',
            }
        # Up to the worst single component: beyond it a structure has left the race.
        low, high = np.min(criteria), np.max(criteria, 0)[0]
        left.set(
            xlabel='components',
            ylabel='BIC (lower is better)',
            ylim=(low - (high - low) / 10, high),
        )
        right.set(xlabel='components', ylabel='-log p of a test digit, nats')
        left.legend()
        return {'curves': render(figure), 'chosen': rows}

    return measure
