"""Finite scalar quantisation: its codes, their numbers and its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.discrete_codes import fsq
from genjax.algorithms.discrete_codes.fsq import squash

LEVELS = (5, 4, 2, 3)


def test_codes_and_numbers_are_a_bijection():
    quantiser = fsq(LEVELS)
    assert quantiser.size == 120 and quantiser.features == 4
    index = jnp.arange(120)
    codes = quantiser.lookup({}, index)
    assert len(np.unique(codes, axis=0)) == 120
    assert codes.min() == -1 and codes.max() == 1
    # Each code is its own nearest: features that are squashed to it are given its number.
    centre = np.array(LEVELS) // 2
    half = (np.array(LEVELS) - 1) * 1.001 / 2
    offset = np.where(np.array(LEVELS) % 2 == 0, 0.5, 0)
    z = np.arctanh((np.asarray(codes) * centre + offset) / half) - np.arctanh(offset / half)
    found = quantiser.quantise({}, jnp.asarray(z, jnp.float32).reshape(2, 60, 4))
    np.testing.assert_array_equal(found.index.ravel(), index)
    np.testing.assert_allclose(found.code.reshape(120, 4), codes, atol=1e-6)
    assert not found.loss.any()


def test_features_that_spread_use_every_code():
    """Each of the 60 is met, and none else."""
    z = jax.random.normal(jax.random.key(0), (20_000, 3))
    index = fsq((5, 4, 3)).quantise({}, z).index
    assert np.array_equal(np.unique(index), np.arange(60))


def test_the_gradient_is_that_of_squashing_as_if_nothing_were_rounded():
    with jax.enable_x64(True):
        z = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)))
        weight = jnp.asarray(np.random.default_rng(1).normal(size=(3, 4)))

        def of_code(z):
            return jnp.sum(weight * fsq(LEVELS).quantise({}, z).code)

        def unrounded(z):
            levels = np.array(LEVELS)[None]
            return jnp.sum(weight * squash(z, levels) / jnp.asarray(levels // 2, z.dtype))

        np.testing.assert_allclose(jax.grad(of_code)(z), jax.grad(unrounded)(z), rtol=1e-12)
        assert float(jnp.abs(jax.grad(of_code)(z)).min()) > 0


def test_nought_stays_nought():
    assert not np.asarray(fsq(LEVELS).quantise({}, jnp.zeros((1, 4))).code).any()


@pytest.mark.parametrize('levels', [(), (3, 1)])
def test_levels_are_two_or_more(levels):
    with pytest.raises(ValueError, match='^levels are .*; needed: one number or more, each at'):
        fsq(levels)
