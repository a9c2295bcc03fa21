"""The continuous bound is the entropy where the denoiser is exact, on every path."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion import (
    bits_per_dim,
    cosine,
    straight,
    variance_exploding,
    variance_preserving,
)
from genjax.algorithms.diffusion.continuous_bound import LEAST_NOISE_LEVEL, decoder_nats
from tests.algorithms.diffusion.exact import SHARES, level_draws, levels_denoise, shares_of
from tests.algorithms.diffusion.gaussian import assert_mean

KEY = jax.random.key(4)


@pytest.mark.parametrize(
    'path',
    [straight(), variance_exploding(), variance_preserving(), cosine()],
    ids=['straight', 'exploding', 'preserving', 'cosine'],
)
def test_with_the_exact_denoiser_it_is_the_entropy_of_the_data(path):
    x0 = level_draws(40_000)
    bits = jax.jit(lambda key, x0: bits_per_dim(key, path, levels_denoise(path), x0))(KEY, x0)
    entropy = -np.sum(SHARES * np.log2(SHARES))
    # -log2 p(x_0) of each example comes and goes with the example, and is known.
    own = -np.log2(shares_of(x0)).mean((1, 2, 3))
    assert own.mean() == pytest.approx(entropy, rel=0.02)
    assert_mean(np.asarray(bits, np.float64) - own, 0.0)


def test_another_denoiser_costs_the_divergence_to_its_law():
    path = straight()
    x0 = level_draws(40_000)
    other = np.array([0.1, 0.1, 0.3, 0.3, 0.2])
    denoise = levels_denoise(path, other)
    bits = np.asarray(jax.jit(lambda k, x: bits_per_dim(k, path, denoise, x))(KEY, x0), np.float64)
    assert_mean(bits + np.log2(shares_of(x0, other)).mean((1, 2, 3)), 0.0)


def test_the_decoder_is_the_normalised_likelihood_of_all_levels():
    with jax.enable_x64(True):
        x0 = jnp.asarray([-1.0, -1.0, 0.5 / 127.5, 1.0])
        noise = jnp.asarray([-5.0, 5.0, 4.2, 3.0])
        levels = np.arange(256) * 2 / 255 - 1
        distance = (np.asarray(x0)[:, None] - levels) / LEAST_NOISE_LEVEL + np.asarray(noise)[
            :, None
        ]
        logs = -(distance**2) / 2
        expected = np.log(np.exp(logs - logs.max(1, keepdims=True)).sum(1)) + logs.max(1)
        expected = expected + np.asarray(noise) ** 2 / 2
        found = decoder_nats(x0, noise, LEAST_NOISE_LEVEL)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
        assert (
            decoder_nats(x0, noise, LEAST_NOISE_LEVEL)[2] > 0.1
        )  # which is over halfway to the next level
