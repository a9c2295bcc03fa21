"""Every loss at the exact flow map of normal data: its equation holds, and there its minimum is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion.flow_maps import (
    consistency,
    continuous_consistency,
    eulerian,
    flow_map,
    lagrangian,
    mean_flow,
    semigroup,
)
from tests.algorithms.diffusion.flow_maps.exact_maps import (
    MEAN,
    PATHS,
    VARIANCE,
    deviation_of,
    draw_at,
    exact_jump,
    exact_velocity,
    gradients,
    ode_velocity,
    with_exact_slope,
)
from tests.algorithms.diffusion.gaussian import assert_mean

OBJECTIVES = {
    'mean_flow': mean_flow,
    'eulerian': eulerian,
    'lagrangian': lagrangian,
    'semigroup': semigroup(),
    'semigroup at a third': semigroup(1 / 3),
}
TIMES = [(0.8, 0.2), (0.8, 0.0), (0.9, 0.85), (0.6, 0.6), (0.3, 0.9), (1.0, 0.0)]
DRAWS = 40_000

every_path = pytest.mark.parametrize('name', PATHS)
every_objective = pytest.mark.parametrize('objective', OBJECTIVES.values(), ids=OBJECTIVES)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@every_path
@pytest.mark.parametrize(('t', 'r'), TIMES)
def test_the_exact_map_is_a_flow_map_of_the_ode(name, t, r):
    """Identity, the ODE's velocity on the diagonal, the semigroup, and the map by its formula."""
    point = draw_at(name, 50, t, r)
    velocity = exact_velocity(name)
    x, t, r, *_ = point
    assert_near(flow_map(velocity, x, t, t), x)
    assert_near(velocity(x, t, t), ode_velocity(name, x, t))
    assert_near(flow_map(velocity, x, t, r), exact_jump(name, x, t, r))
    between = 0.3 * t + 0.7 * r
    middle = flow_map(velocity, x, t, between)
    assert_near(flow_map(velocity, middle, between, r), flow_map(velocity, x, t, r))


def assert_near(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-9, rtol=0)


@every_path
@every_objective
@pytest.mark.parametrize(('t', 'r'), TIMES)
def test_the_equation_of_an_objective_holds_for_the_exact_map(name, objective, t, r):
    point = with_exact_slope(name, draw_at(name, 50, t, r))
    assert_near(*objective(exact_velocity(name), point))


@every_path
@every_objective
@pytest.mark.parametrize(('t', 'r'), [(0.8, 0.2), (0.6, 0.6)])
def test_the_gradient_is_zero_at_the_exact_map_within_monte_carlo_error(name, objective, t, r):
    point = draw_at(name, DRAWS, t, r)
    assert_mean(gradients(objective, name, point), 0)


@every_path
@every_objective
def test_the_gradient_is_not_zero_at_a_wrong_map(name, objective):
    found = gradients(objective, name, draw_at(name, DRAWS, 0.8, 0.2), shift=0.3, tilt=-0.2)
    error = found.std(0) / np.sqrt(DRAWS)
    assert np.abs(found.mean(0) / error).max() > 20


@every_path
def test_the_targets_of_drawn_slopes_are_unbiased(name):
    """The mean of MeanFlow's target given x_t is that with the ODE's velocity as the slope.

    Given x_t only the noise about that mean is left: it has no part along 1, x and x^2.
    """
    point = draw_at(name, DRAWS, 0.8, 0.2)
    # Not the exact map: the target's mean is what it is for any.
    velocity = exact_velocity(name, 0.3, -0.2)
    _, drawn = mean_flow(velocity, point)
    _, exact = mean_flow(velocity, with_exact_slope(name, point))
    powers = jnp.concatenate([point.x**power for power in range(3)], -1)
    assert_mean((drawn - exact) * powers, 0)
    # And the noise is there.
    assert float(jnp.std(drawn - exact)) > 0.1


def test_the_eulerian_error_is_mean_flows_with_its_own_velocity():
    point = draw_at('straight', 50, 0.8, 0.2)
    velocity = exact_velocity('straight', 0.3, -0.2)
    estimate, target = eulerian(velocity, point)
    own = point._replace(slope=velocity(point.x, point.t, point.t))
    u, towards = mean_flow(velocity, own)
    assert_near(estimate - target, u - towards)


def test_the_eulerian_gradient_goes_through_the_derivative_in_time():
    """Of u = c t the estimate is -d((r - t) c t)/dt = c (2 t - r), and c stands nowhere else."""
    point = draw_at('straight', 5, 0.8, 0.2)

    def estimate(c):
        def velocity(x, t, r):
            return jnp.zeros_like(x) + (c * t)[:, None]

        return eulerian(velocity, point)

    c = jnp.float64(0.3)
    (_, target), (slope, through_target) = jax.jvp(estimate, (c,), (jnp.ones_like(c),))
    assert_near(slope, np.full((5, 1), 2 * 0.8 - 0.2))
    assert_near(target, np.full((5, 1), 0.3 * 0.8))
    assert not through_target.any()


@every_objective
def test_on_the_diagonal_the_loss_is_flow_matching(objective):
    point = draw_at('straight', 50, 0.7, 0.7)
    velocity = exact_velocity('straight', 0.3, -0.2)
    estimate, target = objective(velocity, point)
    assert_near(estimate, velocity(point.x, point.t, point.t))
    assert_near(target, point.slope)


@pytest.mark.parametrize('objective', [*OBJECTIVES.values(), consistency(PATHS['straight'])])
def test_no_gradient_goes_through_a_target(objective):
    point = draw_at('straight', 5, 0.8, 0.2)

    def total(shift):
        return jnp.sum(objective(exact_velocity('straight', shift), point)[1])

    assert float(jax.grad(total)(0.3)) == 0


@every_path
def test_consistencys_bias_falls_as_the_square_of_the_step(name):
    """The mean of the target over drawn pairs, and how far it lies from the exact map."""
    path = PATHS[name]
    t = 0.8
    biases = []
    for step in (0.2, 0.1, 0.05):
        # Of 1 and x, in closed form: E[x_r | x_t] is affine, and so is X.
        r = t - step
        covariance = path.alpha(t) * path.alpha(r) * VARIANCE + path.sigma(t) * path.sigma(r)
        s_t, s_r, s_0 = (float(deviation_of(path, jnp.float64(time))) for time in (t, r, 0.0))
        mean_slope = s_0 / s_r * float(covariance) / s_t**2
        biases.append(s_0 / s_t - mean_slope)
        point = draw_at(name, DRAWS, t, r)
        _, target = consistency(path)(exact_velocity(name), point)
        expected = MEAN + mean_slope * (point.x - float(path.alpha(t)) * MEAN)
        known = jnp.concatenate([jnp.ones_like(point.x), point.x], -1)
        assert_mean((target - expected) * known, 0)
    ratios = np.array(biases[:-1]) / biases[1:]
    np.testing.assert_allclose(ratios, 4, rtol=0.25)


@every_path
def test_consistencys_gradient_is_zero_at_the_exact_map_as_steps_get_small(name):
    """With its weight of one over the step it stays in sight of a wrong map."""
    step = 1e-3
    point = draw_at(name, DRAWS, 0.8, 0.8 - step)
    objective = consistency(PATHS[name])
    assert_mean(gradients(objective, name, point) / step, 0, errors=5)
    wrong = gradients(objective, name, point, shift=0.3, tilt=-0.2) / step
    error = wrong.std(0) / np.sqrt(DRAWS)
    assert np.abs(wrong.mean(0) / error).max() > 10


def test_consistency_goes_to_the_data_themselves_from_the_first_time():
    point = draw_at('variance_exploding', 50, 0.8, 0.0)
    _, target = consistency(PATHS['variance_exploding'])(
        exact_velocity('variance_exploding', 0.3), point
    )
    np.testing.assert_array_equal(target, point.x0)


@pytest.mark.parametrize('t', [0.1, 0.8, 1.5])
def test_continuous_consistency_has_no_tangent_at_the_exact_map(t):
    point = with_exact_slope('trigonometric', draw_at('trigonometric', 50, t, 0.0))
    objective = continuous_consistency(warmup=0)
    assert_near(*objective(exact_velocity('trigonometric'), point))


@pytest.mark.parametrize(('warmup', 'updates', 'k'), [(0, 0, 1.0), (100, 30, 0.3), (100, 500, 1.0)])
def test_the_tangent_of_continuous_consistency_is_the_papers(warmup, updates, k):
    """By finite differences of the consistency function, along the slope that was drawn."""
    point = draw_at('trigonometric', 50, 0.8, 0.0)
    point = point._replace(updates=jnp.full(50, updates))
    velocity = exact_velocity('trigonometric', 0.3, -0.2)
    estimate, target = continuous_consistency(warmup, c=0.1)(velocity, point)
    x, t, r, slope, *_ = point

    def f(x, t):
        return flow_map(velocity, x, t, r)

    def F(x, t):
        return (jnp.cos(t)[:, None] * x - f(x, t)) / jnp.sin(t)[:, None]

    h = 1e-5
    ahead, behind = (F(x + sign * h * slope, t + sign * h) for sign in (1, -1))
    dF = (ahead - behind) / (2 * h)
    cos, sin = np.cos(0.8), np.sin(0.8)
    tangent = -(cos**2) * (F(x, t) - slope) - k * cos * sin * (x + dF)
    np.testing.assert_allclose(estimate, F(x, t), atol=1e-9)
    expected = tangent / (jnp.abs(tangent) + 0.1)
    np.testing.assert_allclose(target - estimate, expected, atol=1e-7)
    if k == 1:
        ahead, behind = (f(x + sign * h * slope, t + sign * h) for sign in (1, -1))
        np.testing.assert_allclose(tangent, cos * (ahead - behind) / (2 * h), atol=1e-7)


def test_continuous_consistency_of_data_half_as_wide_is_the_same_in_units_of_their_deviation():
    point = draw_at('trigonometric', 50, 0.8, 0.0)
    velocity = exact_velocity('trigonometric', 0.3, -0.2)

    def halved(x, t, r):
        return 0.5 * velocity(2 * x, t, r)

    half = point._replace(x=point.x / 2, slope=point.slope / 2)
    found = continuous_consistency(0, c=0.05, data_deviation=0.5)(halved, half)
    for ours, expected in zip(found, continuous_consistency(0)(velocity, point), strict=True):
        assert_near(ours, expected)


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r'^middle is 1; it must lie in \(0, 1\)$'):
        semigroup(1)
    said = '^warmup is -1, c 0.1, data_deviation 1.0; needed: >= 0, > 0, > 0$'
    with pytest.raises(ValueError, match=said):
        continuous_consistency(-1)
