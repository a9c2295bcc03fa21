"""Dropout: its share, its mean, and bits that are as good as independent of places and keys."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy import stats

from genjax.networks.dropout import dropout, hashed_bits
from genjax.parallel import AXIS, example_keys

SHAPE = (16, 16, 32)  # of an example


def bits_of(key, examples=64):
    """Random bits as a step of this key draws them, uint32 [examples, *SHAPE]."""
    return np.asarray(hashed_bits(example_keys(key, examples), SHAPE))


def correlation(a, b):
    """Of two arrays, in standard errors of independent ones."""
    return np.corrcoef(a.reshape(-1), b.reshape(-1))[0, 1] * a.size**0.5


def test_it_keeps_the_mean_and_drops_the_share():
    x = jnp.ones((64, 8, 8, 15))
    y = np.asarray(dropout(jax.random.key(0), x, 0.3))
    share = np.mean(y == 0)
    deviation = (0.3 * 0.7 / x.size) ** 0.5
    assert abs(share - 0.3) < 5 * deviation
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.7], rtol=1e-6)


@pytest.mark.parametrize('rate', [0.0, 1e-3, 0.5, 1 - 2**-40])
def test_any_rate_below_one_is_met(rate):
    x = jnp.ones((64, *SHAPE))
    y = np.asarray(dropout(jax.random.key(1), x, rate))
    deviation = (rate * (1 - rate) / x.size) ** 0.5
    assert abs(np.mean(y == 0) - rate) <= 5 * deviation + 2**-32
    assert np.all(np.isfinite(y))


def test_each_bit_is_fair_and_each_pair_of_bits_independent():
    words = bits_of(jax.random.key(2)).reshape(-1)
    bits = (words[:, None] >> np.arange(32, dtype=np.uint32)) & 1
    signs = 2.0 * bits - 1
    # Over words, in standard errors: the means of bits, and of products of two of them.
    products = signs.T @ signs / len(words) ** 0.5
    means = signs.sum(0) / len(words) ** 0.5
    pairs = products[np.triu_indices(32, 1)]
    assert np.abs(means).max() < 5
    assert np.abs(pairs).max() < 5
    assert abs(np.mean(pairs**2) - 1) < 5 * (2 / len(pairs)) ** 0.5


def test_numbers_are_uniform():
    words = bits_of(jax.random.key(3)).reshape(-1)
    for part in (words >> 20, words & 0xFFF):  # the upper and the lower twelve bits
        counts = np.bincount(part, minlength=4096)
        assert stats.chisquare(counts).pvalue > 1e-4


def test_masks_do_not_depend_on_neighbours_on_other_examples_or_on_other_steps():
    root = jax.random.key(4)
    steps = [bits_of(jax.random.fold_in(root, step)) < 0.1 * 2**32 for step in range(4)]
    scores = {}
    for axis, name in enumerate(('examples', 'rows', 'columns', 'channels')):
        for distance in (1, 2, 8):
            moved = np.roll(steps[0], distance, axis)
            scores[name, distance] = correlation(steps[0], moved)
    for i in range(4):
        for j in range(i):
            scores['steps', i, j] = correlation(steps[i], steps[j])
    worst = max(scores, key=lambda name: abs(scores[name]))
    assert abs(scores[worst]) < 5, (worst, scores[worst])


def test_counts_of_examples_channels_and_pixels_are_binomial():
    mask = bits_of(jax.random.key(5)) < 0.1 * 2**32
    for axes in ((1, 2, 3), (0, 1, 2), (0, 3)):
        counts = mask.sum(axes)
        n = mask.size // counts.size
        spread = np.sum((counts - 0.1 * n) ** 2 / (0.09 * n))
        assert abs(stats.norm.isf(stats.chi2(counts.size).sf(spread))) < 5


def test_keys_that_differ_by_one_bit_have_independent_masks():
    words = jax.random.bits(jax.random.key(6), (2,), jnp.uint32)
    flips = [[0, 0], [1, 0], [1 << 7, 0], [1 << 31, 0], [0, 1], [0, 1 << 7], [0, 1 << 31]]
    keys = jax.random.wrap_key_data(words[None] ^ jnp.asarray(flips, jnp.uint32))
    bits = np.asarray(hashed_bits(keys, (32, 32, 32)))
    signs = np.where(bits < 2**31, 1.0, -1.0).reshape(len(keys), -1)
    scores = np.abs(signs[1:] @ signs[0]) / signs.shape[1] ** 0.5
    assert scores.max() < 5


def test_a_key_and_a_place_give_these_bits_for_ever():
    """MurmurHash3's last step in Python's integers."""

    def mix(h):
        h = (h ^ (h >> 16)) * 0x85EBCA6B % 2**32
        h = (h ^ (h >> 13)) * 0xC2B2AE35 % 2**32
        return h ^ (h >> 16)

    words = np.array([[123, 456], [2**32 - 1, 7]], np.uint32)
    bits = hashed_bits(jax.random.wrap_key_data(jnp.asarray(words)), (3, 5))
    expected = [
        [mix(mix(place ^ int(first)) ^ int(second)) for place in range(15)]
        for first, second in words
    ]
    np.testing.assert_array_equal(np.asarray(bits).reshape(2, 15), expected)


@pytest.mark.parametrize('devices', [2, 8])
def test_the_same_to_the_bit_over_several_devices(devices):
    key = jax.random.key(7)
    x = jnp.ones((16, 4, 4, 8))
    whole = dropout(key, x, 0.4)
    mesh = jax.make_mesh((devices,), (AXIS,), axis_types=(AxisType.Auto,))
    split = jax.device_put(x, NamedSharding(mesh, PartitionSpec(AXIS)))
    sharded = jax.jit(dropout, static_argnums=2)(key, split, 0.4)
    np.testing.assert_array_equal(sharded, whole)
    shares = x.reshape(devices, -1, *x.shape[1:])
    mapped = jax.pmap(
        partial(dropout, rate=0.4), AXIS, in_axes=(None, 0), devices=jax.devices()[:devices]
    )(key, shares)
    np.testing.assert_array_equal(mapped.reshape(x.shape), whole)
