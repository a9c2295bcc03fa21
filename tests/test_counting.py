"""The table against collections.Counter, which counts in any order, one by one."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.counting import ABSENT, EMPTY, add, empty, find, lookup, stored_keys
from genjax.parallel import AXIS
from genjax.training import make_mesh
from genjax.training.mesh import put_batch
from tests.marks import quick_only, slow
from tests.trees import assert_trees_equal

CAPACITY = 300

added = jax.jit(add)


def draws(seed, m, n, top=6):
    """Random keys [m, n] with many repeats, and values 0..9.

    A tenth of the keys have a negative column.
    """
    draw = np.random.default_rng(seed)
    keys = draw.integers(0, top, (m, n))
    keys[draw.random(m) < 0.1, draw.integers(0, n)] = -1
    return keys.astype(np.int32), draw.integers(0, 10, m).astype(np.uint32)


def counted(*batches):
    total = Counter()
    for keys, values in batches:
        for key, value in zip(keys.tolist(), values.tolist(), strict=True):
            if min(key) >= 0:
                total[tuple(key)] += value
    return total


def content(counts):
    size = int(counts.size)
    assert (counts.keys[size:] == EMPTY).all() and (counts.values[size:] == 0).all()
    rows = [tuple(key) for key in counts.keys[:size].tolist()]
    assert rows == sorted(set(rows))
    return dict(zip(rows, counts.values[:size].tolist(), strict=True))


@pytest.mark.parametrize('n', [slow(1), 2, slow(3)])
def test_several_adds_equal_a_counter(n):
    batches = [draws(seed, 200, n) for seed in range(4)]
    counts = empty(CAPACITY, n)
    for i, batch in enumerate(batches):
        before = content(counts)
        counts, new = added(counts, *batch)
        expected = counted(*batches[: i + 1])
        assert content(counts) == expected
        fresh = sorted(expected.keys() - before.keys())
        assert new[: len(fresh)].tolist() == [list(key) for key in fresh]
        assert (new[len(fresh) :] == ABSENT).all()
    assert not counts.lost
    assert stored_keys(counts) == len(expected)


def test_keys_of_any_size_are_in_order():
    keys = np.asarray(
        [[2**31 - 2, 0], [0, 2**31 - 1], [70_000, 70_000], [0, 0], [70_000, 3]], np.int32
    )
    counts, _ = added(empty(8, 2), keys, np.ones(5, np.uint32))
    assert content(counts) == {tuple(key): 1 for key in keys.tolist()}


def test_the_order_and_the_division_of_what_is_added_do_not_matter():
    keys, values = draws(0, 400, 2)
    once, _ = added(empty(CAPACITY, 2), keys, values)
    counts = empty(CAPACITY, 2)
    order = np.random.default_rng(1).permutation(400)
    for part in np.split(order, 8):
        counts, _ = added(counts, keys[part], values[part])
    assert_trees_equal(counts, once)


def test_lookup_finds_what_is_there_and_gives_0_for_the_rest():
    keys, values = draws(2, 200, 3, top=5)
    counts, _ = added(empty(CAPACITY, 3), keys, values)
    asked = np.stack(np.indices((7, 7, 7), np.int32) - np.int32(1), -1)  # [7, 7, 7, 3], from -1 on
    total = counted((keys, values))
    assert 0 < len(total) < 125
    expected = [total[tuple(key)] for key in asked.reshape(-1, 3).tolist()]
    np.testing.assert_array_equal(lookup(counts, asked).ravel(), expected)


@pytest.mark.parametrize('capacity', quick_only([1, 8], [1, 2, 3, 7, 8, 9]))
def test_a_table_that_is_just_full_is_whole(capacity):
    keys = 2 * np.arange(capacity, dtype=np.int32)[::-1, None]
    counts, _ = added(empty(capacity, 1), keys, np.full(capacity, 3))
    assert content(counts) == {(2 * i,): 3 for i in range(capacity)}
    assert stored_keys(counts) == capacity
    asked = np.arange(-1, 2 * capacity + 1, dtype=np.int32)[:, None]
    row, present = find(counts, asked)
    np.testing.assert_array_equal(row, np.searchsorted(keys[::-1, 0], asked[:, 0]))
    np.testing.assert_array_equal(present, np.isin(asked[:, 0], keys))
    assert lookup(counts, jnp.full((1,), EMPTY)) == 0


@pytest.mark.parametrize('first', [1, 2, 3])
def test_one_key_too_many_is_seen_then_and_ever_after(first):
    keys = np.asarray([[4], [2], [3], [1]], np.int32)
    counts, _ = added(empty(3, 1), keys[:first], np.ones(first, np.uint32))
    assert np.isfinite(stored_keys(counts))
    counts, _ = added(counts, keys[first:], np.ones(4 - first, np.uint32))
    assert np.isinf(stored_keys(counts))
    assert content(counts) == {(1,): 1, (2,): 1, (3,): 1}
    counts, _ = added(counts, keys[-1:], np.ones(1, np.uint32))
    assert np.isinf(stored_keys(counts))


def test_counts_stay_exact_where_float32_would_not_and_a_count_too_large_is_seen():
    key = np.zeros((1, 1), np.int32)
    one = np.ones(1, np.uint32)
    counts, _ = added(empty(2, 1), key, np.full(1, 2**32 - 3, np.uint32))
    for _ in range(2):
        counts, _ = added(counts, key, one)
    assert content(counts) == {(0,): 2**32 - 1}
    assert not counts.lost
    counts, _ = added(counts, key, one)
    assert np.isinf(stored_keys(counts))


@pytest.mark.parametrize('devices', [2, 8])
def test_jit_over_devices_and_pmap_count_the_same(devices):
    keys, values = draws(5, 160, 2)
    expected, new = added(empty(CAPACITY, 2), keys, values)
    batch = put_batch(make_mesh(jax.devices()[:devices]), (keys, values))
    assert_trees_equal(added(empty(CAPACITY, 2), *batch), (expected, new))
    shares = jax.tree.map(lambda x: x.reshape(devices, -1, *x.shape[1:]), (keys, values))
    mapped = jax.pmap(
        add, AXIS, in_axes=(None, 0, 0), out_axes=None, devices=jax.devices()[:devices]
    )
    assert_trees_equal(mapped(empty(CAPACITY, 2), *shares), (expected, new))


@pytest.mark.parametrize(('capacity', 'n'), [(0, 2), (2**30 + 1, 2), (5, 0)])
def test_no_table_of_impossible_size(capacity, n):
    with pytest.raises(ValueError, match=f'capacity {capacity}, {n} columns'):
        empty(capacity, n)
