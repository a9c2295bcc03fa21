"""Weights of squared errors by what their gradients are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion.flow_maps import adaptive, even, per_duration

SQUARES = jnp.array([0.0, 1e-3, 0.5, 20.0])
T = jnp.array([0.5, 0.5, 0.8, 1.0])
R = jnp.array([0.25, 0.75, 0.0, 0.5])


def test_half_a_power_is_twice_the_gradient_of_pseudo_huber():
    def pseudo_huber(squares):
        return jnp.sqrt(squares + 0.06**2) - 0.06

    expected = 2 * jax.vmap(jax.grad(pseudo_huber))(SQUARES)
    np.testing.assert_allclose(adaptive(0.5, 0.06**2)(SQUARES, T, R), expected, rtol=1e-5)


def test_a_whole_power_is_the_gradient_of_a_logarithm():
    expected = jax.vmap(jax.grad(lambda squares: jnp.log(squares + 1e-3)))(SQUARES)
    np.testing.assert_allclose(adaptive()(SQUARES, T, R), expected, rtol=1e-5)


def test_no_power_and_even_weights_are_one():
    np.testing.assert_array_equal(adaptive(0.0)(SQUARES, T, R), jnp.ones(4))
    np.testing.assert_array_equal(even(SQUARES, T, R), jnp.ones(4))


def test_a_weight_is_divided_by_the_duration_in_either_direction():
    np.testing.assert_allclose(per_duration()(SQUARES, T, R), [4, 4, 1.25, 2], rtol=1e-6)
    squared = per_duration(adaptive(1.0, 1.0))(SQUARES, T, R)
    np.testing.assert_allclose(squared, np.array([4, 4, 1.25, 2]) / (1 + SQUARES), rtol=1e-6)


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match='^p is -1, c 0.001; needed: >= 0, > 0$'):
        adaptive(-1)
