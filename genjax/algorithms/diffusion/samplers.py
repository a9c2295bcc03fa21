"""Samplers: from noise x_T to data x_0, by the steps of a `Process`.

A sampler is a function (key, denoise, x_T) -> x_0, and a new sampler is a new function. The
functions here close over its options: the process, the number of steps, where it starts.
`denoise` is all that a sampler knows of a model.

Letters: B examples, T steps of the process, S steps of the sampler.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.algorithms.diffusion.process import (
    Predict,
    Process,
    at,
    last_step,
    noise_like,
    posterior_mean,
    predict_x0,
    q_sample,
)
from genjax.base import Key

# (x_t [B, ...], t int32 [B] in 1..T) -> the estimate of x_0, E[x_0 | x_t], [B, ...]
Denoise = Callable[[Array, Array], Array]
# (key, denoise, x_T [B, ...]) -> x_0 [B, ...]
Sampler = Callable[[Key, Denoise, Array], Array]


def make_denoise(process: Process, predict: Predict, clip: float = 1.0) -> Denoise:
    """The estimate of x_0 by a network that predicts the noise, clipped to [-clip, clip]."""

    def denoise(xt, t):
        of_one = partial(predict_x0, process, clip=clip)
        return jax.vmap(of_one)(t, xt, predict(xt, t))

    return denoise


def ancestral(process: Process, *, start: int | None = None) -> Sampler:
    """Every step of p(x_{t-1} | x_t), the last without noise (Ho et al. 2020, algorithm 2).

    Args:
      process: the diffusion.
      start: the t of the given x_T; by default T.

    Raises:
      ValueError: start lies outside 1..T.
    """
    chain = ancestral_frames(process, 1, start=start)

    def sample(key, denoise, x_T):
        return chain(key, denoise, x_T)[-1]

    return sample


def ancestral_frames(
    process: Process, frames: int, *, start: int | None = None
) -> Callable[[Key, Denoise, Array], Array]:
    """The chain of `ancestral`: (key, denoise, x_T [B, ...]) -> [frames, B, ...].

    The frames are evenly spaced in steps, and the last is x_0.

    Args:
      process: the diffusion.
      frames: how many x_t of the chain are kept.
      start: the t of the given x_T; by default T.

    Raises:
      ValueError: start lies outside 1..T.
    """
    first = _start(process, start)
    noise_scale = np.sqrt(process.model_variance) * (np.arange(last_step(process) + 1) > 1)

    def sample(key, denoise, x_T):
        def step(i, x):
            t = first - i
            mean = posterior_mean(process, t, denoise(x, jnp.full(len(x), t)), x)
            return mean + at(noise_scale, t) * noise_like(jax.random.fold_in(key, t), x)

        return run_steps(step, x_T, first, frames)

    return sample


def run_steps(
    step: Callable[[Array, Array], Array], x: Array, steps: int, frames: int = 1
) -> Array:
    """Applies step(i, x) -> x for i = 0..steps-1 and keeps frames of x, [frames, *shape of x].

    They are evenly spaced in steps, and the last is the result.
    """
    bounds = np.arange(frames + 1) * steps // frames

    def next_frame(x, interval):
        first, end = interval
        x = jax.lax.fori_loop(first, end, step, x)
        return x, x

    return jax.lax.scan(next_frame, x, (bounds[:-1], bounds[1:]))[1]


def even_times(process: Process, steps: int, start: int | None = None) -> np.ndarray:
    """The whole parts of start, start (S - 1) / S, ..., 0: int [S + 1].

    Raises:
      ValueError: start lies outside 1..T, or steps outside 1..start.
    """
    first = _start(process, start)
    if not 1 <= steps <= first:
        raise ValueError(f'a sampler of steps {steps}; needed: 1..{first}')
    return first * np.arange(steps, -1, -1) // steps


def _start(process, start):
    total = last_step(process)
    if start is None:
        return total
    if not 1 <= start <= total:
        raise ValueError(f'a sampler that starts at {start}; needed: 1..{total}')
    return start


def ddim_step(
    alpha_bar: np.ndarray, alpha_bar_next: np.ndarray, eta: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x0_coef, xt_coef, variance) of a step of DDIM, each of one shape with the arguments.

    x_next is x0_coef x_0 + xt_coef x_t and noise of the variance (Song et al. 2021,
    arXiv:2010.02502, eqs. 12, 16).
    """
    variance = eta**2 * (1 - alpha_bar_next) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_next)
    xt_coef = np.sqrt((1 - alpha_bar_next - variance) / (1 - alpha_bar))
    x0_coef = np.sqrt(alpha_bar_next) - xt_coef * np.sqrt(alpha_bar)
    return x0_coef, xt_coef, variance


def ddim(process: Process, steps: int, eta: float = 0.0, *, start: int | None = None) -> Sampler:
    """S steps through the whole parts of T, T (S - 1) / S, ..., 0 (Song et al. 2021, eq. 12).

    At eta = 0 it is Euler's method on the probability-flow ODE of `heun`.

    Args:
      process: the diffusion.
      steps: S.
      eta: scales the noise, up to the posterior's at 1, where S = T is `ancestral` with
        `fixed_small`.
      start: the t of the given x_T; by default T.

    Raises:
      ValueError: steps lies outside 1..T, eta outside [0, 1], or start outside 1..T.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f'ddim of eta {eta}; needed: eta in [0, 1]')
    times = even_times(process, steps, start)
    alpha_bar = process.alpha_bar[times]
    x0_coef, xt_coef, variance = ddim_step(alpha_bar[:-1], alpha_bar[1:], eta)
    noise_scale = np.sqrt(variance)

    def sample(key, denoise, x_T):
        def step(i, x):
            t = jnp.asarray(times)[i]
            x0 = denoise(x, jnp.full(len(x), t))
            noise = noise_like(jax.random.fold_in(key, t), x)
            return at(x0_coef, i) * x0 + at(xt_coef, i) * x + at(noise_scale, i) * noise

        return run_steps(step, x_T, steps)[-1]

    return sample


def heun(process: Process, steps: int, *, start: int | None = None) -> Sampler:
    """Heun's method on the probability-flow ODE, by 2 S - 1 calls of `denoise`.

    For y = x_t / sqrt(alpha_bar) and sigma^2 = (1 - alpha_bar) / alpha_bar the ODE is
    dy / dsigma = (y - denoise(x_t, t)) / sigma. The last step, to sigma = 0, is one of Euler, which
    gives what `denoise` does. The order is second in the steps of sigma. Steps even in t are not
    even in sigma: a cosine schedule begins at so large a sigma that a few of them do worse than
    `ddim`.

    Source: Karras et al. 2022, arXiv:2206.00364, algorithm 1.

    Args:
      process: the diffusion.
      steps: S, through the same t as those of `ddim`.
      start: the t of the given x_T; by default T.

    Raises:
      ValueError: steps lies outside 1..T, or start outside 1..T.
    """
    times = even_times(process, steps, start)
    alpha_bar = process.alpha_bar[times]
    scale = np.sqrt(alpha_bar)
    sigma = np.sqrt((1 - alpha_bar) / alpha_bar)

    def sample(key, denoise, x_T):
        del key

        def denoised(i, y):
            t = jnp.asarray(times)[i]
            return denoise(at(scale, i) * y, jnp.full(len(y), t))

        def slope(i, y):
            return (y - denoised(i, y)) / at(sigma, i)

        def step(i, y):
            width = at(sigma, i + 1) - at(sigma, i)
            slope_cur = slope(i, y)
            slope_next = slope(i + 1, y + width * slope_cur)
            return y + width * (slope_cur + slope_next) / 2

        y = jax.lax.fori_loop(0, steps - 1, step, x_T / at(scale, 0))
        return denoised(steps - 1, y)

    return sample


def interpolate(
    key: Key,
    process: Process,
    denoise: Denoise,
    sampler: Callable[..., Sampler],
    ends: tuple[Array, Array],
    weights: Sequence[float],
    t: int,
) -> Array:
    """Images between two ends: mixed at t, and denoised from there, [K, B, ...] (section 4.3).

    All weights have the same noise.

    Args:
      key: of the noise of both ends, and of the sampler.
      process: the diffusion.
      denoise: the model's.
      sampler: (process, start=t) -> Sampler, as `ancestral`.
      ends: two batches of images, [B, ...] each.
      weights: of the second end, [K].
      t: where the two are mixed, in 1..T.
    """
    first_key, second_key, chain_key = jax.random.split(key, 3)
    x0, y0 = ends
    x = q_sample(process, t, x0, noise_like(first_key, x0))
    y = q_sample(process, t, y0, noise_like(second_key, y0))
    sample = sampler(process, start=t)

    def between(weight):
        return sample(chain_key, denoise, (1 - weight) * x + weight * y)

    return jax.vmap(between)(jnp.asarray(weights))
