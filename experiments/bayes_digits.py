"""Generative against discriminative: how many digits does a classifier need?

Run     python -m launch --exp bayes_digits
Smoke   python -m launch --exp bayes_digits --config.steps=2 --config.sizes=(1,3) --config.subsets=2
        --config.mixture.steps=2
Small   python -m launch --exp bayes_digits --config.subsets=4
Source  Ng and Jordan 2002, "On discriminative vs. generative classifiers": naive Bayes, p(x | y)
        p(y), comes to its error within few examples; logistic regression, p(y | x), needs more but
        ends lower; often the curves cross
Ours    38 s of processor time (commit d8e2f2a). Test errors in per cent, means of 10 subsets:
        examples                          10    20    50   100   500  1,400
        naive Bayes, shared variances   36.0  26.6  18.1  14.9  10.9   10.3
        logistic regression             35.4  23.6  15.8  12.1   5.8    4.3
        mixture a class                 36.0  24.2  14.6  11.4   4.2    3.7
        The pair ends as they say but does not cross: logistic regression, regularised or not, is as
        good from the first examples on. Mixtures, a richer generative model, end no worse than it;
        on 297 digits 0.6 is within chance. A Beta prior helps naive Bayes of black and white
        pixels, where data are few: 18.7 instead of 25.9 by maximum likelihood at 100 examples, 10.7
        and 10.9 at 1,400
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from genjax.algorithms.mixture import diagonal, mixture
from genjax.algorithms.naive_bayes import bernoulli, gaussian, naive_bayes
from genjax.data.derived import vectors
from genjax.data.images.sets import images
from genjax.probes.figures import render
from genjax.training import Experiment, Probe

CLASSES = 10
NAIVE = 'naive Bayes'
SHARED = 'naive Bayes, shared variances'
MIXTURES = 'mixture a class'
GENERATIVE = (NAIVE, SHARED, MIXTURES)
LOGISTIC = 'logistic regression'
COLOURS = (
    '#0072b2',
    '#d55e00',
    '#009e73',
    '#56b4e9',
    '#e69f00',
    '#cc79a7',
    '#000000',
    '#999999',
)
MARKS = 'osD^v<>X'


def get_config():
    config = dict(
        seed=0,
        steps=15,  # in which the 1,500 digits are read once
        batch=100,
        sizes=(1, 2, 5, 10, 20, 50, 100, 140),  # examples of each class to learn from
        subsets=10,  # drawn of each size
        # Of naive Bayes; like what follows, a round number that did well on training digits held
        # out
        smoothing=0.1,
        # Of one class; as many components as there are examples, where these are fewer
        mixture=dict(components=3, floor=0.03, steps=20),
        every=dict(log=1, evaluate=5, save=15),
    )
    return ConfigDict(config)


def build(config):
    def load(batch):
        return vectors(images('digits', batch=batch, size=8, seed=config.seed))

    data = load(config.batch)
    algorithm = naive_bayes(CLASSES, gaussian(config.smoothing))

    all_digits = load(1500)
    whole = jax.tree.map(np.asarray, all_digits.train[0])
    test = jax.tree.map(np.asarray, all_digits.test[0])
    rows = stratified(whole['label'], config.sizes, config.subsets, config.seed)
    learn = dict(whole=whole, test=test, rows=rows, sizes=config.sizes)
    probes = {
        'classifiers': Probe(config.steps, classifiers(algorithm, config, learn)),
        'estimates': Probe(config.steps, estimates(learn)),
    }
    return Experiment(algorithm, data, probes)


def stratified(label, sizes, subsets, seed):
    """Rows of examples, [subsets, largest size, C], of which no subset has one twice.

    The first k of a subset are k of each class.
    """
    most = max(sizes)
    fewest = np.bincount(label).min()
    if not 1 <= min(sizes) <= most <= fewest:
        raise ValueError(
            f'sizes is {tuple(sizes)}; of each class 1 to {fewest} examples can be drawn'
        )
    if not 1 <= subsets <= 1000:
        raise ValueError(f'subsets is {subsets}; it takes 1 to 1000')
    rng = np.random.default_rng(seed)

    def of_class(c):
        return rng.permutation(np.flatnonzero(label == c))[:most]

    def subset():
        return np.stack([of_class(c) for c in range(CLASSES)], -1)

    return np.stack([subset() for _ in range(subsets)])


def counting_errors(algorithm, whole, test, rows, sizes):
    """Test errors [sizes, subsets] of a model that counts; one pass over a subset has all sizes."""

    def of_subset(rows):
        blocks = jax.tree.map(lambda x: jnp.asarray(x)[rows], whole)  # [most, C, ...]
        state = algorithm.init(None, jax.tree.map(lambda x: x[0], blocks))

        def step(state, batch):
            state, _ = algorithm.update(None, state, batch)
            return state, state

        _, states = jax.lax.scan(step, state, blocks)
        at_sizes = jax.tree.map(lambda s: s[np.array(sizes) - 1], states)

        def error(state):
            return jnp.mean(algorithm.evaluate(None, state, test)['error'])

        return jax.vmap(error)(at_sizes)

    return np.asarray(jax.jit(jax.vmap(of_subset))(rows)).T


def mixture_errors(key, options, whole, test, rows, sizes):
    """Test errors [sizes, subsets] of a mixture a class.

    Each class has as many examples, so p(y) makes no difference.
    """

    def error(model, key, x):  # x [C, k, D]
        def fit(key, x):
            batch = {'x': x}

            def step(i, state):
                state, _ = model.update(key, state, batch)
                return state

            return jax.lax.fori_loop(0, options.steps, step, model.init(key, batch))

        states = jax.vmap(fit)(jax.random.split(key, CLASSES), x)
        nats = jax.vmap(lambda state: model.evaluate(key, state, test)['loss'])(states)  # [C, B]
        return jnp.mean(jnp.argmin(nats, 0) != test['label'])

    def of_size(k):
        model = mixture(min(options.components, k), covariance=diagonal, floor=options.floor)
        x = whole['x'][rows[:, :k].swapaxes(1, 2)]  # [subsets, C, k, D]
        keys = jax.random.split(jax.random.fold_in(key, k), len(rows))
        return np.asarray(jax.jit(jax.vmap(partial(error, model)))(keys, x))

    return np.stack([of_size(k) for k in sizes])


def discriminative():
    """scikit-learn's classifiers with its own settings, but for one neighbour in place of five.

    One is all that a single example of each class allows.
    """
    from sklearn.linear_model import LogisticRegression, Perceptron
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    return {
        LOGISTIC: LogisticRegression(max_iter=1000),
        'nearest neighbour': KNeighborsClassifier(1),
        'support vector machine': SVC(),
        'decision tree': DecisionTreeClassifier(random_state=0),
        'perceptron': Perceptron(random_state=0),
    }


def peer_errors(peer, whole, test, rows, sizes):
    """Test errors [sizes, subsets] of a classifier of scikit-learn."""
    from threadpoolctl import threadpool_limits

    def error(rows):
        peer.fit(whole['x'][rows], whole['label'][rows])
        return 1 - peer.score(test['x'], test['label'])

    with threadpool_limits(1):  # fits this small spend most of their time waiting for threads
        return np.array([[error(subset[:k].ravel()) for subset in rows] for k in sizes])


def classifiers(algorithm, config, learn):
    """Curves of both kinds; those of Ng and Jordan's pair alone; a table."""
    options = config.mixture
    # Refuses its settings before anything runs.
    mixture(options.components, covariance=diagonal, floor=options.floor)
    if options.steps < 1:
        raise ValueError(f'mixture.steps is {options.steps}; at least 1 is needed')
    sizes = learn['sizes']

    def measure(key, state):
        shared = naive_bayes(CLASSES, gaussian(config.smoothing, shared=True))
        errors = {
            NAIVE: counting_errors(algorithm, **learn),
            SHARED: counting_errors(shared, **learn),
            MIXTURES: mixture_errors(key, options, **learn),
        }
        for name, peer in discriminative().items():
            errors[name] = peer_errors(peer, **learn)

        pair = {name: errors[name] for name in (SHARED, LOGISTIC)}
        return {
            'curves': curves(errors, sizes, solid=GENERATIVE),
            'pair': curves(pair, sizes, solid=GENERATIVE),
            'errors': error_table(errors, sizes),
        }

    return measure


def estimates(learn):
    """Naive Bayes of black and white pixels, by maximum likelihood and under a uniform prior."""

    def binary(batch):
        return batch | {'x': (batch['x'] > 0.5).astype(np.float32)}

    black_and_white = learn | {'whole': binary(learn['whole']), 'test': binary(learn['test'])}
    sizes = learn['sizes']

    def errors_with(alpha):
        algorithm = naive_bayes(CLASSES, bernoulli(alpha), alpha=alpha)
        return counting_errors(algorithm, **black_and_white)

    def measure(key, state):
        errors = {
            'maximum likelihood': errors_with(0.0),
            'posterior mean, Beta(1, 1) prior': errors_with(1.0),
        }
        return {
            'curves': curves(errors, sizes, solid=list(errors)),
            'errors': error_table(errors, sizes),
        }

    return measure


def error_table(errors, sizes):
    """A row for each model: the test error in per cent, mean ± standard deviation over subsets."""
    table = []
    for name, values in errors.items():
        row = {'model': name}
        for k, of_subsets in zip(sizes, values, strict=True):
            mean = 100 * of_subsets.mean()
            deviation = 100 * of_subsets.std()
            row[str(k * CLASSES)] = f'{mean:.1f} ± {deviation:.1f}'
        table.append(row)
    return table


def curves(errors, sizes, solid):
    """Mean test errors over the number of examples, shaded by a standard deviation.

    Lines are solid and marks filled for the models that `solid` names, dashed and open for others.
    """
    from matplotlib.figure import Figure

    figure = Figure((9, 6), 100, layout='tight')
    axes = figure.add_subplot(
        xscale='log', yscale='log', xlabel='training examples', ylabel='test error, %'
    )
    examples = np.array(sizes) * CLASSES
    for (name, values), colour, mark in zip(errors.items(), COLOURS, MARKS, strict=False):
        mean = 100 * values.mean(1)
        deviation = 100 * values.std(1)
        style = dict(linestyle='--', markerfacecolor='white')
        if name in solid:
            style = dict(linestyle='-')
        axes.plot(examples, mean, marker=mark, color=colour, label=name, **style)
        low = np.maximum(mean - deviation, 0.1)
        axes.fill_between(examples, low, mean + deviation, color=colour, alpha=0.08, linewidth=0)

    axes.set_xticks(examples, [f'{n:,}' for n in examples])
    limits = axes.get_ylim()  # ticks beyond them would move them
    axes.set_yticks([2, 5, 10, 20, 50], ['2', '5', '10', '20', '50'])
    axes.set_ylim(limits)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9, handlelength=3.5)
    return render(figure)
