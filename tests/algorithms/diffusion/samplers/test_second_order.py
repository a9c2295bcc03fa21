"""Heun's method: its formula, back and forth, and on the steps of a process."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion import (
    churn,
    ddim,
    discrete,
    heun,
    karras_times,
    linear_schedule,
    make_denoise,
    make_process,
    rescaled,
    straight,
    trailing_times,
    variance_exploding,
    variance_preserving,
)
from tests.algorithms.diffusion.exact import mixture_denoise, order
from tests.algorithms.diffusion.gaussian import KEY, SHAPE, exact_predict
from tests.algorithms.diffusion.samplers.test_single_step import flow


def counted(denoise):
    """denoise, and a list that grows with each time that it is asked, by callbacks."""
    asked = []

    def observed(x, t):
        jax.debug.callback(lambda t: asked.append(float(t[0])), t, ordered=True)
        return denoise(x, t)

    return observed, asked


def test_s_steps_ask_for_twice_as_many_estimates_less_one():
    path = variance_exploding()
    denoise, asked = counted(mixture_denoise(path))
    heun(path, karras_times(path, 4))(KEY, denoise, jnp.ones((2, 2))).block_until_ready()
    jax.effects_barrier()
    times = karras_times(path, 4)
    np.testing.assert_allclose(asked, times[[0, 1, 1, 2, 2, 3, 3]], rtol=1e-6)


def test_two_steps_are_the_formula():
    """Algorithm 1 of Karras et al., written out."""
    path = variance_exploding()
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 2)))
        denoise = mixture_denoise(path)
        a, b = 2.0, 0.5

        def slope(x, t):
            return (x - denoise(x, jnp.full(4, t))) / t

        by_euler = x + (b - a) * slope(x, a)
        middle = x + (b - a) * (slope(x, a) + slope(by_euler, b)) / 2
        expected = denoise(middle, jnp.full(4, b))
        ours = heun(path, np.array([a, b, 0.0]))(KEY, denoise, x)
    np.testing.assert_allclose(ours, expected, rtol=1e-10)


@pytest.mark.parametrize('path', [straight(), variance_preserving(), variance_exploding()])
def test_back_after_forth_is_the_identity_within_the_order(path):
    """From the data's end to the noise and back, as `encode` and `decode` go."""
    with jax.enable_x64(True):
        denoise = mixture_denoise(path)
        x = jnp.asarray([[1.0, 0.0], [-0.5, 0.7], [0.2, -1.0]])
        steps = [32, 64, 128]
        errors = []
        for n in steps:
            down = karras_times(path, n + 1)[:-1]
            code = heun(path, down[::-1])(KEY, denoise, x)
            errors.append(float(jnp.abs(heun(path, down)(KEY, denoise, code) - x).max()))
    # The two ways' errors take each other out to leading order.
    assert order(steps, errors) > 1.8
    assert errors[-1] < 1e-2


def test_rescaled_it_goes_through_the_steps_of_a_process_at_second_order():
    """On a process whose sigma / alpha is linear in t, so that all steps are equal."""
    alpha_bar = 1 / (1 + np.linspace(0, 10, 961) ** 2)
    process = make_process(1 - alpha_bar[1:] / alpha_bar[:-1])
    path = discrete(process)
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).normal(size=(64, *SHAPE)))
        denoise = make_denoise(process, exact_predict(process), np.inf)
        steps = [60, 120, 240, 480]
        errors = []
        for n in steps:
            sample = rescaled(heun, path, trailing_times(process, n))
            x0 = np.asarray(sample(KEY, denoise, x))
            errors.append(np.sqrt(np.mean((x0 - flow(process, x)) ** 2)))
    assert order(steps, errors) == pytest.approx(2, abs=0.1)


def test_rescaled_ddim_is_ddim():
    process = make_process(linear_schedule(100))
    path = discrete(process)
    times = trailing_times(process, 7)
    denoise = make_denoise(process, exact_predict(process), np.inf)
    x = jax.random.normal(KEY, (4, *SHAPE))
    np.testing.assert_allclose(
        rescaled(ddim, path, times)(KEY, denoise, x),
        ddim(path, times)(KEY, denoise, x),
        rtol=1e-4,
        atol=1e-5,
    )


def test_without_churn_it_is_heun_to_the_bit_and_with_it_frames_are_the_chain_cut_short():
    path = variance_exploding()
    times = karras_times(path, 6)
    x = 80 * jax.random.normal(KEY, (4, 2))
    denoise = mixture_denoise(path)
    np.testing.assert_array_equal(
        churn(path, times, 0.0)(KEY, denoise, x), heun(path, times)(KEY, denoise, x)
    )
    whole = churn(path, times, 6.0)(KEY, denoise, x)
    frames = churn(path, times, 6.0, frames=3)(KEY, denoise, x)
    np.testing.assert_allclose(frames[-1], whole, rtol=1e-5, atol=1e-6)
    other = churn(path, times, 6.0)(jax.random.key(1), denoise, x)
    assert float(jnp.abs(other - whole).max()) > 1e-3


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda p: churn(p, [80.0, 0.0], -1.0), 'churn of -1.0, inflated by 1.003; needed: .*'),
        (lambda p: churn(straight(), [1.0, 0.0]), 'churn begins at 1.0, where alpha is 0; .*'),
        (lambda p: rescaled(heun, straight(), [1.0, 0.0]), r'x_t / alpha at 1.0, where .*'),
        (lambda p: heun(p, [0.0, 80.0]), 'times are .*; needed: .*'),
    ],
)
def test_what_has_no_steps_is_refused(make, message):
    with pytest.raises(ValueError, match=f'^{message}$'):
        make(variance_exploding())
