"""What all samplers share: the types, the loop over steps, and steps that are linear.

A sampler is a function (key, denoise, x_T) -> x_0, and `denoise` is all that it knows of a model. A
new sampler is a new function that makes one of a path and its times; coefficients are numbers of
the host in float64, and the loop over them is one compiled program.

Letters: B examples, S steps, F frames, K denoised estimates that a step looks back on.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.algorithms.diffusion.paths import Path
from genjax.base import Key
from genjax.numerics.normals import example_normals

# (x_t [B, ...], t [B]) -> the estimate of x_0, E[x_0 | x_t], [B, ...]
Denoise = Callable[[Array, Array], Array]
# (key, denoise, x_T [B, ...]) -> x_0 [B, ...]; or of frames, [F, B, ...]
Sampler = Callable[[Key, Denoise, Array], Array]


class Linear(NamedTuple):
    """Steps x <- base x + sum_k estimates[k] D_k + noise z, in float64.

    D_0 is the estimate of x_0 at the time of the step, D_1 that of the step before, and so on; z is
    standard normal.

    Attributes:
      times: where each step begins, [S].
      base: [S].
      estimates: [S, K]; 0 where there is none yet.
      noise: [S]; None where no step has any.
    """

    times: np.ndarray
    base: np.ndarray
    estimates: np.ndarray
    noise: np.ndarray | None = None


def linear(steps: Linear, frames: int | None = None) -> Sampler:
    """The sampler of linear steps.

    Args:
      steps: see `Linear`.
      frames: None for x_0 alone; or how many x of the chain are given, evenly spaced in steps and
        the last of them x_0.
    """
    count, looks_back = steps.estimates.shape

    def sample(key, denoise, x_T):
        def step(i, carry):
            x, previous = carry
            denoised = denoise(x, time_of_all(steps.times, i, x))
            known = jnp.concatenate([denoised[None], previous])  # [K, B, ...]
            x = at(steps.base, i, x) * x + jnp.tensordot(at(steps.estimates, i, x), known, 1)
            if steps.noise is not None:
                x = x + at(steps.noise, i, x) * step_noise(key, count - i, x)
            return x, known[: looks_back - 1]

        none = jnp.zeros((looks_back - 1, *x_T.shape), x_T.dtype)
        return run_steps(step, (x_T, none), count, frames)

    return sample


def run_steps(
    step: Callable[[Array, tuple], tuple], carry: tuple, steps: int, frames: int | None
) -> Array:
    """Applies step(i, carry) -> carry for i = 0..steps-1, x being the first of the carry.

    Args:
      step: i is traced.
      carry: of the first step.
      steps: how many.
      frames: None, or how many x are kept.

    Returns:
      The last x, or frames [F, *shape of x], evenly spaced in steps, of which the last is that x.
    """
    if frames is None:
        return jax.lax.fori_loop(0, steps, step, carry)[0]
    bounds = np.arange(frames + 1) * steps // frames

    def next_frame(carry, interval):
        first, end = interval
        carry = jax.lax.fori_loop(first, end, step, carry)
        return carry, carry[0]

    return jax.lax.scan(next_frame, carry, (bounds[:-1], bounds[1:]))[1]


def frame_times(times: np.ndarray, frames: int) -> np.ndarray:
    """The times of the frames of a sampler through times [S + 1], [F]."""
    steps = len(times) - 1
    return times[np.arange(1, frames + 1) * steps // frames]


def at(table: np.ndarray, i: Array | int, x: Array) -> Array:
    """The entry i, which may be traced, of a float64 table, in the precision of x."""
    return jnp.asarray(table, x.dtype)[i]


def time_of_all(times: np.ndarray, i: Array | int, x: Array) -> Array:
    """The time i for each of B examples, [B]: int32 where times are whole numbers."""
    whole = np.issubdtype(times.dtype, np.integer)
    time = jnp.asarray(times, jnp.int32 if whole else x.dtype)[i]
    return jnp.full(len(x), time)


def step_noise(key: Key, left: Array | int, x: Array) -> Array:
    """Standard normal noise, drawn example by example, [B, ...] as x.

    Args:
      key: of the chain.
      left: how many steps are left, this one included.
      x: which is like the noise.
    """
    return example_normals(jax.random.fold_in(key, left), len(x), x.shape[1:]).astype(x.dtype)


def checked(path: Path, times: np.ndarray) -> np.ndarray:
    """The times of a sampler, which go down to the data or up from it.

    Raises:
      ValueError: they are not two or more, do not all go one way, leave the path, or begin where
        there is no noise.
    """
    times = np.asarray(times)
    one_way = times.ndim == 1 and len(times) > 1
    one_way = one_way and (np.all(np.diff(times) < 0) or np.all(np.diff(times) > 0))
    if not (one_way and times[0] > 0 and times.min() >= 0 and times.max() <= path.end):
        shown = np.array2string(times, threshold=6)
        raise ValueError(
            f'times are {shown}; needed: two or more, one way, from above 0, none above {path.end}'
        )
    return times
