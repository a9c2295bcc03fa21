"""Paths: their ends, their clocks, and that DDPM's schedules come to them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion.paths import (
    cosine,
    discrete,
    log_snr,
    noise_level,
    slopes,
    straight,
    time_of_noise_level,
    trigonometric,
    variance_exploding,
    variance_preserving,
)
from genjax.algorithms.diffusion.process import cosine_schedule, linear_schedule, make_process

PATHS = {
    'cosine': cosine(),
    'straight': straight(),
    'trigonometric': trigonometric(),
    'trigonometric of half the deviation': trigonometric(data_deviation=0.5),
    'variance_exploding': variance_exploding(),
    'variance_preserving': variance_preserving(),
}
paths = pytest.mark.parametrize('path', PATHS.values(), ids=PATHS)


def inside(path):
    return np.linspace(path.start, path.end, 12)[:-1]


@paths
def test_it_begins_with_the_data_and_its_clock_is_the_inverse_of_the_log_snr(path):
    assert path.alpha(np.float64(0)) == 1 and path.sigma(np.float64(0)) == 0
    t = inside(path)
    ratios = log_snr(path, t)
    assert np.all(np.diff(ratios) < 0)
    np.testing.assert_allclose(ratios, np.log(path.alpha(t) ** 2 / path.sigma(t) ** 2), rtol=1e-10)
    np.testing.assert_allclose(path.time(ratios), t, rtol=1e-10)
    np.testing.assert_allclose(time_of_noise_level(path, noise_level(path, t)), t, rtol=1e-10)


@paths
def test_slopes_are_those_of_differences_on_the_host_and_where_jax_traces(path):
    t = inside(path)
    step = 1e-4 * t
    differences = [
        (curve(t + step) - curve(t - step)) / (2 * step) for curve in (path.alpha, path.sigma)
    ]
    np.testing.assert_allclose(slopes(path, t), differences, rtol=1e-6, atol=1e-8)

    @jax.jit
    def traced(t_of_jax):
        host = slopes(path, t)  # stays of the host and float64
        assert all(isinstance(slope, np.ndarray) and slope.dtype == np.float64 for slope in host)
        return slopes(path, t_of_jax)

    np.testing.assert_allclose(
        traced(jnp.asarray(t, jnp.float32)), differences, rtol=1e-4, atol=1e-6
    )


@paths
def test_float32_keeps_its_digits_near_the_data(path):
    t = np.float32(path.start)
    for curve in (path.alpha, path.sigma):
        np.testing.assert_allclose(curve(jnp.asarray(t)), curve(np.float64(t)), rtol=1e-5)


@pytest.mark.parametrize('name', ['variance_preserving', 'trigonometric', 'cosine'])
def test_the_variance_of_unit_data_is_preserved(name):
    path = PATHS[name]
    t = inside(path)
    np.testing.assert_allclose(path.alpha(t) ** 2 + path.sigma(t) ** 2, 1, rtol=1e-12)


def errors_of_alpha(path, schedule, lengths):
    """How far alpha of T steps lies from the path's at the same shares of the way."""
    shares = np.array([0.1, 0.3, 0.5, 0.8])
    errors = []
    for T in lengths:
        alpha = np.sqrt(make_process(schedule(T)).alpha_bar[(shares * T).astype(int)])
        errors.append(np.abs(alpha - path.alpha(shares)).max())
    return errors


def test_the_linear_schedule_comes_to_its_path_at_first_order():
    def schedule(T):
        """DDPM's betas, which are those of T = 1000."""
        return linear_schedule(T, 0.1 / T, 20 / T)

    errors = errors_of_alpha(variance_preserving(), schedule, (1000, 2000, 4000))
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 1, atol=0.05)


def test_the_cosine_schedule_lies_on_its_path():
    np.testing.assert_allclose(errors_of_alpha(cosine(), cosine_schedule, (1000,)), 0, atol=1e-12)


def test_the_steps_of_a_process_are_a_path_in_whole_numbers():
    process = make_process(linear_schedule(1000))
    path = discrete(process)
    t = np.arange(1, 1001)
    np.testing.assert_array_equal(path.alpha(t), np.sqrt(process.alpha_bar[1:]))
    np.testing.assert_array_equal(path.time(log_snr(path, t)), t)
    levels = noise_level(path, t)
    found = jax.jit(lambda level: time_of_noise_level(path, level))(jnp.asarray(levels, 'float32'))
    assert found.dtype == jnp.int32
    np.testing.assert_array_equal(found, t)
    traced = jax.jit(path.sigma)(jnp.asarray(t))
    np.testing.assert_allclose(traced, path.sigma(t), rtol=1e-6)


def test_the_trigonometric_path_keeps_the_deviation_of_the_data():
    path = trigonometric(data_deviation=0.5)
    t = inside(path)
    deviation = np.hypot(path.alpha(t) * 0.5, path.sigma(t))
    np.testing.assert_allclose(deviation, 0.5, rtol=1e-12)
    with pytest.raises(ValueError, match='^data_deviation is 0.0; it must be positive$'):
        trigonometric(data_deviation=0.0)
