"""Samplers that ask for two estimates a step: Heun's method, and EDM's with churn."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax.algorithms.diffusion.paths import (
    Path,
    noise_level,
    time_of_noise_level,
    variance_exploding,
)
from genjax.algorithms.diffusion.samplers.single_step import ode_coefficients
from genjax.algorithms.diffusion.samplers.steps import (
    Sampler,
    Table,
    at,
    checked,
    sampler_of,
    step_noise,
)


def heun(path: Path, times: np.ndarray, *, frames: int | None = None) -> Sampler:
    """Heun's method on the probability-flow ODE: the mean of the slopes at both ends of a step.

    S steps ask for 2 S - 1 estimates, since the last one, to the data, is Euler's, or for 2 S where
    the last of the times has noise. Source: Karras et al. 2022, arXiv:2206.00364, algorithm 1.

    Args:
      path: of x_t, in whose own clock the ODE is solved.
      times: decreasing, [S + 1]; where x_T is comes first, and 0 last for data.
      frames: None for x_0 alone; or how many x of the chain are given, see `sampler_of`.

    Raises:
      ValueError: what `checked` refuses.
    """
    times = checked(path, times)
    return sampler_of(_table(times[:-1], times[1:], path), frames)


def churn(
    path: Path,
    times: np.ndarray,
    amount: float = 40.0,
    least: float = 0.05,
    most: float = 50.0,
    inflation: float = 1.003,
    *,
    frames: int | None = None,
) -> Sampler:
    """EDM's stochastic sampler: each step begins by adding noise, and then Heun's goes down.

    Of S steps, each whose noise level s lies in [least, most] goes up to (1 + g) s with g =
    min(amount / S, sqrt(2) - 1), by noise of that variance times inflation^2. The defaults are
    those for ImageNet-64.

    Source: Karras et al. 2022, arXiv:2206.00364, algorithm 2; their symbols are S_churn, S_tmin,
    S_tmax and S_noise.

    Args:
      path: of x_t.
      times: decreasing, [S + 1]; where x_T is comes first, and 0 last for data.
      amount: of noise, in all steps together.
      least, most: sigma / alpha between which noise is added.
      inflation: of its deviation.
      frames: see `heun`.

    Raises:
      ValueError: amount or inflation is negative, alpha is 0 at the first of the times, or what
        `checked` refuses.
    """
    if amount < 0 or inflation < 0:
        raise ValueError(f'churn of {amount}, inflated by {inflation}; needed: both at least 0')
    times = checked(path, times)
    begin = times[:-1]
    if path.alpha(times[0]) <= 0:
        raise ValueError(f'churn begins at {times[0]}, where alpha is 0; it must be positive')
    level = noise_level(path, begin)
    gain = min(amount / len(begin), np.sqrt(2) - 1)
    raised = np.where((least <= level) & (level <= most), (1 + gain) * level, level)
    # Exactly the time itself where nothing is added.
    turn = np.where(raised > level, time_of_noise_level(path, raised), begin)
    scale = path.alpha(turn) / path.alpha(begin)
    deviation = inflation * path.alpha(turn) * np.sqrt(raised**2 - level**2)

    # The noise of a step is added when the step before ends.
    table = _table(turn, times[1:], path)
    noise = np.zeros(len(table.times))
    before = table.ends[:-1] - 1
    noise[before] = deviation[1:]
    for rows in (table.point, table.anchor):
        rows[before] *= scale[1:, None]
    sample_from_turn = sampler_of(table._replace(noise=noise), frames)

    def sample(key, denoise, x_T):
        first_key, chain_key = jax.random.split(key)
        first = at(deviation, 0, x_T) * step_noise(first_key, 0, x_T)
        return sample_from_turn(chain_key, denoise, at(scale, 0, x_T) * x_T + first)

    return sample


def rescaled(
    make: Callable[..., Sampler], path: Path, times: np.ndarray, **options: Any
) -> Sampler:
    """A sampler of x_t / alpha through noise levels sigma / alpha, which is EDM's path.

    Methods that follow a path's own clock, as `heun`, then serve one that has none between its
    steps, as `discrete`. A process that ends with next to no data, as the cosine schedule does,
    begins at so large a level that a few even steps of them are far off, and `ddim` is not.

    Args:
      make: (path, times, **options) -> Sampler, such as `heun`.
      path: that the model has; alpha is not 0.
      times: of it, as for the samplers.
      options: of make.

    Raises:
      ValueError: alpha is 0 at the first of the times, or what `make` refuses.
    """
    times = checked(path, times)
    first = path.alpha(times[0])
    if first <= 0:
        raise ValueError(f'x_t / alpha at {times[0]}, where alpha is 0; it must be positive')
    levels = noise_level(path, times)
    inner = make(variance_exploding(end=levels[0]), levels, **options)

    def sample(key, denoise, x_T):
        def denoise_scaled(y, level):
            t = time_of_noise_level(path, level)
            alpha = jnp.asarray(path.alpha(t), y.dtype)
            return denoise(alpha.reshape(-1, *[1] * (y.ndim - 1)) * y, t)

        return inner(key, denoise_scaled, x_T / np.asarray(first, x_T.dtype))

    return sample


def _table(begin, end, path):
    """Heun's steps from begin to end, [S] each."""
    steps = len(begin)
    half = (end - begin) / 2
    to_data = path.sigma(end[-1]) == 0
    x_slope, x0_slope = ode_coefficients(path, begin)
    # The last step to the data is not corrected: there is no slope.
    corrected = steps - 1 if to_data else steps
    end_x_slope, end_x0_slope = ode_coefficients(path, end[:corrected])

    # Columns: anchor, point, newest estimate, the one before. A step's first row goes by Euler's
    # method from the point, which is the anchor; its second row by the mean of both slopes.
    point = np.zeros((2 * steps, 4))
    anchor = np.zeros((2 * steps, 4))
    anchor[::2, 1] = 1.0
    point[::2, 1] = 1 + 2 * half * x_slope
    point[::2, 2] = 2 * half * x0_slope
    second = slice(1, 2 * corrected, 2)
    point[second, 0] = 1 + (half * x_slope)[:corrected]
    point[second, 1] = half[:corrected] * end_x_slope
    point[second, 2] = half[:corrected] * end_x0_slope
    point[second, 3] = (half * x0_slope)[:corrected]
    anchor[second] = point[second]
    times = np.column_stack([begin, end]).ravel()
    ends = 2 * np.arange(1, steps + 1)
    if to_data:
        ends[-1] -= 1
        anchor[-2] = point[-2]
    count = ends[-1]
    return Table(times[:count], point[:count], anchor[:count], None, ends)
