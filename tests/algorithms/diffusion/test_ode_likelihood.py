"""The density by the probability-flow ODE against exact densities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion import (
    exact_trace,
    hutchinson,
    log_density,
    ode_bits_per_dim,
    straight,
    variance_exploding,
    variance_preserving,
)
from tests.algorithms.diffusion.exact import (
    level_draws,
    levels_denoise,
    mixture_denoise,
    mixture_draws,
    mixture_log_density,
    normal_denoise,
    order,
    shares_of,
)
from tests.algorithms.diffusion.gaussian import assert_mean

KEY = jax.random.key(6)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def test_on_normal_data_it_converges_at_fourth_order_and_the_priors_error_is_known():
    variances = jnp.asarray([0.2, 0.5, 1.5])
    path = variance_exploding(start=1e-3)
    x = jnp.asarray([[0.3, -0.5, 1.0]])

    def density(steps, prior=None):
        return log_density(
            KEY, path, normal_denoise(path, variances[None]), x, steps=steps, prior_deviation=prior
        )[0]

    def exact(noise):
        total = np.asarray(variances) + noise
        return -np.sum(np.asarray(x)[0] ** 2 / total + np.log(2 * np.pi * total)) / 2

    # The prior N(0, sigma^2) is narrower than x_t at the end by the data: what it costs is its
    # log density at the flow's end less that of the right one.
    total = np.asarray(variances) + 80**2
    end = np.asarray(x)[0] * np.sqrt(total / (np.asarray(variances) + 1e-6))
    right = -np.sum(end**2 / total + np.log(2 * np.pi * total)) / 2
    narrow = -np.sum(end**2 / 80**2 + np.log(2 * np.pi * 80**2)) / 2
    errors = [abs(density(n) - (narrow - right) - exact(1e-6)) for n in (20, 40, 80)]
    assert errors == pytest.approx([3.2e-3, 2.5e-4, 1.7e-5], rel=0.1)
    assert order([40, 80], errors[1:]) == pytest.approx(4, abs=0.2)
    assert narrow - right == pytest.approx(6.7e-5, rel=0.2)


@pytest.mark.parametrize(
    'path', [straight(), variance_exploding(end=500.0), variance_preserving(1.0, 20.0)]
)
def test_on_a_mixture_it_is_the_density_in_the_right_direction(path):
    x = jnp.asarray(mixture_draws(np.random.default_rng(0), 50))
    start = path.alpha(path.start), path.sigma(path.start)
    ours = log_density(KEY, path, mixture_denoise(path), start[0] * x, steps=100)
    noise = (start[1] / start[0]) ** 2
    expected = mixture_log_density(np.asarray(x), noise) - 2 * np.log(start[0])
    # At the end x_t has the mean of the mixture times alpha, which the prior has not.
    np.testing.assert_allclose(ours, expected, atol=3e-3)


def test_the_trace_is_exact_and_hutchinsons_is_unbiased():
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(6, 6)))
    x = jnp.asarray(np.random.default_rng(2).normal(size=(3, 2, 3)))

    def function(x):
        flat = x.reshape(len(x), 6)
        return jnp.tanh(flat @ weights).reshape(x.shape)

    slopes = 1 - np.tanh(np.asarray(x).reshape(3, 6) @ np.asarray(weights)) ** 2
    expected = slopes @ np.diag(weights)
    value, trace = exact_trace(KEY, function, x)
    np.testing.assert_allclose(value, function(x), rtol=1e-12)
    np.testing.assert_allclose(trace, expected, rtol=1e-10)

    def estimate(key):
        return hutchinson(2)(key, function, x)[1]

    estimates = jax.vmap(estimate)(jax.random.split(KEY, 4000))
    assert_mean(estimates, expected)
    assert float(jnp.std(estimates)) > 0.1


def test_with_hutchinsons_trace_the_mean_over_keys_is_the_density():
    path = variance_exploding(start=0.05)
    x = jnp.asarray(mixture_draws(np.random.default_rng(3), 4))

    def density(key, trace):
        return log_density(key, path, mixture_denoise(path), x, steps=20, trace=trace)

    exact = density(KEY, exact_trace)
    estimates = jax.vmap(lambda key: density(key, hutchinson()))(jax.random.split(KEY, 500))
    assert_mean(estimates, exact)


def test_with_the_exact_denoiser_the_bits_are_the_entropy_of_the_data():
    path = straight()
    x0 = jnp.asarray(level_draws(500), jnp.float64)

    def density(key, x):
        return log_density(key, path, levels_denoise(path), x, steps=100)

    bits = jax.jit(lambda key, x0: ode_bits_per_dim(key, path, density, x0))(KEY, x0)
    own = -np.log2(shares_of(x0)).mean((1, 2, 3))
    assert_mean(np.asarray(bits) - own, 0.0)


def test_no_steps_are_refused():
    path = straight()
    with pytest.raises(ValueError, match='^steps is 0; needed: 1 or more$'):
        log_density(KEY, path, mixture_denoise(path), jnp.zeros((1, 2)), steps=0)
