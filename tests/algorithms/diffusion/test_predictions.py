"""Predictions: one solution for all of them, and the papers' formulas."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion import predictions, weights
from genjax.algorithms.diffusion.paths import (
    straight,
    trigonometric,
    variance_exploding,
    variance_preserving,
)
from genjax.algorithms.diffusion.predictions import (
    convert,
    preconditioning,
    predicted_x0,
    target,
)

ALL = {
    'edm': predictions.edm(0.5),
    'eps': predictions.eps(),
    'score': predictions.score(),
    'v': predictions.v(),
    'velocity': predictions.velocity(),
    'x0': predictions.x0(),
}
T = np.array([0.05, 0.4, 0.9])
RNG = np.random.default_rng(0)
X0, EPS = RNG.normal(size=(2, 3))


def x_at(path, t):
    return path.alpha(t) * X0 + path.sigma(t) * EPS


@pytest.mark.parametrize('path', [variance_preserving(), variance_exploding(), straight()])
@pytest.mark.parametrize(('source', 'to'), list(itertools.permutations(ALL, 2)))
def test_every_prediction_gives_every_other(source, to, path):
    source, to = ALL[source], ALL[to]
    given = target(path, source, T, X0, EPS)
    wanted = target(path, to, T, X0, EPS)
    x = x_at(path, T)
    there = convert(path, source, to, T, x, given)
    np.testing.assert_allclose(there, wanted, rtol=1e-10)
    np.testing.assert_allclose(convert(path, to, source, T, x, there), given, rtol=1e-9)
    np.testing.assert_allclose(predicted_x0(path, source, T, x, given), X0, rtol=1e-10)


def test_the_rows_are_the_papers_formulas():
    path = variance_preserving()
    alpha, sigma = path.alpha(T), path.sigma(T)
    step = 1e-6
    expected = {
        'eps': EPS,
        'score': -(x_at(path, T) - alpha * X0) / sigma**2,
        'v': alpha * EPS - sigma * X0,
        'velocity': (x_at(path, T + step) - x_at(path, T - step)) / (2 * step),
        'x0': X0,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(target(path, ALL[name], T, X0, EPS), value, rtol=1e-8)
    line = straight()
    np.testing.assert_allclose(target(line, ALL['velocity'], T, X0, EPS), EPS - X0, rtol=1e-12)


def test_the_velocity_of_the_trigonometric_path_is_v_and_edms_f_is_minus_v_for_unit_data():
    path = trigonometric()
    v = target(path, ALL['v'], T, X0, EPS)
    np.testing.assert_allclose(target(path, ALL['velocity'], T, X0, EPS), v, rtol=1e-12)
    np.testing.assert_allclose(target(path, predictions.edm(1.0), T, X0, EPS), -v, rtol=1e-12)


def test_edms_coefficients_are_those_of_its_table():
    path, deviation = variance_exploding(), 0.5
    sigma = np.array([0.002, 0.5, 80.0])
    total = np.sqrt(sigma**2 + deviation**2)
    edm = predictions.edm(deviation)
    c_skip, c_out = preconditioning(path, edm, sigma)
    np.testing.assert_allclose(c_skip, deviation**2 / total**2, rtol=1e-12)
    np.testing.assert_allclose(c_out, sigma * deviation / total, rtol=1e-12)
    np.testing.assert_allclose(edm.scale(path, sigma), 1 / total, rtol=1e-12)
    np.testing.assert_allclose(edm.condition(path, sigma), np.log(sigma) / 4, rtol=1e-12)


@pytest.mark.parametrize('path', [variance_preserving(), variance_exploding(), straight()])
def test_edms_network_has_unit_variance_in_and_out_on_any_path(path):
    deviation = 0.3
    edm = predictions.edm(deviation)
    a, b = edm.row(path, T)
    np.testing.assert_allclose(a**2 * deviation**2 + b**2, 1, rtol=1e-12)
    variance = (path.alpha(T) * deviation) ** 2 + path.sigma(T) ** 2
    np.testing.assert_allclose(edm.scale(path, T) ** 2 * variance, 1, rtol=1e-12)
    # What it gives is not told by what it is given: the two have no covariance.
    covariance = a * path.alpha(T) * deviation**2 + b * path.sigma(T)
    np.testing.assert_allclose(covariance, 0, atol=1e-12)


def test_ill_conditioned_is_what_the_docstring_says():
    """How an error of y grows in x_0 and in eps, at both ends of EDM's path."""
    path = variance_exploding()

    def growth(name, t):
        x = jnp.zeros(())
        with_error = convert(path, ALL[name], ALL['x0'], t, x, np.float64(1.0))
        return abs(with_error - convert(path, ALL[name], ALL['x0'], t, x, np.float64(0.0)))

    assert growth('eps', np.float64(80.0)) == pytest.approx(80)
    assert growth('score', np.float64(80.0)) == pytest.approx(80**2)
    assert growth('edm', np.float64(80.0)) == pytest.approx(0.5, rel=1e-4)
    assert growth('edm', np.float64(0.002)) == pytest.approx(0.002, rel=1e-4)


@pytest.mark.parametrize('deviation', [0.0, -0.5, float('nan')])
@pytest.mark.parametrize('make', [predictions.edm, weights.edm_error])
def test_data_without_a_deviation_are_refused(make, deviation):
    with pytest.raises(ValueError, match=rf'data_deviation is {deviation}; it must be positive'):
        make(deviation)
