"""Where on a path: the law of t in training, and the times that samplers go through.

A law is its quantiles, so that any draw of shares u in (0, 1) serves it. Times of a sampler are
numbers of the host, from the end of the path down to 0, the data.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtri
from jax.scipy.stats import norm

from genjax.algorithms.diffusion.paths import (
    Path,
    log_snr,
    noise_level,
    slopes,
    time_of_noise_level,
)
from genjax.algorithms.diffusion.process import Process

LEAST_LOG_SNR = -12.0


class Law(NamedTuple):
    """A law of t.

    Attributes:
      quantile: u in (0, 1) -> t.
      log_density: t -> log p(t).
    """

    quantile: Callable[[Array], Array]
    log_density: Callable[[Array], Array]


def uniform(path: Path) -> Law:
    """t uniform between the start and the end of the path."""
    width = path.end - path.start

    def quantile(u):
        return path.start + u * width

    def log_density(t):
        return jnp.full_like(t, -np.log(width))

    return Law(quantile, log_density)


def logit_normal(mean: float = 0.0, deviation: float = 1.0) -> Law:
    """log(t / (1 - t)) normal, for a path with t in (0, 1).

    Source: Esser et al. 2024, arXiv:2403.03206, section 3.1.
    """

    def quantile(u):
        return jax.nn.sigmoid(mean + deviation * ndtri(u))

    def log_density(t):
        logit = jnp.log(t) - jnp.log1p(-t)
        return norm.logpdf(logit, mean, deviation) - jnp.log(t) - jnp.log1p(-t)

    return Law(quantile, log_density)


def log_normal(path: Path, mean: float = -1.2, deviation: float = 1.2) -> Law:
    """log(sigma / alpha) normal: Karras et al. 2022, arXiv:2206.00364, table 1."""

    def quantile(u):
        return path.time(-2 * (mean + deviation * ndtri(u)))

    def log_density(t):
        half = log_snr(path, t) / 2
        slope = jnp.abs(log_snr_slope(path, t)) / 2
        return norm.logpdf(-half, mean, deviation) + jnp.log(slope)

    return Law(quantile, log_density)


def uniform_in_log_snr(path: Path) -> Law:
    """log_snr uniform from the start of the path to its end, or to -12 where the end has less.

    By this law the terms of the variational bound scatter little. What lies below -12 holds less
    than e^-12 nats for each unit of the data's squares.
    """
    highest = float(log_snr(path, np.float64(path.start)))
    lowest = least_log_snr(path)

    def quantile(u):
        return path.time(highest + u * (lowest - highest))

    def log_density(t):
        return jnp.log(jnp.abs(log_snr_slope(path, t))) - np.log(highest - lowest)

    return Law(quantile, log_density)


def least_log_snr(path: Path) -> float:
    """The log-SNR at the end of the path, or -12 where that is less."""
    with np.errstate(divide='ignore'):
        return max(float(log_snr(path, np.float64(path.end))), LEAST_LOG_SNR)


def log_snr_slope(path: Path, t: Array) -> Array:
    """d log_snr / dt, of the shape of t; it is negative."""
    alpha_slope, sigma_slope = slopes(path, t)
    return 2 * (alpha_slope / path.alpha(t) - sigma_slope / path.sigma(t))


def even_times(path: Path, steps: int) -> np.ndarray:
    """t even from the end of the path to 0: float64 [S + 1].

    Raises:
      ValueError: steps, which is S, is below 1.
    """
    _require_steps(steps)
    return np.linspace(path.end, 0.0, steps + 1)


def log_snr_times(path: Path, steps: int) -> np.ndarray:
    """log_snr even, and then 0: float64 [S + 1].

    From `least_log_snr` to the path's start, from which the last step goes to the data.

    Raises:
      ValueError: steps, which is S, is below 1.
    """
    _require_steps(steps)
    highest = float(log_snr(path, np.float64(path.start)))
    return np.append(path.time(np.linspace(least_log_snr(path), highest, steps)), 0.0)


def karras_times(path: Path, steps: int, rho: float = 7.0) -> np.ndarray:
    """(sigma / alpha)^(1 / rho) even, and then 0: float64 [S + 1].

    From the end of the path (or where its log_snr is `least_log_snr`) to its start, from which the
    last step goes to the data.

    Source: Karras et al. 2022, arXiv:2206.00364, equation 5.

    Raises:
      ValueError: steps, which is S, is below 1.
    """
    _require_steps(steps)
    highest = np.exp(-least_log_snr(path) / 2) ** (1 / rho)
    lowest = float(noise_level(path, np.float64(path.start))) ** (1 / rho)
    levels = np.linspace(highest, lowest, steps) ** rho
    return np.append(time_of_noise_level(path, levels), 0.0)


def _require_steps(steps):
    if steps < 1:
        raise ValueError(f'a sampler of steps {steps}; needed: 1 or more')


def trailing_times(process: Process, steps: int, start: int | None = None) -> np.ndarray:
    """The whole parts of start, start (S - 1) / S, ..., 0 of a process: int [S + 1].

    The 'trailing' spacing: sampling begins where the process ends.

    Args:
      process: of T steps.
      steps: S.
      start: where to begin, by default T.

    Raises:
      ValueError: start lies outside 1..T, or steps outside 1..start.
    """
    first = checked_start(process, start)
    if not 1 <= steps <= first:
        raise ValueError(f'a sampler of steps {steps}; needed: 1..{first}')
    return first * np.arange(steps, -1, -1) // steps


def leading_times(process: Process, steps: int) -> np.ndarray:
    """1 + (T // S) i for i = S - 1, ..., 0, and then 0: int [S + 1].

    The 'leading' spacing of the authors of DDIM, which begins below T, where there is still some
    data in x_t: Lin et al. 2024, arXiv:2305.08891, section 3.3, say what that does.

    Args:
      process: of T steps.
      steps: S.

    Raises:
      ValueError: steps lies outside 1..T.
    """
    total = len(process.beta) - 1
    if not 1 <= steps <= total:
        raise ValueError(f'a sampler of steps {steps}; needed: 1..{total}')
    return np.append(1 + total // steps * np.arange(steps - 1, -1, -1), 0)


def checked_start(process: Process, start: int | None) -> int:
    """start, or T for None.

    Raises:
      ValueError: start lies outside 1..T.
    """
    total = len(process.beta) - 1
    if start is None:
        return total
    if not 1 <= start <= total:
        raise ValueError(f'a sampler that starts at {start}; needed: 1..{total}')
    return start
