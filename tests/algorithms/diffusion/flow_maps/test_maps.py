"""Samples by a few evaluations of the exact map, and what forms make of networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion import predictions, straight, trigonometric
from genjax.algorithms.diffusion.flow_maps import (
    average_velocity,
    by_maps,
    by_velocity,
    consistency_form,
    flow_map,
    jump_times,
    with_noise,
)
from genjax.algorithms.diffusion.predictions import predicted_x0
from tests.algorithms.diffusion.flow_maps.exact_maps import (
    MEAN,
    PATHS,
    VARIANCE,
    draw_at,
    exact_jump,
    exact_velocity,
    ode_velocity,
)
from tests.algorithms.diffusion.gaussian import KEY, assert_mean

every_path = pytest.mark.parametrize('name', PATHS)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@every_path
@pytest.mark.parametrize('steps', [1, 2, 4, 8])
def test_steps_of_the_exact_map_are_one_jump(name, steps):
    path = PATHS[name]
    x = draw_at(name, 20, path.end, 0.0).x
    found = by_maps(jump_times(path, steps))(KEY, exact_velocity(name), x)
    end = jnp.full(20, path.end)
    np.testing.assert_allclose(found, exact_jump(name, x, end, 0 * end), atol=1e-9)


@every_path
@pytest.mark.parametrize('steps', [1, 2, 8])
def test_samples_with_noise_between_have_the_law_of_the_data(name, steps):
    path = PATHS[name]
    x_T = draw_at(name, 20_000, path.end, 0.0).x
    x = with_noise(path, jump_times(path, steps))(KEY, exact_velocity(name), x_T)
    assert_mean(x, MEAN)
    assert_mean((x - MEAN) ** 2, VARIANCE)
    if steps > 1:  # of which the first draw says little
        without = by_maps(jump_times(path, steps))(KEY, exact_velocity(name), x_T)
        assert abs(np.corrcoef(x[:, 0], without[:, 0])[0, 1]) < 0.95


@every_path
def test_the_ode_of_the_diagonal_reaches_the_map_by_its_second_order(name):
    path = PATHS[name]
    x = draw_at(name, 20, path.end, 0.0).x
    end = jnp.full(20, path.end)
    exact = exact_jump(name, x, end, 0 * end)

    def error(steps):
        found = by_velocity(jump_times(path, steps))(KEY, exact_velocity(name), x)
        return float(jnp.abs(found - exact).max())

    assert np.log2(error(20) / error(40)) == pytest.approx(2, abs=0.3)
    assert error(40) < 1e-2


def test_a_network_of_the_average_velocity_is_told_both_times():
    def network(x, condition, duration):
        return x + condition[:, None] + 100 * duration[:, None]

    x = jnp.ones((2, 1))
    t, r = jnp.array([0.5, 0.8]), jnp.array([0.25, 0.8])
    found = average_velocity(scale=10.0)(network)(x, t, r)
    np.testing.assert_allclose(found[:, 0], [1 + 5 + 250, 1 + 8], rtol=1e-12)


@pytest.mark.parametrize(
    ('name', 'prediction'),
    [
        ('variance_exploding', predictions.edm(0.5)),
        ('trigonometric', predictions.v()),
        ('straight', predictions.velocity()),
    ],
)
def test_a_denoiser_is_a_consistency_function_at_its_beginning(name, prediction):
    """X(x, t, 0) is what the denoiser gives, also near the data."""
    path = PATHS[name]

    def network(x, condition):
        return jnp.sin(3 * x) + condition[:, None] / 1000

    velocity = consistency_form(path, prediction)(network)
    t = jnp.array([1e-3, 0.1, 0.5, 1.0])
    x = jnp.linspace(-1, 2, 4)[:, None]
    y = network(jax.vmap(jnp.multiply)(prediction.scale(path, t), x), prediction.condition(path, t))
    x0 = jax.vmap(lambda t, x, y: predicted_x0(path, prediction, t, x, y))(t, x, y)
    np.testing.assert_allclose(flow_map(velocity, x, t, 0 * t), x0, atol=1e-12)
    assert float(jnp.abs(velocity(x, t, 0 * t)).max()) < 20


def test_edms_f_by_an_angle_is_that_of_continuous_consistency_with_the_other_sign():
    """X(x, t, 0) = cos(t) x - s_d sin(t) F(x / s_d, t): Lu and Song 2024, equation 5."""
    path = trigonometric(data_deviation=0.5)

    def network(x, condition):
        return jnp.sin(3 * x) + condition[:, None]

    prediction = predictions.edm(0.5)._replace(condition=lambda path, t: t)
    velocity = consistency_form(path, prediction)(network)
    t = jnp.array([1e-3, 0.1, 0.5, 1.5])
    x = jnp.linspace(-1, 2, 4)[:, None]
    F = -network(x / 0.5, t)
    expected = jnp.cos(t)[:, None] * x - 0.5 * jnp.sin(t)[:, None] * F
    np.testing.assert_allclose(flow_map(velocity, x, t, 0 * t), expected, atol=1e-12)


def test_of_the_exact_denoiser_a_form_is_the_velocity_of_the_exploding_path():
    path = PATHS['variance_exploding']
    prediction = predictions.x0()
    t = jnp.array([0.1, 0.5, 2.0])
    x = jnp.linspace(-1, 2, 3)[:, None]

    def network(x, condition):
        t = condition * path.end / 1000
        return MEAN + (VARIANCE / (VARIANCE + t**2))[:, None] * (x - MEAN)

    velocity = consistency_form(path, prediction)(network)
    found = velocity(x, t, t)
    np.testing.assert_allclose(found, ode_velocity('variance_exploding', x, t), atol=1e-9)


@every_path
@pytest.mark.parametrize('jumps', [by_maps, by_velocity])
def test_frames_are_what_fewer_steps_come_to(name, jumps):
    path = PATHS[name]
    times = jump_times(path, 8)
    x_T = draw_at(name, 20, path.end, 0.0).x
    velocity = exact_velocity(name)
    frames = jumps(times, frames=4)(KEY, velocity, x_T)
    for i, frame in enumerate(frames):
        expected = jumps(times[: 2 * i + 3])(KEY, velocity, x_T)
        np.testing.assert_allclose(frame, expected, atol=1e-12)


def test_there_is_at_least_one_step():
    np.testing.assert_array_equal(jump_times(straight(), 4), [1, 0.75, 0.5, 0.25, 0])
    with pytest.raises(ValueError, match='^a sampler of steps 0; needed: 1 or more$'):
        jump_times(straight(), 0)
