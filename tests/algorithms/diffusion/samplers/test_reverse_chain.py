"""The reverse process of DDPM against the chain that normal data have in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion import (
    ancestral,
    discrete,
    fixed_small,
    linear_schedule,
    make_denoise,
    make_process,
    reverse_chain,
)
from tests.algorithms.diffusion.gaussian import (
    BETAS,
    KEY,
    PROCESS,
    SHAPE,
    T,
    assert_mean,
    exact_predict,
    optimum,
)


def exact_denoise(process, clip=np.inf):
    return make_denoise(process, exact_predict(process), clip)


def test_it_follows_the_exact_recursion():
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
    x = reverse_chain(PROCESS)(chain_key, exact_denoise(PROCESS), x).reshape(-1, 3)
    assert_mean(x, mean)
    centred = np.asarray(x, np.float64) - mean
    assert_mean(centred[:, :, None] * centred[:, None, :], covariance)


@pytest.mark.parametrize('clip', [1.0, np.inf])
def test_with_the_posteriors_variance_it_is_ancestral_through_all_steps(clip):
    process = make_process(linear_schedule(50, 1e-4, 0.2), fixed_small)
    path = discrete(process)
    x = jax.random.normal(KEY, (16, 2, 2, 1))

    def predict(x, t):
        return jnp.sin(x)

    denoise = make_denoise(process, predict, clip)
    ours = reverse_chain(process)(KEY, denoise, x)
    theirs = ancestral(path, np.arange(50, -1, -1))(KEY, denoise, x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * float(jnp.abs(theirs).max()))


def test_frames_are_the_chain_cut_short():
    x = jax.random.normal(KEY, (4, *SHAPE))
    denoise = exact_denoise(PROCESS, clip=1.0)
    frames = reverse_chain(PROCESS, frames=3)(KEY, denoise, x)
    assert frames.shape == (3, 4, *SHAPE)
    end = reverse_chain(PROCESS)(KEY, denoise, x)
    np.testing.assert_allclose(frames[-1], end, atol=1e-6)
    every = reverse_chain(PROCESS, frames=T)(KEY, denoise, x)
    np.testing.assert_allclose(frames[:2], every[jnp.array([2, 5])], atol=1e-6)
    # After 3 steps t is 7, after 6 it is 4.
    for frame, t in ((frames[0], 7), (frames[1], 4)):
        rest = reverse_chain(PROCESS, start=t)(KEY, denoise, frame)
        np.testing.assert_allclose(rest, end, atol=1e-6)


@pytest.mark.parametrize('start', [0, T + 1])
def test_a_start_outside_the_process_is_refused(start):
    message = f'a sampler that starts at {start}; needed: 1..10'
    with pytest.raises(ValueError, match=f'^{message}$'):
        reverse_chain(PROCESS, start=start)
