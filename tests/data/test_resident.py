"""The permutation is one and looks random; batches agree with plain Python's arithmetic."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.data.resident import epoch_rows, fingerprint, permutation, resident
from tests.marks import slow
from tests.trees import assert_trees_equal


def permutations(n, draws, seed=0):
    """Several permutations of n, [draws, n]."""

    def draw(key):
        return permutation(key, n, jnp.arange(n))

    keys = jax.random.split(jax.random.key(seed), draws)
    return np.asarray(jax.jit(jax.vmap(draw))(keys))


def chi_square(counts):
    return stats.chisquare(np.ravel(counts)).pvalue


@pytest.mark.parametrize('n', [1, 2, 3, 10, 1797, 50_000, 1_000_003])
def test_permutation_is_a_bijection(n):
    image = np.asarray(permutation(jax.random.key(n), n, jnp.arange(n)))
    assert image.dtype == np.int32
    np.testing.assert_array_equal(np.sort(image), np.arange(n))


@pytest.mark.parametrize('n', [2, 5, 37])
def test_every_position_is_equally_likely(n):
    draws = permutations(n, 400 * n)
    counts = np.stack([np.bincount(draws[:, i], minlength=n) for i in range(n)])
    # Rows and columns have fixed sums, so the statistic has (n - 1)^2 degrees of freedom.
    statistic = ((counts - 400) ** 2 / 400).sum()
    assert 1e-3 < stats.chi2.sf(statistic, (n - 1) ** 2) < 1 - 1e-3


@pytest.mark.parametrize('n', [5, slow(37)])
def test_neighbours_are_independent(n):
    draws = permutations(n, 50 * n * n, seed=1)
    for i in (0, n - 2):
        pairs = np.bincount(draws[:, i] * n + draws[:, i + 1], minlength=n * n)
        assert chi_square(pairs[~np.eye(n, dtype=bool).ravel()]) > 1e-3


@pytest.mark.parametrize('n', [3, 5, 6])
def test_every_order_of_a_few_is_equally_likely(n):
    draws = permutations(n, 200 * math.factorial(n), seed=2)
    _, counts = np.unique(draws, axis=0, return_counts=True)
    assert len(counts) == math.factorial(n)
    assert chi_square(counts) > 1e-3


def test_one_large_permutation_looks_uniform():
    n = 50_000
    image = np.asarray(permutation(jax.random.key(0), n, jnp.arange(n)))
    where = np.arange(n) * 20 // n
    step = np.diff(image) % n * 20 // n
    assert chi_square(np.bincount(where * 20 + image * 20 // n, minlength=400)) > 1e-3
    assert chi_square(np.bincount(step, minlength=20)) > 1e-3
    # The number of fixed points of a random permutation is Poisson of mean 1.
    assert np.sum(image == np.arange(n)) < 10


def test_no_table_is_made():
    key = jax.random.key(0)
    jaxpr = str(jax.make_jaxpr(partial(epoch_rows, n=10**9, batch=8))(key, step=jnp.int32(5)))
    assert '1000000000' in jaxpr
    assert '[1000000000' not in jaxpr
    assert len(set(epoch_rows(key, 2**31 - 1, 8, 5).tolist())) == 8


@pytest.mark.parametrize('n, batch', [(10, 3), (10, 10), (1797, 128)])
def test_an_epoch_visits_distinct_examples_and_the_next_one_others(n, batch):
    steps = n // batch
    rows_of_step = partial(epoch_rows, jax.random.key(3), n, batch)
    rows = jax.vmap(rows_of_step)(jnp.arange(3 * steps))
    epochs = np.asarray(rows).reshape(3, steps * batch)
    assert all(len(set(epoch)) == steps * batch for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    if n % batch:
        assert len({frozenset(epoch) for epoch in epochs}) > 1  # another remainder is left out


@pytest.mark.parametrize('n', [50_000, 10**9])
def test_late_steps_do_not_overflow(n):
    key = jax.random.key(0)
    step = 10_000_000
    batch = 16_384
    rows = np.asarray(jax.jit(partial(epoch_rows, key, n, batch))(step))
    epoch, place = divmod(step, n // batch)  # in Python's integers, which do not overflow
    index = np.arange(place * batch, (place + 1) * batch, dtype=np.int32)
    np.testing.assert_array_equal(rows, permutation(jax.random.fold_in(key, epoch), n, index))
    assert len(set(rows)) == batch
    assert rows.min() >= 0
    assert rows.max() < n


def test_batches_are_rows_and_a_pure_function_of_seed_and_step():
    arrays = {
        'x': np.arange(20, dtype=np.uint8)[:, None] * np.uint8(10),
        'y': np.arange(20, dtype=np.int32),
    }
    train = resident(arrays, batch=6, seed=1)
    traced = jax.jit(lambda train, step: train[step])
    for step in (0, 7):
        rows = train[step]
        assert rows['x'].shape == (6, 1)
        assert rows['x'].dtype == np.uint8
        np.testing.assert_array_equal(rows['x'][:, 0], arrays['x'][rows['y'], 0])
        assert_trees_equal(traced(train, step), rows)
    assert (resident(arrays, batch=6, seed=2)[0]['y'] != train[0]['y']).any()


def test_transform_sees_the_rows_and_the_step():
    def transform(rows, step):
        return jnp.sort(rows), step

    train = resident(np.arange(4), batch=4, seed=0, transform=transform)
    rows, step = train[9]
    np.testing.assert_array_equal(rows, np.arange(4))
    assert step == 9


@pytest.mark.parametrize('batch', [0, 5])
def test_impossible_batches_are_refused(batch):
    with pytest.raises(ValueError, match=f'^batch is {batch}; a set of 4 examples allows 1 to 4$'):
        resident(np.arange(4), batch=batch, seed=0)


def test_ragged_arrays_are_refused():
    with pytest.raises(ValueError, match='3, 4'):
        resident({'x': np.zeros(4), 'y': np.zeros(3)}, batch=1, seed=0)


def test_fingerprint_tells_names_types_shapes_and_values():
    x = np.arange(6, dtype=np.uint8)
    variants = [
        {'x': x},
        {'y': x},
        {'x': x[::-1]},
        {'x': x.reshape(2, 3)},
        {'x': x.astype(np.int8)},
    ]
    assert len({fingerprint(arrays) for arrays in variants}) == len(variants)
    part = np.arange(12, dtype=np.uint8)[:6]
    assert fingerprint({'x': jnp.asarray(x)}) == fingerprint({'x': part})
    assert resident({'x': x}, batch=2, seed=5).fingerprint == fingerprint({'x': x})
