"""Guidance: where it is none, and what it makes of two normal classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion import guided, heun, karras_times, variance_exploding
from tests.algorithms.diffusion.exact import mixture_denoise, normal_denoise

PATH = variance_exploding()
KEY = jax.random.key(2)
T = jnp.asarray([0.01, 0.5, 3.0, 40.0])
X = jax.random.normal(KEY, (4, 2))


def class_denoise(mean):
    return normal_denoise(PATH, 0.25, mean)


def test_a_scale_of_one_and_a_model_guided_by_itself_change_nothing_to_the_bit():
    model, other = class_denoise(1.0), mixture_denoise(PATH)
    np.testing.assert_array_equal(guided(model, other, PATH, scale=1.0)(X, T), model(X, T))
    np.testing.assert_array_equal(guided(model, model, PATH, scale=3.0)(X, T), model(X, T))


def test_outside_of_its_interval_nothing_changes_to_the_bit():
    model, other = class_denoise(1.0), mixture_denoise(PATH)
    everywhere = guided(model, other, PATH, scale=2.0)(X, T)
    within = guided(model, other, PATH, scale=2.0, interval=(0.1, 10.0))(X, T)
    np.testing.assert_array_equal(within[1:3], everywhere[1:3])
    np.testing.assert_array_equal(within[::3], model(X, T)[::3])
    assert float(jnp.abs(everywhere - model(X, T)).min()) > 0


def test_a_scale_of_nought_is_the_reference():
    model, other = class_denoise(1.0), mixture_denoise(PATH)
    np.testing.assert_allclose(
        guided(model, other, PATH, scale=0.0)(X, T), other(X, T), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize('scale', [2.0, 4.0])
def test_on_two_normal_classes_it_is_the_theory_and_not_the_tilted_density(scale):
    """Classes N(m, v) and N(-m, v), of which the guide knows N(0, v + m^2) only.

    The guided flow is linear: with gains g = v / (v + s^2) and h = u / (u + s^2), u = v + m^2, the
    estimate is (w g - (w - 1) h) x + w (1 - g) m. The integral of that ODE is known; what the
    tilted density p(x) (p(x | y) / p(x))^w would have is another variance.
    """
    with jax.enable_x64(True):
        mean, variance = 0.8, 0.25
        total = variance + mean**2
        model = normal_denoise(PATH, variance, mean)
        guide = normal_denoise(PATH, total)
        denoise = guided(model, guide, PATH, scale=scale)
        times = karras_times(PATH, 400)
        ends = np.asarray(heun(PATH, times)(KEY, denoise, jnp.asarray([[-80.0], [80.0]])))[:, 0]

    # d x / d s = (x - D) / s: x goes by the power s of both densities' deviations.
    def deviations(level):
        own = np.sqrt(variance + level**2) ** scale
        return own / np.sqrt(total + level**2) ** (scale - 1)

    stretch = (ends[1] - ends[0]) / 160
    assert stretch == pytest.approx(deviations(0.0) / deviations(80.0), rel=2e-3)
    guided_variance = (stretch * 80) ** 2
    tilted = 1 / (scale / variance - (scale - 1) / total)
    assert abs(guided_variance / tilted - 1) > 0.1
