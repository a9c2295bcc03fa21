"""GloVe at its optima: the logarithms of counts, and weighted least squares word by word."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.algorithms.cooccurrence import cooccurrence, entries, glove, harmonic, power_weight
from genjax.base import Data, Resident
from genjax.training import Experiment, NonFinite, make_mesh, train

V = 7
KEY = jax.random.key(0)


def ones(x):
    return jnp.ones_like(x)


def matrix(seed, missing=0.0):
    """Counts [V, V], some of them 0."""
    draw = np.random.default_rng(seed)
    counts = draw.lognormal(1, 1.5, (V, V)).astype(np.float32)
    return np.where(draw.random((V, V)) < missing, 0, counts)


def as_entries(counts):
    row, column = np.nonzero(counts)
    return {
        'row': row.astype(np.int32),
        'column': column.astype(np.int32),
        'count': counts[row, column],
    }


def trained(counts, *, dimension, weight, steps=4000, rate=0.3):
    """The parameters after training on all entries at once, by the trainer that users run."""
    optimizer = optax.adagrad(optax.cosine_decay_schedule(rate, steps), 0.0, 1e-30)
    algorithm = glove(V, optimizer, dimension=dimension, weight=weight)

    def make_batch(batch, step):
        del step
        return batch

    data = Data(Resident(jax.tree.map(jnp.asarray, as_entries(counts)), make_batch), [])
    mesh = make_mesh(jax.devices()[:1])
    state = train(
        Experiment(algorithm, data, {}), seed=0, steps=steps, mesh=mesh, steps_per_call=steps
    )
    return jax.tree.map(lambda x: np.asarray(x, np.float64), state.params)


def predictions(params):
    """w_i.w~_j + b_i + b~_j, [V, V]."""
    biases = params['word_biases'][:, None] + params['context_biases'][None]
    return params['words'] @ params['contexts'].T + biases


def test_at_full_rank_the_optimum_is_the_logarithm_of_every_count():
    counts = matrix(0)
    params = trained(counts, dimension=V, weight=ones)
    assert np.abs(np.log(counts)).max() > 3
    np.testing.assert_allclose(predictions(params), np.log(counts), atol=1e-3)


def test_at_full_rank_the_pairs_that_never_occurred_have_no_say():
    counts = matrix(1, missing=0.3)
    params = trained(counts, dimension=V, weight=power_weight(5.0))
    seen = counts > 0
    assert 0 < seen.sum() < V * V
    np.testing.assert_allclose(predictions(params)[seen], np.log(counts[seen]), atol=5e-3)


def test_at_low_rank_the_equations_of_weighted_least_squares_hold():
    """sum_j f(X_ij) (error of ij) (w~_j, 1) = 0 for every word i, and so for every context."""
    counts = matrix(2, missing=0.2)
    weight = power_weight(8.0, 0.75)
    params = trained(counts, dimension=2, weight=weight)
    seen = counts > 0
    errors = np.where(seen, predictions(params) - np.log(np.where(seen, counts, 1)), 0)
    assert np.abs(errors).max() > 0.1  # two dimensions are too few

    def equations(errors):
        sums = errors @ params['contexts'], errors.T @ params['words'], errors.sum(0), errors.sum(1)
        return np.concatenate([x.ravel() for x in sums])

    weights = np.asarray(weight(counts), np.float64)
    np.testing.assert_allclose(equations(weights * errors), 0, atol=1e-2)
    assert np.abs(equations(errors)).max() > 0.5  # equal weights have another optimum


def test_the_loss_is_the_term_of_the_sum():
    counts = matrix(3)
    algorithm = glove(V, optax.sgd(0.1), dimension=3, weight=power_weight(4.0, 0.5))
    batch = as_entries(counts)
    state = algorithm.init(KEY, batch)
    state, metrics = algorithm.update(KEY, state, batch)
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), state.params)
    weights = np.minimum(1, np.sqrt(counts.astype(np.float64) / 4))
    expected = weights * (predictions(params) - np.log(counts)) ** 2
    losses = algorithm.evaluate(KEY, state, batch)['loss']
    np.testing.assert_allclose(losses, expected.ravel(), rtol=1e-4, atol=1e-6)
    assert metrics['loss'] > losses.mean()
    codes = algorithm.encode(KEY, state, batch)
    np.testing.assert_allclose(codes[::V], params['words'] + params['contexts'], rtol=1e-5)


def test_weights_are_the_papers():
    weight = power_weight()
    np.testing.assert_allclose(
        weight(jnp.array([1.0, 50.0, 100.0, 1e6])), [0.01**0.75, 0.5**0.75, 1, 1], rtol=1e-5
    )


def test_entries_are_the_counts_in_their_unit():
    """0 1 2 in one sentence: pairs at distance 1 count 1, the pair at distance 2 counts 1/2."""
    algorithm = cooccurrence(3, window=2, capacity=9, weight=harmonic(2))
    batch = {'words': jnp.array([[0, 1, 2]])}
    counts, _ = jax.jit(algorithm.update)(KEY, algorithm.init(KEY, batch), batch)
    found = entries(counts, 3, unit=harmonic(2)(1))
    dense = np.zeros((3, 3))
    dense[found['row'], found['column']] = found['count']
    np.testing.assert_array_equal(dense, [[0, 1, 0.5], [1, 0, 1], [0.5, 1, 0]])


@pytest.mark.parametrize(
    'wrong', [{'row': [V]}, {'column': [-1]}, {'count': np.zeros(1, np.float32)}], ids=str
)
def test_an_entry_that_is_none_ends_the_run(wrong):
    algorithm = glove(V, optax.sgd(0.1), dimension=2, weight=ones)
    entry = {'row': [1], 'column': [2], 'count': np.ones(1, np.float32)} | wrong
    arrays = {name: jnp.asarray(values) for name, values in entry.items()}

    def make_batch(batch, step):
        del step
        return batch

    experiment = Experiment(algorithm, Data(Resident(arrays, make_batch), []), {})
    with pytest.raises(NonFinite, match='loss is nan'):
        train(experiment, seed=0, steps=1, mesh=make_mesh(jax.devices()[:1]))


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match='x_max is 0, alpha 0.75; needed: a number above 0'):
        power_weight(0)
    with pytest.raises(ValueError, match='dimension 0; at least 1 is needed'):
        glove(V, optax.sgd(0.1), dimension=0, weight=ones)
