"""Attention with a mask against its formula, and rotary places."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from genjax.networks.attention import attend, rotate


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize('masked', [False, True])
def test_it_is_the_formula_of_each_head_also_of_other_numbers_of_keys(masked):
    query = normal(0, 2, 3, 8)
    key = normal(1, 2, 5, 8)
    value = normal(2, 2, 5, 8)
    mask = np.array([[1, 1, 0, 0, 0], [1, 0, 0, 1, 1], [1, 1, 1, 1, 1]], bool)
    with jax.enable_x64(True):
        arrays = [jnp.asarray(x) for x in (query, key, value)]
        found = attend(*arrays, 2, jnp.asarray(mask) if masked else None)
    for head in (slice(0, 4), slice(4, 8)):
        logits = query[..., head] @ key[..., head].swapaxes(1, 2) / 2
        weights = softmax(np.where(mask, logits, -np.inf) if masked else logits, -1)
        np.testing.assert_allclose(found[..., head], weights @ value[..., head], rtol=1e-12)


def test_products_of_rotated_queries_and_keys_depend_on_the_difference_of_places():
    with jax.enable_x64(True):
        query, key = jnp.asarray(normal(0, 1, 4, 12)), jnp.asarray(normal(1, 1, 4, 12))

        def products(shift):
            places = jnp.arange(4) + shift
            return rotate(query, places, 2)[0] @ rotate(key, places, 2)[0].T

        np.testing.assert_allclose(products(0), products(1000), rtol=1e-9)
        assert np.abs(products(0) - query[0] @ key[0].T).max() > 0.1
        at_zero = rotate(query, jnp.zeros(4, jnp.int32), 2)
    np.testing.assert_array_equal(at_zero, query)


def test_rotations_are_complex_multiplication():
    x = normal(3, 1, 5, 12)
    places = np.array([0, 1, 7, 30, 100])
    with jax.enable_x64(True):
        found = np.asarray(rotate(jnp.asarray(x), jnp.asarray(places), 2))
    for head in range(2):
        columns = slice(6 * head, 6 * head + 6)
        pairs = x[0, :, columns][:, :3] + 1j * x[0, :, columns][:, 3:]
        turned = pairs * np.exp(1j * places[:, None] * 10_000.0 ** (-np.arange(3) / 3))
        expected = np.concatenate([turned.real, turned.imag], 1)
        np.testing.assert_allclose(found[0, :, columns], expected, rtol=1e-10)


def test_heads_need_pairs_of_channels():
    with pytest.raises(ValueError, match='^2 heads share 6 channels; each needs an even number'):
        rotate(jnp.zeros((1, 2, 6)), jnp.arange(2), 2)
    with pytest.raises(ValueError, match='^heads is 4; they must divide the 6 channels$'):
        attend(*[jnp.zeros((1, 2, 6))] * 3, 4)
