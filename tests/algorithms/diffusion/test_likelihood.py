"""The bound against closed forms on normal data, and the decoder against scipy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from genjax.algorithms.diffusion import bound, decoder_log_likelihood
from tests.algorithms.diffusion.gaussian import (
    BETAS,
    KEY,
    MU,
    PROCESS,
    SHAPE,
    SIGMA,
    T,
    assert_mean,
    exact_predict,
    normal_data,
)


@pytest.mark.parametrize('scale', [0.0074, 0.05, 1.0])
@pytest.mark.parametrize('mean', [-2.0, -0.99, 0.123, 0.5])
def test_decoder_is_a_distribution_over_the_levels(mean, scale):
    levels = np.linspace(-1, 1, 256)
    ours = decoder_log_likelihood(jnp.asarray(levels, jnp.float32), jnp.float32(mean), scale)
    np.testing.assert_allclose(np.exp(np.asarray(ours, np.float64)).sum(), 1, rtol=1e-5)
    upper = np.append(levels[:-1] + 1 / 255, np.inf)
    lower = np.append(-np.inf, levels[1:] - 1 / 255)
    # The upper tail is taken from the survival function, where scipy's difference keeps its digits.
    tail = norm.sf(lower, mean, scale) - norm.sf(upper, mean, scale)
    head = norm.cdf(upper, mean, scale) - norm.cdf(lower, mean, scale)
    mass = np.where(lower > mean, tail, head)
    positive = mass > 1e-250
    np.testing.assert_allclose(ours[positive], np.log(mass[positive]), rtol=1e-3, atol=1e-3)
    assert np.isfinite(ours).all()


def closed_bound():
    """The expected L_1..L_T, bits/dim, float64.

    On normal data, for the exact predictor and the large variance.
    """
    terms = []
    for t in range(2, T + 1):
        bar = PROCESS.alpha_bar[t]
        before = PROCESS.alpha_bar[t - 1]
        beta = BETAS[t - 1]
        # The covariance of x_0 given x_t.
        left = np.linalg.inv(np.linalg.inv(SIGMA) + bar / (1 - bar) * np.eye(3))
        gap = (np.sqrt(before) * beta / (1 - bar)) ** 2 * np.trace(left)
        ratio = (1 - before) / (1 - bar)
        terms.append((3 * (ratio - 1 - np.log(ratio)) + gap / beta) / 2)
    bar = PROCESS.alpha_bar[-1]
    terms.append((bar * (np.trace(SIGMA) + MU @ MU) - 3 * bar - 3 * np.log(1 - bar)) / 2)
    return np.array(terms) / (3 * np.log(2))


def test_bound_on_normal_data_is_the_closed_form_term_by_term():
    data_key, bound_key = jax.random.split(KEY)
    terms_of = partial(bound, process=PROCESS, predict=exact_predict(PROCESS), clip=np.inf)
    terms = jax.jit(terms_of)(bound_key, x0=normal_data(data_key, 20_000))
    assert terms.shape == (20_000, T + 1)
    assert_mean(terms[:, 1:], closed_bound())


def test_first_term_of_the_bound_is_the_quadrature():
    """L_0 at fixed 8-bit data, for a predictor of zero.

    Its expectation over x_1 is by Gauss-Hermite, in float64.
    """
    x0 = np.array([-1.0, -1 + 2 * 100 / 255, 1.0])
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    bar = PROCESS.alpha_bar[1]
    scale = np.sqrt(PROCESS.model_variance[1])
    # Without noise the mean is x_1, scaled.
    mean = (np.sqrt(bar) * x0 + np.sqrt(1 - bar) * nodes[:, None]) / np.sqrt(bar)
    upper = np.where(x0 == 1, np.inf, x0 + 1 / 255)
    lower = np.where(x0 == -1, -np.inf, x0 - 1 / 255)
    # Mirrored to lie below the mean, where the difference keeps its digits.
    above = lower + upper > 2 * mean
    high = np.where(above, 2 * mean - lower, upper)
    low = np.where(above, 2 * mean - upper, lower)
    nats = -np.log(norm.cdf(high, mean, scale) - norm.cdf(low, mean, scale))
    expected = (weights / weights.sum()) @ nats.mean(1) / np.log(2)
    many = jnp.broadcast_to(jnp.asarray(x0, jnp.float32).reshape(1, *SHAPE), (20_000, *SHAPE))

    def predict(x, t):
        return jnp.zeros_like(x)

    terms = bound(KEY, PROCESS, predict, many, clip=np.inf)
    assert_mean(terms[:, 0], expected)
