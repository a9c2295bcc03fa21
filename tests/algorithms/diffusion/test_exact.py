"""The denoiser of a mixture: an integral over x_0, the nearest point, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion.exact import mixture_denoiser
from genjax.algorithms.diffusion.paths import straight, variance_exploding, variance_preserving
from tests.algorithms.diffusion.exact import MEANS, VARIANCES, WEIGHTS, mixture_denoise

PATHS = {
    'straight': (straight(), 0.3),
    'exploding': (variance_exploding(), 0.4),
    'preserving': (variance_preserving(), 0.2),
}
paths = pytest.mark.parametrize(('path', 't'), PATHS.values(), ids=PATHS)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def integrated(path, t, x):
    """E[x_0 | x_t = x] by the trapezoidal rule, which is exact on smooth functions that vanish at
    the ends."""
    side = np.linspace(-4, 4, 801)
    x0 = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    squares = ((x0[:, None] - MEANS[None]) ** 2).sum(-1)
    prior = (WEIGHTS / VARIANCES * np.exp(-squares / 2 / VARIANCES)).sum(-1)
    noise = ((x - path.alpha(t) * x0) ** 2).sum(-1) / path.sigma(t) ** 2
    posterior = prior * np.exp(-noise / 2)
    return (posterior[:, None] * x0).sum(0) / posterior.sum()


@paths
def test_it_is_the_mean_of_the_posterior(path, t):
    x = np.random.default_rng(0).normal(size=(5, 2))
    denoise = mixture_denoiser(path, WEIGHTS, MEANS, VARIANCES)
    found = denoise(jnp.asarray(x), jnp.full(5, t))
    expected = [integrated(path, t, one) for one in x]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@paths
def test_it_is_what_the_samplers_are_tested_by(path, t):
    x = jnp.asarray(np.random.default_rng(1).normal(size=(50, 2)))
    times = t * jnp.linspace(0.1, 2, 50)
    found = mixture_denoiser(path, WEIGHTS, MEANS, VARIANCES)(x, times)
    np.testing.assert_allclose(found, mixture_denoise(path)(x, times), atol=1e-12)


def test_of_points_it_is_their_mean_in_much_noise_and_the_nearest_in_little():
    points = np.random.default_rng(2).normal(size=(7, 3))
    denoise = mixture_denoiser(variance_exploding(), np.full(7, 1 / 7), points, np.zeros(7))
    x = jnp.asarray(points + 0.01)
    np.testing.assert_allclose(denoise(x, jnp.full(7, 0.01)), points, atol=1e-9)
    middle = np.broadcast_to(points.mean(0), (7, 3))
    np.testing.assert_allclose(denoise(x, jnp.full(7, 1e4)), middle, atol=1e-6)


def test_it_keeps_float32_where_little_is_left_of_the_noise():
    path = variance_exploding()
    x = np.random.default_rng(3).normal(size=(50, 2))
    denoise = mixture_denoiser(path, WEIGHTS, MEANS, VARIANCES)
    found = denoise(jnp.asarray(x, jnp.float32), jnp.full(50, 0.002, jnp.float32))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, denoise(jnp.asarray(x), jnp.full(50, 0.002)), atol=1e-5)


@pytest.mark.parametrize(
    ('weights', 'means', 'variances', 'message'),
    [
        ([0.5, 0.5], np.zeros(2), np.ones(2), 'have shapes'),
        ([0.5, 0.5], np.zeros((3, 2)), np.ones(2), 'have shapes'),
        ([0.5, 0.6], np.zeros((2, 2)), np.ones(2), 'weights are'),
        ([0.5, 0.5], np.zeros((2, 2)), [1.0, -1.0], 'variances are'),
    ],
)
def test_what_is_no_mixture_is_refused(weights, means, variances, message):
    with pytest.raises(ValueError, match=message):
        mixture_denoiser(straight(), weights, means, variances)
