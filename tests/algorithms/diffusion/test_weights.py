"""Weights over log-SNR: each is its paper's error, and the bound's gives the entropy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from genjax.algorithms.diffusion import predictions, weights
from genjax.algorithms.diffusion.paths import (
    log_snr,
    straight,
    variance_exploding,
    variance_preserving,
)
from genjax.algorithms.diffusion.predictions import convert

T = np.array([0.05, 0.4, 0.9])


def error_for_unit_error_of_x0(path, prediction):
    """|y - y'|^2 where the x_0 that y and y' imply differ by 1."""
    x = np.zeros(3)
    ends = [
        convert(path, predictions.x0(), prediction, T, x, np.full(3, value)) for value in (0.0, 1.0)
    ]
    return (ends[1] - ends[0]) ** 2


@pytest.mark.parametrize(
    ('weight', 'prediction', 'path'),
    [
        (weights.simple, predictions.eps(), variance_preserving()),
        (weights.simple, predictions.eps(), variance_exploding()),
        (weights.v_error, predictions.v(), variance_preserving()),
        (weights.flow, predictions.velocity(), straight()),
        (weights.edm_error(0.5), predictions.edm(0.5), variance_exploding()),
        (weights.edm_error(0.5), predictions.edm(0.5), variance_preserving()),
    ],
)
def test_it_is_the_error_of_a_prediction(weight, prediction, path):
    with jax.enable_x64(True):
        ours = weight(jnp.asarray(log_snr(path, T)))
    np.testing.assert_allclose(ours, error_for_unit_error_of_x0(path, prediction), rtol=1e-10)


def test_the_others_are_their_papers_formulas():
    snr = np.array([1e-3, 0.5, 4.0, 30.0])
    with jax.enable_x64(True):
        log_ratio = jnp.log(snr)
        np.testing.assert_allclose(
            weights.edm_error(0.5)(log_ratio), (1 / snr + 0.25) / (0.25 / snr), rtol=1e-12
        )
        np.testing.assert_allclose(weights.min_snr(5.0)(log_ratio), np.minimum(snr, 5))
        np.testing.assert_allclose(weights.p2(0.5, 1.0)(log_ratio), snr / np.sqrt(1 + snr))
        sigmoid = snr / (1 + snr * np.exp(-2.0))  # SNR sigmoid(2 - log SNR)
        np.testing.assert_allclose(weights.sigmoid_error(2.0)(log_ratio), sigmoid, rtol=1e-12)
        np.testing.assert_allclose(weights.bound_density(log_ratio), snr / 2, rtol=1e-12)
    assert np.isfinite(weights.sigmoid_error()(jnp.asarray(200.0)))


@pytest.mark.parametrize('variance', [0.3, 2.0])
def test_the_bounds_weight_of_the_least_errors_gives_the_entropy(variance):
    """Guo et al. 2005, arXiv:cs/0412108: differences of entropies are integrals of least errors."""

    def difference(log_ratio):
        snr = np.exp(log_ratio)
        unit_error = 1 / (1 + snr)
        error = variance / (1 + variance * snr)
        return weights.bound_density(jnp.asarray(log_ratio)) * (unit_error - error)

    with jax.enable_x64(True):
        integral = quad(difference, -40, 40, limit=400)[0]
    entropy = np.log(2 * np.pi * np.e) / 2 - integral
    assert entropy == pytest.approx(np.log(2 * np.pi * np.e * variance) / 2, abs=1e-9)
