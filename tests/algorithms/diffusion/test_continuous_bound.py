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
from tests.algorithms.diffusion.gaussian import assert_mean

KEY = jax.random.key(4)
LEVELS = np.array([0, 1, 2, 130, 255]) * 2 / 255 - 1
SHARES = np.array([0.3, 0.2, 0.1, 0.15, 0.25])


def exact_denoise(path, shares=SHARES):
    """E[x_0 | x_t] of numbers on a few levels, each by itself."""

    def denoise(x, t):
        inner = tuple(range(1, x.ndim))
        alpha = jnp.expand_dims(path.alpha(t), inner)
        sigma = jnp.expand_dims(path.sigma(t), inner)
        levels = jnp.asarray(LEVELS, x.dtype).reshape(*[1] * x.ndim, -1)
        distance = (x[..., None] - alpha[..., None] * levels) / sigma[..., None]
        logits = -(distance**2) / 2 + jnp.log(jnp.asarray(shares, x.dtype)).reshape(levels.shape)
        return jnp.sum(jax.nn.softmax(logits) * levels, -1)

    return denoise


def draws(n):
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.choice(LEVELS, (n, 4, 1, 1), p=SHARES), jnp.float32)


@pytest.mark.parametrize(
    'path',
    [straight(), variance_exploding(), variance_preserving(), cosine()],
    ids=['straight', 'exploding', 'preserving', 'cosine'],
)
def test_with_the_exact_denoiser_it_is_the_entropy_of_the_data(path):
    x0 = draws(40_000)
    bits = jax.jit(lambda key, x0: bits_per_dim(key, path, exact_denoise(path), x0))(KEY, x0)
    entropy = -np.sum(SHARES * np.log2(SHARES))
    # -log2 p(x_0) of each example comes and goes with the example, and is known.
    shares = SHARES[np.abs(np.asarray(x0)[..., None] - LEVELS).argmin(-1)]
    own = -np.log2(shares).mean((1, 2, 3))
    assert own.mean() == pytest.approx(entropy, rel=0.02)
    assert_mean(np.asarray(bits, np.float64) - own, 0.0)


def test_another_denoiser_costs_the_divergence_to_its_law():
    path = straight()
    x0 = draws(40_000)
    other = np.array([0.1, 0.1, 0.3, 0.3, 0.2])
    denoise = exact_denoise(path, other)
    bits = np.asarray(jax.jit(lambda k, x: bits_per_dim(k, path, denoise, x))(KEY, x0), np.float64)
    shares = other[np.abs(np.asarray(x0)[..., None] - LEVELS).argmin(-1)]
    assert_mean(bits + np.log2(shares).mean((1, 2, 3)), 0.0)


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
        np.testing.assert_allclose(decoder_nats(x0, noise), expected, rtol=1e-9, atol=1e-12)
        assert decoder_nats(x0, noise)[2] > 0.1  # which is over halfway to the next level
