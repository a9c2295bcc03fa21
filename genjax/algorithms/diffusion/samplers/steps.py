"""What all samplers share: the types, and the loop over a table of coefficients.

A sampler is a function (key, denoise, x_T) -> x_0, and `denoise` is all that it knows of a model. A
new sampler is a new function that makes a table of a path and its times: numbers of the host in
float64, over which one compiled loop goes.

Letters: B examples, S steps, N estimates, K of them that are remembered, F frames.
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


class Table(NamedTuple):
    """A sampler whose every number is linear in what it knows, in float64.

    It asks for an estimate D of x_0 at a point, one after the other. From the anchor (the x that a
    step began with), the point and the last K estimates follow the next point and the next anchor.

    Attributes:
      times: where the estimates are asked for, [N].
      point: coefficients of (anchor, point, D_0, ..., D_{K-1}) in the next point, D_0 the newest
        estimate, [N, 2 + K].
      anchor: the same of the next anchor, [N, 2 + K].
      noise: deviation of the normal noise that both get then, [N]; None for none.
      ends: how many estimates have been asked for when each step ends, [S].
    """

    times: np.ndarray
    point: np.ndarray
    anchor: np.ndarray
    noise: np.ndarray | None
    ends: np.ndarray


def one_row_steps(
    times: np.ndarray, base: np.ndarray, estimates: np.ndarray, noise: np.ndarray | None = None
) -> Table:
    """Steps x <- base x + sum_k estimates[k] D_k + noise z, which ask for one estimate each.

    Args:
      times: where each step begins, [S].
      base: [S].
      estimates: [S, K]; 0 where there is none yet.
      noise: [S]; None where no step has any.
    """
    rows = np.column_stack([np.zeros(len(base)), base, estimates])
    return Table(times, rows, rows, noise, np.arange(1, len(base) + 1))


def sampler_of(table: Table, frames: int | None = None) -> Sampler:
    """The sampler of a table.

    Args:
      table: see `Table`.
      frames: None for x_0 alone; or how many points of the chain are given, evenly spaced in steps
        and the last of them x_0.
    """
    count, width = table.point.shape
    rows = np.stack([table.point, table.anchor], 1)  # [N, 2, 2 + K]
    looks_back = width - 3

    def sample(key, denoise, x_T):
        def step(i, carry):
            point, anchor, previous = carry
            denoised = denoise(point, time_of_all(table.times, i, point))
            known = jnp.concatenate([jnp.stack([anchor, point, denoised]), previous])
            following = jnp.tensordot(at(rows, i, point), known, 1)
            if table.noise is not None:
                noise = at(table.noise, i, point) * step_noise(key, count - i, point)
                following = following + noise[None]
            return following[0], following[1], known[2 : 2 + looks_back]

        none = jnp.zeros((looks_back, *x_T.shape), x_T.dtype)
        return run_steps(step, (x_T, x_T, none), table.ends, frames)

    return sample


def run_steps(
    step: Callable[[Array, tuple], tuple], carry: tuple, ends: np.ndarray, frames: int | None
) -> Array:
    """Applies step(i, carry) -> carry for i = 0, 1, ..., x being the first of the carry.

    Args:
      step: i is traced.
      carry: of the first.
      ends: how many are applied until each step of the sampler ends, [S].
      frames: None, or how many x are kept.

    Returns:
      The last x, or frames [F, *shape of x], evenly spaced in steps, of which the last is that x.
    """
    if frames is None:
        return jax.lax.fori_loop(0, ends[-1], step, carry)[0]
    bounds = np.append(0, ends)[np.arange(frames + 1) * len(ends) // frames]

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
