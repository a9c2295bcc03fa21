"""Means and scatters of rows: of one batch, and of two sets merged.

Chan et al. 1983, "Algorithms for computing the sample variance" (The American Statistician 37).

N rows, D columns.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from genjax.numerics.products import gram
from genjax.parallel import device_mean


def mean_and_covariance(x: Array, splits: int = 0) -> tuple[Array, Array]:
    """The mean [D] and the covariance [D, D], over N, of a batch x [N, D] on all devices.

    Args:
      x: [N, D], the rows of this device.
      splits: as of `gram`.
    """
    mean = device_mean(jnp.mean(x, 0))
    centred = x - mean[None]
    return mean, device_mean(gram(centred, splits) / len(x))


def merge_moments(
    mean: Array,
    scatter: Array,
    other_mean: Array,
    other_scatter: Array,
    share: Array,
    square: Callable[[Array, Array], Array],
) -> tuple[Array, Array]:
    """The mean and the scatter, a mean of squares, of two sets of rows together (eqs. 1.5, 2.1).

    Written as steps away from the first set: a share too small for float32 changes nothing, where
    weights of 1 - share, rounded, would inflate the scatter.

    Args:
      mean: of the first set, [..., D].
      scatter: of the first set about its mean: variances [..., D], or a covariance [D, D].
      other_mean: of the second set.
      other_scatter: of the second set about its mean.
      share: of the second set in the rows of both, in [0, 1], broadcast against the mean.
      square: (c, d) -> c d^2, in the form of the scatter: c d d^T for a covariance.
    """
    shift = other_mean - mean
    between = square(1 - share, shift)
    scatter = scatter + share * (other_scatter - scatter + between)
    return mean + share * shift, scatter
