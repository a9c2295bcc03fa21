"""The process of a diffusion against single steps, Bayes' rule and the paper's equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from genjax.algorithms.diffusion import (
    cosine_schedule,
    fixed_small,
    forward_frames,
    linear_schedule,
    make_process,
    posterior_mean,
    predict_x0,
    q_sample,
)
from tests.algorithms.diffusion.gaussian import (
    BETAS,
    KEY,
    PROCESS,
    SHAPE,
    T,
    assert_mean,
    normal_data,
)


def test_q_in_one_go_is_t_single_steps():
    scale, variance = 1.0, 0.0
    x0 = 0.7
    x = np.full(20_000, x0)
    rng = np.random.default_rng(0)
    for t, beta in enumerate(BETAS, 1):
        scale = np.sqrt(1 - beta) * scale
        variance = (1 - beta) * variance + beta
        x = np.sqrt(1 - beta) * x + np.sqrt(beta) * rng.standard_normal(len(x))
        np.testing.assert_allclose(PROCESS.alpha_bar[t], scale**2, rtol=1e-14)
        np.testing.assert_allclose(1 - PROCESS.alpha_bar[t], variance, rtol=1e-13)
        assert PROCESS.alpha_bar_prev[t] == PROCESS.alpha_bar[t - 1]
        mean = float(q_sample(PROCESS, t, x0, 0.0))
        deviation = float(q_sample(PROCESS, t, 0.0, 1.0))
        np.testing.assert_allclose(mean, scale * x0, rtol=1e-6)
        np.testing.assert_allclose(deviation, np.sqrt(variance), rtol=1e-6)
        assert_mean(x, mean)
        assert_mean((x - mean) ** 2, deviation**2)


def test_forward_frames_are_q_at_even_times_of_one_noise():
    x0 = normal_data(KEY, 4)
    frames = forward_frames(PROCESS, frames=3)(KEY, x0)
    np.testing.assert_array_equal(frames[0], x0)
    bar = PROCESS.alpha_bar[[5, 10]][:, None, None, None, None]
    signal = np.sqrt(bar) * np.asarray(x0)
    noise = (np.asarray(frames[1:], np.float64) - signal) / np.sqrt(1 - bar)
    np.testing.assert_allclose(noise[0], noise[1], atol=1e-5)


@pytest.mark.parametrize('t', range(2, T + 1))
def test_posterior_is_bayes_rule(t):
    x0, x = 0.4, -0.6
    before = PROCESS.alpha_bar[t - 1]
    beta = BETAS[t - 1]
    grid = np.linspace(-8, 8, 40_001)
    prior = norm.pdf(grid, np.sqrt(before) * x0, np.sqrt(1 - before))
    joint = prior * norm.pdf(x, np.sqrt(1 - beta) * grid, np.sqrt(beta))
    mean = np.sum(grid * joint) / np.sum(joint)
    variance = np.sum((grid - mean) ** 2 * joint) / np.sum(joint)
    np.testing.assert_allclose(posterior_mean(PROCESS, t, x0, x), mean, rtol=1e-5)
    np.testing.assert_allclose(PROCESS.posterior_variance[t], variance, rtol=1e-6)


def test_posterior_at_the_first_step_is_the_data():
    assert PROCESS.posterior_variance[1] == 0
    np.testing.assert_allclose(posterior_mean(PROCESS, 1, 0.4, -0.6), 0.4, rtol=1e-6)


def test_variances_are_best_for_normal_data_and_for_one_point():
    """Section 3.2: of x_{t-1} given x_t, beta_t for data N(0, 1), the posterior's for one point."""
    large = PROCESS.model_variance
    small = make_process(BETAS, fixed_small).model_variance
    # For data N(0, 1) both x_{t-1} and x_t have variance 1, and covariance sqrt(1 - beta_t).
    conditional = [1 - np.sqrt(1 - BETAS[t - 1]) ** 2 for t in range(2, T + 1)]
    np.testing.assert_allclose(large[2:], conditional, rtol=1e-12)
    np.testing.assert_array_equal(small[2:], PROCESS.posterior_variance[2:])
    assert large[1] == small[1] == PROCESS.posterior_variance[2] > 0


def test_linear_schedule_is_the_papers():
    process = make_process(linear_schedule(1000))
    np.testing.assert_allclose(process.beta[[1, 1000]], [1e-4, 0.02])
    # An integral in place of the product: log alpha_bar_T is about
    # -T (mean beta + mean beta^2 / 2).
    mean = (1e-4 + 0.02) / 2
    square = (0.02**3 - 1e-12) / (3 * (0.02 - 1e-4))
    integral = np.exp(-1000 * (mean + square / 2))
    np.testing.assert_allclose(process.alpha_bar[-1], integral, rtol=2e-3)
    np.testing.assert_allclose(process.alpha_bar[-1], 4.0358e-5, rtol=1e-4)
    assert np.all(np.diff(process.alpha_bar) < 0)


def test_cosine_schedule_has_a_squared_cosine():
    betas = cosine_schedule(1000)
    process = make_process(betas)
    assert betas.max() == betas[-1] == 0.999
    angle = np.arccos(np.sqrt(process.alpha_bar[1:-1] * np.cos(0.008 / 1.008 * np.pi / 2) ** 2))
    np.testing.assert_allclose(np.diff(angle), np.pi / 2 / 1008, rtol=1e-6)
    assert np.all(np.diff(process.alpha_bar) < 0)


def test_reverse_mean_is_equation_11():
    x, noise = jax.random.normal(KEY, (2, 50))
    for t in range(1, T + 1):
        beta = BETAS[t - 1]
        bar = PROCESS.alpha_bar[t]
        paper = (np.asarray(x) - beta / np.sqrt(1 - bar) * np.asarray(noise)) / np.sqrt(1 - beta)
        x0 = predict_x0(PROCESS, t, x, noise)
        np.testing.assert_allclose(posterior_mean(PROCESS, t, x0, x), paper, atol=3e-6)
        np.testing.assert_allclose(q_sample(PROCESS, t, x0, noise), x, atol=3e-6)
        assert jnp.abs(predict_x0(PROCESS, t, x, noise, 0.5)).max() == 0.5


@pytest.mark.parametrize('schedule', [linear_schedule, cosine_schedule])
@pytest.mark.parametrize('steps', [-1, 0, 1, 10**9])
def test_a_number_of_steps_that_is_none_is_refused(schedule, steps):
    message = f'^steps is {steps}; a diffusion takes 2 to 1000000$'
    with pytest.raises(ValueError, match=message):
        schedule(steps)


@pytest.mark.parametrize(
    'betas', [np.linspace(0, 0.1, T), np.linspace(0.1, 1, T), np.full(T, np.nan), np.array([0.1])]
)
def test_betas_outside_0_to_1_are_refused_in_one_line(betas):
    with pytest.raises(ValueError, match='^betas are ') as error:
        make_process(betas)
    assert '\n' not in str(error.value)


def test_shapes_are_those_of_the_data():
    x0 = normal_data(KEY, 4)
    assert forward_frames(PROCESS, frames=8)(KEY, x0).shape == (8, 4, *SHAPE)
