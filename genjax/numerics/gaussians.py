"""What float32 resolves of a Gaussian, and how its mean moves in the coordinates of its factor.

A covariance S is kept as a factor L, S = L L^T. A column of L is known to eps / 2 of the standard
deviation of that column alone, so what it leaves once the columns before it are known can be
lost in rounding.

D columns.
"""

import math
from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike


def resolution(dtype: DTypeLike) -> float:
    """The least share of a column's standard deviation that a factor resolves.

    At this share the error is a 32nd, and a likelihood off by no more than a thousandth.
    """
    return 16 * float(jnp.finfo(dtype).eps)


def rounding_slack(size: int, dtype: DTypeLike) -> float:
    """More than rounding takes off the eigenvalues of a covariance of unit variances, as a share.

    Args:
      size: D.
      dtype: of the floats.
    """
    return 16 * math.sqrt(size) * float(jnp.finfo(dtype).eps)


def move_mean(
    mean: Array,
    factor: Array,
    shift: Array,
    *,
    colour: Callable[[Array, Array], Array],
    whiten: Callable[[Array, Array], Array],
) -> tuple[Array, Array]:
    """A mean [D] moved by L times a shift [D], or left where that is nearer to the exact place.

    Args:
      mean: m, [D].
      factor: L.
      shift: in the coordinates of the factor, [D].
      colour: (L, w) -> L w.
      whiten: (L, d) -> L^-1 d.

    Returns:
      The mean as it is rounded, and what rounding has left of the shift, [D] each. Far from 0 the
      latter is no trifle beside a direction that varies little.
    """
    moved = mean + colour(factor, shift)
    rest = shift - whiten(factor, moved - mean)
    nearer = jnp.sum(rest**2) < jnp.sum(shift**2)
    return jnp.where(nearer, moved, mean), jnp.where(nearer, rest, shift)
