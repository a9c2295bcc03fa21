"""Samplers against the chains and flows that normal data have in closed form."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion import (
    ancestral,
    ancestral_frames,
    ddim,
    fixed_small,
    heun,
    interpolate,
    linear_schedule,
    make_denoise,
    make_process,
)
from genjax.algorithms.diffusion.samplers import ddim_step, even_times
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
    optimum,
)


def exact_denoise(process, clip=np.inf):
    return make_denoise(process, exact_predict(process), clip)


def test_ancestral_chain_follows_the_exact_recursion():
    """Algorithm 2, by equation 11 and the exact predictor, moves normals linearly, in float64."""
    weights, biases = optimum(PROCESS)
    mean = np.zeros(3)
    covariance = np.eye(3)
    for t in range(T, 0, -1):
        beta = BETAS[t - 1]
        shrink = beta / np.sqrt(1 - PROCESS.alpha_bar[t])
        step = (np.eye(3) - shrink * weights[t]) / np.sqrt(1 - beta)
        mean = step @ mean - shrink * biases[t] / np.sqrt(1 - beta)
        covariance = step @ covariance @ step.T
        if t > 1:
            covariance += beta * np.eye(3)
    start_key, chain_key = jax.random.split(KEY)
    x = jax.random.normal(start_key, (40_000, *SHAPE))
    x = ancestral(PROCESS)(chain_key, exact_denoise(PROCESS), x).reshape(-1, 3)
    assert_mean(x, mean)
    centred = np.asarray(x, np.float64) - mean
    assert_mean(centred[:, :, None] * centred[:, None, :], covariance)


@pytest.mark.parametrize('clip', [1.0, np.inf])
def test_ddim_of_all_steps_and_eta_one_is_ancestral(clip):
    process = make_process(linear_schedule(50, 1e-4, 0.2), fixed_small)
    x = jax.random.normal(KEY, (16, 2, 2, 1))

    def predict(x, t):
        return jnp.sin(x)

    denoise = make_denoise(process, predict, clip)
    ours = ddim(process, 50, 1.0)(KEY, denoise, x)
    theirs = ancestral(process)(KEY, denoise, x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * float(jnp.abs(theirs).max()))


def flow(process, x):
    """Where the probability flow takes x_T [N, *SHAPE]: each principal axis scales by itself."""
    last = process.alpha_bar[-1]
    values, vectors = np.linalg.eigh(SIGMA)
    stretch = np.sqrt(values / (last * values + 1 - last))
    start = np.asarray(x, np.float64).reshape(-1, 3) - np.sqrt(last) * MU
    return (MU + start @ (vectors * stretch) @ vectors.T).reshape(x.shape)


def order(steps, errors):
    """p of errors that fall as steps^-p."""
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


def test_ddim_converges_to_the_probability_flow_at_first_order():
    process = make_process(linear_schedule(1000))
    x = jax.random.normal(KEY, (64, *SHAPE))
    steps = [50, 100, 200, 400]
    errors = []
    for n in steps:
        x0 = np.asarray(ddim(process, n)(KEY, exact_denoise(process), x))
        errors.append(np.sqrt(np.mean((x0 - flow(process, x)) ** 2)))
    np.testing.assert_allclose(order(steps, errors), 1, atol=0.1)


def test_heun_converges_to_the_probability_flow_at_second_order():
    """In float64 on a process whose sigma is linear in t, so that all steps of sigma are equal.

    DDIM, which is Euler's method on the same steps, is of first order.
    """
    alpha_bar = 1 / (1 + np.linspace(0, 10, 961) ** 2)
    process = make_process(1 - alpha_bar[1:] / alpha_bar[:-1])
    steps = [30, 60, 120, 240, 480]
    errors = {'ddim': [], 'heun': []}
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).normal(size=(64, *SHAPE)))
        denoise = exact_denoise(process)
        for n in steps:
            for name, sampler in (('ddim', ddim(process, n)), ('heun', heun(process, n))):
                x0 = np.asarray(sampler(KEY, denoise, x))
                errors[name].append(np.sqrt(np.mean((x0 - flow(process, x)) ** 2)))
    np.testing.assert_allclose(order(steps, errors['ddim']), 1, atol=0.1)
    np.testing.assert_allclose(order(steps, errors['heun']), 2, atol=0.1)
    assert errors['heun'][-1] < 0.1 * errors['ddim'][-1]


def test_heun_of_one_step_is_the_denoiser_and_of_two_the_formula():
    """Algorithm 1 of Karras et al., written out in x / sqrt(alpha_bar)."""
    x = jax.random.normal(KEY, (4, *SHAPE))
    denoise = exact_denoise(PROCESS)

    def denoised(y, t):
        return denoise(y * np.sqrt(PROCESS.alpha_bar[t]), jnp.full(4, t))

    y = x / np.sqrt(PROCESS.alpha_bar[T])
    np.testing.assert_allclose(
        heun(PROCESS, 1)(KEY, denoise, x), denoised(y, T), rtol=1e-5, atol=1e-6
    )
    first, second = np.sqrt(1 / PROCESS.alpha_bar[[T, T // 2]] - 1)
    slope = (y - denoised(y, T)) / first
    euler = y + (second - first) * slope
    other_slope = (euler - denoised(euler, T // 2)) / second
    y = y + (second - first) * (slope + other_slope) / 2
    np.testing.assert_allclose(
        heun(PROCESS, 2)(KEY, denoise, x), denoised(y, T // 2), rtol=1e-5, atol=1e-6
    )


def test_ddim_keeps_the_marginals_and_eta_scales_the_deviation():
    bar = PROCESS.alpha_bar[even_times(PROCESS, 4)]
    x0_coef, xt_coef, variance = ddim_step(bar[:-1], bar[1:], 0.5)
    scale = x0_coef + xt_coef * np.sqrt(bar[:-1])
    np.testing.assert_allclose(scale, np.sqrt(bar[1:]), rtol=1e-12)
    total = xt_coef**2 * (1 - bar[:-1]) + variance
    np.testing.assert_allclose(total, 1 - bar[1:], rtol=1e-12, atol=1e-15)

    _, _, variance = ddim_step(PROCESS.alpha_bar[1:], PROCESS.alpha_bar[:-1], 0.5)
    half = 0.5 * np.sqrt(PROCESS.posterior_variance[1:])
    np.testing.assert_allclose(np.sqrt(variance), half, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('sampler', [ddim, heun])
def test_the_flow_spends_no_randomness(sampler):
    x = jax.random.normal(KEY, (4, *SHAPE))
    sample = sampler(PROCESS, 5)
    denoise = exact_denoise(PROCESS, clip=1.0)
    first = sample(jax.random.key(0), denoise, x)
    np.testing.assert_array_equal(first, sample(jax.random.key(1), denoise, x))


def test_frames_are_the_chain_cut_short():
    x = jax.random.normal(KEY, (4, *SHAPE))
    denoise = exact_denoise(PROCESS, clip=1.0)
    frames = ancestral_frames(PROCESS, 3)(KEY, denoise, x)
    assert frames.shape == (3, 4, *SHAPE)
    end = ancestral(PROCESS)(KEY, denoise, x)
    np.testing.assert_allclose(frames[-1], end, atol=1e-6)
    every = ancestral_frames(PROCESS, T)(KEY, denoise, x)
    np.testing.assert_allclose(frames[:2], every[jnp.array([2, 5])], atol=1e-6)
    # After 3 steps t is 7, after 6 it is 4.
    for frame, t in ((frames[0], 7), (frames[1], 4)):
        rest = ancestral(PROCESS, start=t)(KEY, denoise, frame)
        np.testing.assert_allclose(rest, end, atol=1e-6)


def test_interpolation_reproduces_its_ends_and_is_linear_for_a_linear_predictor():
    process = make_process(linear_schedule(1000))
    x, y = normal_data(KEY, 32).reshape(2, 16, *SHAPE)
    between = partial(interpolate, KEY, process, exact_denoise(process), ancestral)
    first, middle, last = between((x, y), [0.0, 0.5, 1.0], 5)
    width = np.sqrt(2 * (1 - process.alpha_bar[5]))  # noise on the way there and on the way back
    assert float(jnp.std(first - x)) < 1.2 * width
    assert float(jnp.std(last - y)) < 1.2 * width
    np.testing.assert_allclose(middle, (first + last) / 2, atol=1e-5)
    start, end = between((x, x), [0.0, 1.0], 500)
    np.testing.assert_allclose(start, between((x, y), [0.0], 500)[0], atol=1e-5)
    assert float(jnp.abs(start - end).max()) > 0.1  # the two ends have noise of their own


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (partial(ddim, steps=T + 1), 'a sampler of steps 11; needed: 1..10'),
        (partial(ddim, steps=0), 'a sampler of steps 0; needed: 1..10'),
        (partial(ddim, steps=2, eta=1.5), r'ddim of eta 1.5; needed: eta in \[0, 1\]'),
        (partial(heun, steps=0), 'a sampler of steps 0; needed: 1..10'),
        (partial(heun, steps=6, start=5), 'a sampler of steps 6; needed: 1..5'),
        (partial(ancestral, start=0), 'a sampler that starts at 0; needed: 1..10'),
        (partial(ancestral, start=11), 'a sampler that starts at 11; needed: 1..10'),
    ],
)
def test_impossible_options_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=f'^{message}$'):
        make(PROCESS)
