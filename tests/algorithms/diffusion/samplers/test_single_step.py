"""One-step samplers: DDIM's marginals, and what is the same under two names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion import (
    ancestral,
    ddim,
    discrete,
    euler,
    euler_maruyama,
    even_times,
    linear_schedule,
    make_denoise,
    make_process,
    straight,
    trailing_times,
    variance_exploding,
    variance_preserving,
)
from genjax.algorithms.diffusion.samplers import frame_times
from genjax.algorithms.diffusion.samplers.single_step import ddim_coefficients
from tests.algorithms.diffusion.exact import mixture_denoise, order
from tests.algorithms.diffusion.gaussian import (
    KEY,
    MU,
    PROCESS,
    SHAPE,
    SIGMA,
    T,
    exact_predict,
)


def flow(process, x):
    """Where the probability flow takes x_T [N, *SHAPE]: each principal axis scales by itself."""
    last = process.alpha_bar[-1]
    values, vectors = np.linalg.eigh(SIGMA)
    stretch = np.sqrt(values / (last * values + 1 - last))
    start = np.asarray(x, np.float64).reshape(-1, 3) - np.sqrt(last) * MU
    return (MU + start @ (vectors * stretch) @ vectors.T).reshape(x.shape)


def test_ddim_through_the_steps_of_a_process_converges_to_the_flow_at_first_order():
    process = make_process(linear_schedule(1000))
    path = discrete(process)
    denoise = make_denoise(process, exact_predict(process), np.inf)
    x = jax.random.normal(KEY, (64, *SHAPE))
    steps = [50, 100, 200, 400]
    errors = []
    for n in steps:
        x0 = np.asarray(ddim(path, trailing_times(process, n))(KEY, denoise, x))
        errors.append(np.sqrt(np.mean((x0 - flow(process, x)) ** 2)))
    assert order(steps, errors) == pytest.approx(1, abs=0.1)


def test_ddim_keeps_the_marginals_and_eta_scales_the_deviation():
    path = discrete(PROCESS)
    times = trailing_times(PROCESS, 4)
    x0_coef, xt_coef, variance = ddim_coefficients(path, times, 0.5)
    alpha, sigma = path.alpha(times), path.sigma(times)
    np.testing.assert_allclose(x0_coef + xt_coef * alpha[:-1], alpha[1:], rtol=1e-12)
    total = (xt_coef * sigma[:-1]) ** 2 + variance
    np.testing.assert_allclose(total, sigma[1:] ** 2, rtol=1e-12, atol=1e-15)

    _, _, variance = ddim_coefficients(path, np.arange(T, -1, -1), 0.5)
    half = 0.5 * np.sqrt(PROCESS.posterior_variance[:0:-1])
    np.testing.assert_allclose(np.sqrt(variance), half, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('path', [straight(), variance_exploding()], ids=['straight', 'exploding'])
def test_euler_is_ddim_where_the_data_and_the_noise_go_straight(path):
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 2)))
        times = even_times(path, 7)
        denoise = mixture_denoise(path)
        np.testing.assert_allclose(
            euler(path, times)(KEY, denoise, x), ddim(path, times)(KEY, denoise, x), rtol=1e-9
        )


def test_on_a_curved_path_euler_is_the_step_of_the_ode():
    path = variance_preserving()
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 2)))
        denoise = mixture_denoise(path)
        t, s = 0.6, 0.4
        time = jnp.full(8, t)
        x0 = denoise(x, time)
        # dx/dt = -beta / 2 (x + score), score = (alpha x_0 - x) / sigma^2
        score = (path.alpha(t) * x0 - x) / path.sigma(t) ** 2
        expected = x + (s - t) * -(0.1 + 19.9 * t) / 2 * (x + score)
        ours = euler(path, np.array([t, s]))(KEY, denoise, x)
    np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_the_flow_spends_no_randomness_and_ancestral_does():
    path = variance_preserving()
    x = jax.random.normal(KEY, (4, 2))
    times = even_times(path, 5)

    def two_keys(make):
        sample = make(path, times)
        return [sample(jax.random.key(seed), mixture_denoise(path), x) for seed in (0, 1)]

    np.testing.assert_array_equal(*two_keys(ddim))
    for make in (ancestral, euler_maruyama):
        first, second = two_keys(make)
        assert float(jnp.abs(first - second).max()) > 0.01


def test_frames_are_the_chain_cut_short():
    path = variance_preserving()
    x = jax.random.normal(KEY, (4, 2))
    times = even_times(path, 6)
    denoise = mixture_denoise(path)
    frames = ancestral(path, times, frames=3)(KEY, denoise, x)
    end = ancestral(path, times)(KEY, denoise, x)
    np.testing.assert_allclose(frames[-1], end, atol=1e-6)
    np.testing.assert_array_equal(frame_times(times, 3), times[[2, 4, 6]])
    for frame, begin in ((frames[0], 2), (frames[1], 4)):
        rest = ancestral(path, times[begin:])(KEY, denoise, frame)
        np.testing.assert_allclose(rest, end, atol=1e-6)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: ddim(straight(), [1.0, 0.0], 1.5), r'ddim of eta 1.5; needed: eta in \[0, 1\]'),
        (lambda: ddim(straight(), [1.0]), 'times are .*; needed: two or more, one way, .*'),
        (lambda: ddim(straight(), [1.0, 0.2, 0.5]), 'times are .*; needed: two or more, .*'),
        (lambda: ddim(straight(), [1.5, 0.0]), 'times are .*; needed: .* none above 1.0'),
        (lambda: ddim(straight(), [0.0, 0.5]), 'times are .*; needed: .* from above 0, .*'),
        (
            lambda: euler_maruyama(straight(), [1.0, 0.0]),
            'euler_maruyama begins at 1.0, where alpha is 0.0; it must be positive',
        ),
    ],
)
def test_what_is_no_way_down_is_refused(make, message):
    with pytest.raises(ValueError, match=f'^{message}$'):
        make()
