"""Naive Bayes against scikit-learn, integrals of Bayes' rule, closed forms and its own draws."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln
from scipy.stats import chisquare
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, GaussianNB, MultinomialNB

from genjax.algorithms.naive_bayes import (
    ClassMoments,
    bernoulli,
    categorical,
    gaussian,
    multinomial,
    naive_bayes,
    posterior_mean,
)
from genjax.base import Data, Resident
from genjax.data.derived import vectors
from genjax.data.images.sets import images
from genjax.training import (
    Every,
    Experiment,
    NonFinite,
    by_jit,
    by_pmap,
    evaluate,
    make_mesh,
    train,
)
from tests.marks import slow
from tests.trees import assert_trees_close, assert_trees_equal

KEY = jax.random.key(0)
FEATURES = {
    'gaussian': gaussian(1e-3),
    'shared': gaussian(1e-3, shared=True),
    'bernoulli': bernoulli(0.5),
    'categorical': categorical(6),
    'multinomial': multinomial(0.3, trials=40),
}
every_feature = pytest.mark.parametrize('name', FEATURES)


@cache
def rows(name, n=300, d=5, seed=0):
    """Three classes, of which the second is rare, in features that each kind of model allows."""
    rng = np.random.default_rng(seed)
    label = rng.choice(3, n, p=[0.5, 0.1, 0.4]).astype(np.int32)
    if name in ('gaussian', 'shared'):
        mean = rng.normal(size=(3, d))
        scale = rng.uniform(0.2, 2, (3, d))
        x = rng.normal(mean[label], scale[label])
    elif name == 'multinomial':
        p = rng.dirichlet(np.ones(d), 3)[label]  # [n, d]
        x = np.array([rng.multinomial(rng.integers(1, 30), row) for row in p])
    else:
        levels = 6 if name == 'categorical' else 2
        p = rng.dirichlet(np.ones(levels), (3, d))[label]  # [n, d, levels]
        x = (p.cumsum(-1) < rng.random((n, d, 1))).sum(-1)
    return {'x': x.astype(np.float32), 'label': label}


def counted(algorithm, *batches):
    """The state after some batches, and the metrics of the last."""
    state = algorithm.init(KEY, batches[0])
    update = jax.jit(algorithm.update)
    for batch in batches:
        state, metrics = update(KEY, state, batch)
    return state, metrics


def cut(batch, *places):
    """The parts of a batch between places."""
    ends = zip((0, *places), (*places, None), strict=True)
    return [{name: part[i:j] for name, part in batch.items()} for i, j in ends]


def run(algorithm, data, *, batch, devices=1, parallel=by_jit):
    """The state that the trainer ends with, after one pass over the data."""

    def make_batch(arrays, step):
        def rows(x):
            return jax.lax.dynamic_slice_in_dim(x, step * batch, batch)

        return jax.tree.map(rows, arrays)

    resident = Resident(jax.tree.map(jnp.asarray, data), make_batch)
    experiment = Experiment(algorithm, Data(resident, []), {})
    return train(
        experiment,
        seed=0,
        steps=len(data['x']) // batch,
        mesh=make_mesh(jax.devices()[:devices]),
        every=Every(1, 1000, 1000),
        parallel=parallel,
    )


PEERS = {
    'gaussian': (gaussian(1e-3), GaussianNB(var_smoothing=1e-3)),
    'gaussian, its floor': (gaussian(), GaussianNB()),
    'bernoulli': (bernoulli(0.5), BernoulliNB(alpha=0.5)),
    'bernoulli, barely smoothed': (bernoulli(1e-10), BernoulliNB(alpha=1e-10)),
    'multinomial': (multinomial(), MultinomialNB()),
    'categorical': (categorical(6, 2.0), CategoricalNB(alpha=2.0, min_categories=6)),
}


@pytest.mark.parametrize('name', PEERS)
def test_probabilities_are_those_of_scikit_learn(name):
    feature, peer = PEERS[name]
    data, test = rows(name.split(',')[0]), rows(name.split(',')[0], seed=1)
    algorithm = naive_bayes(3, feature)
    state, _ = counted(algorithm, *cut(data, 100, 200))
    peer.fit(data['x'].astype(np.float64), data['label'])
    joint = peer.predict_joint_log_proba(test['x'].astype(np.float64))  # [B, C]
    scale = np.abs(joint).max()  # the rounding of log p(y | x) is that of log p(x, y)
    found = jax.jit(algorithm.evaluate)(KEY, state, test)
    expected = peer.predict_log_proba(test['x'].astype(np.float64))
    code = algorithm.encode(KEY, state, test)
    np.testing.assert_allclose(code, expected, rtol=1e-5, atol=2e-6 * scale)
    own = np.arange(len(joint)), test['label']
    np.testing.assert_allclose(found['joint'], -joint[own], rtol=1e-5, atol=2e-6 * scale)
    np.testing.assert_allclose(found['loss'], -expected[own], rtol=1e-5, atol=2e-6 * scale)
    error = 1 - peer.score(test['x'], test['label'])
    assert found['error'].mean() == pytest.approx(error, abs=1e-6)


@pytest.mark.parametrize('name', PEERS)
def test_parameters_are_those_of_scikit_learn(name):
    feature, peer = PEERS[name]
    data = rows(name.split(',')[0])
    state, _ = counted(naive_bayes(3, feature), *cut(data, 100, 200))
    peer.fit(data['x'].astype(np.float64), data['label'])
    fitted = feature.fit(state.features)
    np.testing.assert_array_equal(state.classes, peer.class_count_)
    if name.startswith('gaussian'):
        mean, variance = fitted
        np.testing.assert_allclose(mean, peer.theta_, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(variance, peer.var_, rtol=1e-5)
        return
    if name == 'categorical':
        logs = np.stack(peer.feature_log_prob_, 1)
    elif name == 'multinomial':
        logs = np.asarray(peer.feature_log_prob_)[:, None]
    else:
        logs = np.asarray(peer.feature_log_prob_)
    if name.startswith('bernoulli'):
        fitted = fitted[..., 1]
    np.testing.assert_allclose(np.log(fitted), logs, rtol=2e-5, atol=2e-6)


def test_a_shared_variance_is_the_mean_of_the_classes_own_and_makes_log_odds_affine():
    data = rows('shared')
    feature = gaussian(1e-9, shared=True)
    algorithm = naive_bayes(3, feature)
    state, _ = counted(algorithm, *cut(data, 50))
    x = data['x'].astype(np.float64)
    label = data['label']
    mean = np.stack([x[label == c].mean(0) for c in range(3)])
    variance = ((x - mean[label]) ** 2).mean(0) + 1e-9 * x.var(0).max()
    fitted_mean, fitted_variance = feature.fit(state.features)
    np.testing.assert_allclose(fitted_mean, mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fitted_variance, np.broadcast_to(variance, (3, 5)), rtol=1e-5)

    weights = mean / variance  # of a multinomial logistic regression, beside a bias
    bias = np.log(np.bincount(label) / len(label)) - (mean**2 / variance).sum(1) / 2
    expected = jax.nn.log_softmax(jnp.asarray(x @ weights.T + bias, jnp.float32))
    np.testing.assert_allclose(algorithm.encode(KEY, state, data), expected, rtol=1e-4, atol=1e-4)


def assert_same_statistics(state, expected):
    """Sees that counts are equal, and moments close."""

    def counts(state):
        return [leaf for leaf in jax.tree.leaves(state) if leaf.dtype == jnp.uint32]

    assert_trees_equal(counts(state), counts(expected))
    assert_trees_close(state, expected, rtol=1e-5, atol=1e-6)


def about_zero(state):
    """Of moments the mean from 0, since the first batch is what gives the origin."""
    if not isinstance(state.features, ClassMoments):
        return state
    origin, count, mean, variance = state.features
    return state._replace(features=(count, origin[None] + mean, variance))


@every_feature
@pytest.mark.slow
def test_neither_the_order_of_the_examples_nor_their_batches_matter(name):
    data = rows(name)
    algorithm = naive_bayes(3, FEATURES[name])
    order = np.random.default_rng(2).permutation(300)
    whole, _ = counted(algorithm, data)
    parts, _ = counted(algorithm, *cut(jax.tree.map(lambda x: x[order], data), 1, 2, 151))
    assert_same_statistics(about_zero(parts), about_zero(whole))


@pytest.mark.parametrize('name', [slow('shared'), 'categorical'])
def test_the_devices_do_not_matter(name):
    data = rows(name, n=304)
    algorithm = naive_bayes(3, FEATURES[name])
    one = run(algorithm, data, batch=16)
    for parallel in (by_jit, by_pmap):
        assert_same_statistics(run(algorithm, data, batch=16, devices=8, parallel=parallel), one)


def test_moments_keep_their_digits_far_from_the_origin_and_over_many_batches():
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(2**18, 3)) * [1, 0.1, 10] + [1000, -30, 0]).astype(np.float32)
    label = rng.integers(0, 2, 2**18).astype(np.int32)
    feature = gaussian()

    @jax.jit
    def moments(x, label):
        def step(state, batch):
            return feature.add(state, *batch), None

        batches = label.reshape(-1, 64), x.reshape(-1, 64, 3)
        state, _ = jax.lax.scan(step, feature.init(2, 3), batches)
        return state

    state = moments(x, label)
    assert isinstance(state, ClassMoments)
    for c in range(2):
        own = x[label == c].astype(np.float64)
        np.testing.assert_allclose(state.variance[c], own.var(0), rtol=1e-5)
        mean = np.asarray(state.origin, np.float64) + np.asarray(state.mean[c], np.float64)
        np.testing.assert_allclose((mean - own.mean(0)) / own.std(0), 0, atol=1e-5)


def moment(p, order, power, other_power):
    """p^order times the posterior density of p, up to its constant."""
    return p ** (order + power) * (1 - p) ** other_power


def test_the_posterior_mean_is_the_integral_of_bayes_rule():
    a, b = 2.5, 0.7  # of a Beta prior over p(1)
    for zeros, ones in [(0, 0), (3, 1), (0, 7), (40, 2)]:
        powers = (a - 1 + ones, b - 1 + zeros)
        first, _ = quad(moment, 0, 1, (1, *powers))
        zeroth, _ = quad(moment, 0, 1, (0, *powers))
        expected = first / zeroth
        found = posterior_mean(jnp.array([zeros, ones], jnp.uint32), (b, a))
        assert float(found[1]) == pytest.approx(expected, rel=1e-5)


def test_maximum_likelihood_is_the_limit_of_small_pseudocounts():
    counts = jnp.array([[3, 0, 1], [0, 0, 0]], jnp.uint32)
    likeliest = np.asarray(posterior_mean(counts, 0.0))
    np.testing.assert_allclose(likeliest, [[0.75, 0, 0.25], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)
    gaps = [np.abs(posterior_mean(counts, alpha) - likeliest).max() for alpha in (1e-1, 1e-2, 1e-3)]
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.1)
    assert gaps[1] / gaps[2] == pytest.approx(10, rel=0.1)
    found = posterior_mean(counts, (1.0, 2.0, 1.0))
    np.testing.assert_allclose(found, [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])


def test_frequentist_and_bayesian_estimates_differ_most_where_data_are_few():
    """An event that never came: impossible by maximum likelihood, (n + 2)^-1 by Laplace's rule."""

    def never(n, alpha):
        return float(posterior_mean(jnp.array([n, 0], jnp.uint32), alpha)[1])

    assert [never(n, 0.0) for n in (1, 10, 1000)] == [0, 0, 0]
    assert [never(n, 1.0) for n in (1, 10, 1000)] == pytest.approx([1 / 3, 1 / 12, 1 / 1002])


def log_marginal(counts, alpha):
    """log of the probability of a sequence with these counts [..., K], under a Dirichlet prior."""
    alpha = np.broadcast_to(np.asarray(alpha, float), counts.shape)
    totals = gammaln(alpha.sum(-1)) - gammaln((alpha + counts).sum(-1))
    outcomes = (gammaln(alpha + counts) - gammaln(alpha)).sum(-1)
    return (totals + outcomes).sum()


def test_predictions_one_by_one_multiply_to_the_marginal_likelihood():
    """p(x_1, y_1) p(x_2, y_2 | x_1, y_1) .. is the integral over all parameters, in closed form."""
    data = rows('bernoulli', n=120)
    alpha = (0.4, 2.0)
    class_alpha = (1.0, 3.0, 0.5)
    algorithm = naive_bayes(3, bernoulli(alpha), alpha=class_alpha)
    singles = jax.tree.map(lambda x: x[:, None], data)

    @jax.jit
    def one_by_one(state):
        def step(state, batch):
            state, metrics = algorithm.update(KEY, state, batch)
            return state, metrics['joint']

        _, nats = jax.lax.scan(step, state, singles)
        return nats

    nats = one_by_one(algorithm.init(KEY, data))
    outcomes = np.stack([data['x'] == 0, data['x'] == 1], -1)  # [n, D, 2]
    of_class = np.stack([outcomes[data['label'] == c].sum(0) for c in range(3)])
    class_counts = np.bincount(data['label'], minlength=3)
    expected = log_marginal(of_class, alpha) + log_marginal(class_counts, class_alpha)
    assert -float(nats.sum()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('name', [slow('gaussian'), 'categorical', slow('multinomial')])
def test_trained_on_draws_of_a_model_it_is_that_model(name):
    """The trainer comes to the loss of the model that drew, the least that any can have."""
    feature = FEATURES[name]
    algorithm = naive_bayes(3, feature, alpha=1.0)
    truth, _ = counted(algorithm, rows(name))
    draws = jax.jit(algorithm.sample, static_argnums=2)(KEY, truth, 24_000)
    assert draws['x'].shape == (24_000, 5)
    assert draws['x'].dtype == jnp.float32
    assert draws['label'].dtype == jnp.int32
    assert np.all(feature.inside(draws['x']))
    share = np.asarray(posterior_mean(truth.classes, 1.0), np.float64)
    counts = np.bincount(draws['label'], minlength=3)
    assert chisquare(counts, counts.sum() * share / share.sum()).pvalue > 1e-3

    training, test = cut(draws, 20_000)
    learned = run(algorithm, training, batch=4000)
    evaluate = jax.jit(algorithm.evaluate)
    known = evaluate(KEY, truth, test)
    found = evaluate(KEY, learned, test)
    # Its mean is a Kullback-Leibler divergence.
    gap = np.asarray(found['joint'] - known['joint'], np.float64)
    error = gap.std() / np.sqrt(len(gap))
    assert -3 * error < gap.mean() < 5e-3 + 3 * error
    assert found['error'].mean() == pytest.approx(float(known['error'].mean()), abs=0.01)


def test_what_training_never_had_is_counted_and_its_nats_are_finite():
    data = {'x': jnp.array([[0.0, 1], [0, 0], [1, 1], [1, 0]]), 'label': jnp.array([0, 0, 1, 1])}
    algorithm = naive_bayes(3, bernoulli(0.0), floor=1e-10)
    state, _ = counted(algorithm, data)
    odd = {'x': jnp.array([[0.0, 1], [1, 1], [0, 0]]), 'label': jnp.array([0, 0, 2])}
    found = algorithm.evaluate(KEY, state, odd)
    np.testing.assert_array_equal(found['unseen'], [0, 1, 1])  # the last: no example of its class
    # p(y) = 1/2 and p(x_2) = 1/2; a class without examples is uniform in x.
    nats = np.log([4, 4e10, 4e10])
    np.testing.assert_allclose(found['joint'], nats, rtol=1e-5)
    np.testing.assert_array_equal(found['error'], [0, 1, 1])
    assert np.all(np.isfinite(np.concatenate(list(found.values()))))
    barely_smoothed = naive_bayes(3, bernoulli(1e-8), alpha=1e-8)
    smoothed, _ = counted(barely_smoothed, data)
    limit = barely_smoothed.encode(KEY, smoothed, odd)
    code = algorithm.encode(KEY, state, odd)
    np.testing.assert_array_equal(np.argmax(limit, 1), np.argmax(code, 1))


def test_before_any_example_all_classes_are_as_probable():
    for name, feature in FEATURES.items():
        algorithm = naive_bayes(3, feature)
        batch = rows(name)
        found = algorithm.evaluate(KEY, algorithm.init(KEY, batch), batch)
        np.testing.assert_allclose(found['loss'], np.log(3), rtol=1e-4)


@pytest.mark.parametrize('shared', [False, True])
def test_a_class_without_examples_has_the_moments_of_all(shared):
    data = rows('gaussian')
    feature = gaussian(1e-3, shared=shared)
    state, _ = counted(naive_bayes(4, feature), data)
    mean, variance = feature.fit(state.features)
    x = data['x'].astype(np.float64)
    np.testing.assert_allclose(mean[3], x.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(variance[3], x.var(0) + 1e-3 * x.var(0).max(), rtol=1e-5)


@pytest.mark.parametrize(
    ('feature', 'x', 'label', 'message'),
    [
        (bernoulli(), 0.5, 0, 'x outside the whole numbers 0 to 1 is inf'),
        (categorical(4), 4.0, 0, 'x outside the whole numbers 0 to 3 is inf'),
        (multinomial(), -1.0, 0, 'x outside the whole numbers from 0 is inf'),
        (multinomial(), 0.5, 0, 'x outside the whole numbers from 0 is inf'),
        (bernoulli(), 1.0, 3, 'label outside 0 to 2 is inf'),
        (bernoulli(), 1.0, -1, 'label outside 0 to 2 is inf'),
    ],
)
def test_what_a_model_cannot_count_ends_the_run_in_one_line(feature, x, label, message):
    data = {'x': np.zeros((32, 2), np.float32), 'label': np.arange(32, dtype=np.int32) % 3}
    data['x'][20, 1] = x
    data['label'][20] = label
    with pytest.raises(NonFinite, match=f'^step 2: {message}$'):
        run(naive_bayes(3, feature), data, batch=16)


# a kind of feature -> values that it cannot have
OUTSIDE = {
    'gaussian': (np.nan, np.inf, -np.inf),
    'shared': (np.nan,),
    'bernoulli': (255.0, 2.0, -1.0, 0.5, np.nan, np.inf, 1e30),
    'categorical': (6.0, 7.0, -1.0, 2.5, np.nan, -np.inf, 1e30),
    'multinomial': (-1.0, 0.5, np.nan, np.inf, -1e30),
}


@every_feature
def test_what_training_refuses_is_no_score_at_evaluation(name):
    """Some rows have a wrong entry or label.

    What is infinite in an update of one such row alone is infinite in its evaluation; and all other
    rows are evaluated as if these were not there.
    """
    algorithm = naive_bayes(3, FEATURES[name], alpha=1.0)
    state, _ = counted(algorithm, rows(name))
    update = jax.jit(algorithm.update)
    evaluate = jax.jit(algorithm.evaluate)
    encode = jax.jit(algorithm.encode)

    rng = np.random.default_rng(5)
    odd = jax.tree.map(np.copy, rows(name, n=24, seed=1))
    bad_x = rng.permutation(24)[: 2 * len(OUTSIDE[name])]
    bad_label = rng.permutation(24)[:4]
    odd['x'][bad_x, rng.integers(0, 5, len(bad_x))] = OUTSIDE[name] * 2
    odd['label'][bad_label] = [3, -1, 2**31 - 1, -(2**31)]

    found = {metric: np.asarray(values) for metric, values in evaluate(KEY, state, odd).items()}
    names = {f'x outside {FEATURES[name].support}': bad_x, 'label outside 0 to 2': bad_label}
    for metric, places in names.items():
        np.testing.assert_array_equal(np.isinf(found[metric]), np.isin(np.arange(24), places))
    for i in range(24):
        row = {part: values[i : i + 1] for part, values in odd.items()}
        _, alone = update(KEY, state, row)
        for metric in names:
            assert float(alone[metric]) == found[metric][i]
    wrong = np.isin(np.arange(24), np.concatenate([bad_x, bad_label]))
    clean = evaluate(KEY, state, rows(name, n=24, seed=1))
    for metric in ('loss', 'joint', 'error', 'unseen'):
        assert np.all(found[metric][wrong] == np.inf)
        np.testing.assert_array_equal(found[metric][~wrong], clean[metric][~wrong])
    codes = encode(KEY, state, {'x': odd['x']})
    expected = encode(KEY, state, {'x': rows(name, n=24, seed=1)['x']})
    no_x = np.isin(np.arange(24), bad_x)
    assert np.all(np.isnan(codes[no_x]))
    np.testing.assert_array_equal(codes[~no_x], expected[~no_x])
    np.testing.assert_allclose(np.exp(codes[~no_x]).sum(1), 1, rtol=1e-5)


def test_a_category_that_training_never_had_is_unseen_and_not_refused():
    """scikit-learn, given that there are four categories, gives the same probabilities."""
    x = np.array([[0, 1], [1, 1], [2, 0], [2, 0], [0, 0], [1, 2]], np.float32)
    label = np.array([0, 0, 1, 1, 0, 1])
    batch = {'x': x, 'label': label.astype(np.int32)}
    asked = {
        'x': np.array([[3, 0], [2, 3], [2, 0]], np.float32),
        'label': np.array([1, 0, 1], np.int32),
    }
    smoothed = naive_bayes(2, categorical(4, 0.5))
    peer = CategoricalNB(alpha=0.5, min_categories=4).fit(x, label)
    state, _ = counted(smoothed, batch)
    expected = peer.predict_log_proba(asked['x'])
    np.testing.assert_allclose(smoothed.encode(KEY, state, asked), expected, rtol=1e-5)
    np.testing.assert_array_equal(smoothed.evaluate(KEY, state, asked)['unseen'], 0)

    likeliest = naive_bayes(2, categorical(4, 0.0))
    state, _ = counted(likeliest, batch)
    found = likeliest.evaluate(KEY, state, asked)
    # Category 3 of either feature; and 2, in class 0.
    np.testing.assert_array_equal(found['unseen'], [1, 2, 0])
    assert np.all(np.isfinite(np.concatenate(list(found.values()))))


def test_what_one_device_cannot_count_ends_the_run_of_all():
    data = {'x': np.zeros((16, 2), np.float32), 'label': np.arange(16, dtype=np.int32) % 3}
    data['x'][12, 1] = 0.5  # of the second device's share
    with pytest.raises(NonFinite, match=r'^step 1: x outside the whole numbers 0 to 1 is inf$'):
        run(naive_bayes(3, bernoulli()), data, batch=16, devices=2, parallel=by_pmap)


def test_counts_that_pass_their_integers_end_the_run():
    algorithm = naive_bayes(2, multinomial())
    batch = {'x': np.full((4, 2), 2.0**29, np.float32), 'label': np.zeros(4, np.int32)}
    state, metrics = counted(algorithm, batch)
    assert metrics['counts over 2^32'] == 0
    assert int(state.features.max()) == 2**31
    _, metrics = jax.jit(algorithm.update)(KEY, state, batch)
    assert metrics['counts over 2^32'] == np.inf


def test_values_that_are_not_numbers_end_the_run():
    data = {'x': np.zeros((16, 2), np.float32), 'label': np.zeros(16, np.int32)}
    data['x'][3, 1] = np.inf
    with pytest.raises(NonFinite, match=r'^step 1: loss is nan$'):
        run(naive_bayes(2, gaussian()), data, batch=16)


VECTORS = {'x': jnp.zeros((4, 3)), 'label': jnp.zeros(4, jnp.int32)}
SCALARS = {'x': jnp.zeros(4), 'label': VECTORS['label']}
UNLABELLED = {'x': VECTORS['x']}


@pytest.mark.parametrize(
    ('refused', 'message'),
    [
        (
            lambda: naive_bayes(1, gaussian()),
            'naive Bayes of classes 1, floor 1e-20; needed: classes >= 2, 0 < floor < 1',
        ),
        (
            lambda: naive_bayes(2, gaussian(), floor=0),
            'naive Bayes of classes 2, floor 0; needed: classes >= 2, 0 < floor < 1',
        ),
        (
            lambda: naive_bayes(2, gaussian(), alpha=-1),
            'alpha is -1; pseudocounts must be finite and at least 0',
        ),
        (
            lambda: bernoulli(-0.1),
            'alpha is -0.1; pseudocounts must be finite and at least 0',
        ),
        (
            lambda: bernoulli((1, float('nan'))),
            'alpha is (1, nan); pseudocounts must be finite and at least 0',
        ),
        (
            lambda: naive_bayes(2, bernoulli((1, 2, 3))).init(KEY, VECTORS),
            'alpha is (1, 2, 3); 2 outcomes have one pseudocount for all or one each',
        ),
        (
            lambda: naive_bayes(3, gaussian(), alpha=(1, 2)),
            'alpha is (1, 2); 3 outcomes have one pseudocount for all or one each',
        ),
        (lambda: categorical(1), 'levels is 1; a feature needs at least 2'),
        (lambda: multinomial(trials=0), 'trials is 0; a draw needs at least 1'),
        (lambda: gaussian(0.0), 'smoothing is 0.0; it must be positive'),
        (
            lambda: naive_bayes(2, gaussian()).init(KEY, UNLABELLED),
            "a batch has {'x': (4, 3)}; naive Bayes needs x [B, D] and label [B]",
        ),
        (
            lambda: naive_bayes(2, gaussian()).init(KEY, SCALARS),
            "a batch has {'x': (4,), 'label': (4,)}; naive Bayes needs x [B, D] and label [B]",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(refused, message):
    with pytest.raises(ValueError) as error:
        refused()
    assert str(error.value) == message


def test_one_pass_of_the_trainer_classifies_digits():
    """1,500 digits in batches of 100: the error on 297 others is scikit-learn's."""
    data = vectors(images('digits', batch=100, seed=0, size=8))
    experiment = Experiment(naive_bayes(10, gaussian(0.03)), data, {})
    mesh = make_mesh(jax.devices()[:1])
    state = train(experiment, seed=0, steps=15, mesh=mesh, every=Every(5, 15, 15))
    x = np.asarray(data.train.arrays['image'])
    label = np.asarray(data.train.arrays['label'])
    peer = GaussianNB(var_smoothing=0.03).fit(x.reshape(1500, 64) / 255, label)
    wrong = np.concatenate([peer.predict(test['x']) != test['label'] for test in data.test]).mean()
    assert wrong < 0.1
    error = evaluate(experiment, state, seed=0, mesh=mesh)['test/error']
    assert error == pytest.approx(wrong, abs=1.5 / 297)
