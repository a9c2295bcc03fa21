"""The density in steps that an error estimate chooses, against exact ones and fixed steps."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion import (
    adaptive_log_density,
    hutchinson,
    log_density,
    straight,
    variance_exploding,
)
from tests.algorithms.diffusion.exact import mixture_denoise, mixture_draws, normal_denoise

KEY = jax.random.key(7)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def test_its_error_follows_the_tolerance():
    path = variance_exploding(end=500.0)
    x = jnp.asarray(mixture_draws(np.random.default_rng(0), 20))
    denoise = mixture_denoise(path)
    expected = log_density(KEY, path, denoise, x, steps=800)

    @partial(jax.jit, static_argnums=0)
    def solve(tolerance):
        return adaptive_log_density(KEY, path, denoise, x, tolerance=tolerance)

    coarse, few = solve(1e-4)
    fine, many = solve(1e-8)
    assert 1e-5 < np.abs(coarse - expected).max() < 0.03
    assert np.abs(fine - expected).max() < 1e-6
    assert np.all(few < many)


@pytest.mark.slow
def test_an_example_is_solved_by_itself_and_with_hutchinsons_trace_too():
    # On normal data of one variance the Jacobian is a multiple of 1, whose trace any signs give.
    path = variance_exploding()
    x = jnp.asarray(np.random.default_rng(1).normal(size=(4, 3)) * np.array([[1], [2], [5], [9]]))
    denoise = normal_denoise(path, 0.5)

    def density(x):
        return adaptive_log_density(
            KEY,
            path,
            denoise,
            x,
            trace=hutchinson(),
            tolerance=1e-8,
            prior_deviation=np.sqrt(0.5 + path.end**2),
        )[0]

    found = density(x)
    variance = 0.5 + path.start**2
    exact = -(np.sum(np.asarray(x) ** 2, -1) / variance + 3 * np.log(2 * np.pi * variance)) / 2
    np.testing.assert_allclose(found, exact, rtol=1e-6)
    np.testing.assert_allclose(density(x[:1]), found[:1], rtol=1e-12)


def test_one_that_needs_more_steps_than_are_allowed_is_nan():
    path = straight()
    x = jnp.asarray(mixture_draws(np.random.default_rng(2), 3))
    found, steps = adaptive_log_density(KEY, path, mixture_denoise(path), x, most_steps=5)
    assert np.all(np.isnan(found))
    assert np.all(steps <= 5)


@pytest.mark.parametrize('tolerance', [0.0, -1e-5, np.nan])
def test_a_tolerance_that_is_none_is_refused(tolerance):
    path = straight()
    with pytest.raises(ValueError, match=f'^tolerance is {tolerance}; it must be positive$'):
        adaptive_log_density(
            KEY, path, mixture_denoise(path), jnp.zeros((1, 2)), tolerance=tolerance
        )
