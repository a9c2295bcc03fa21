"""The mean and the covariance of all rows, kept while batches pass.

Chan et al. 1983, "Algorithms for computing the sample variance" (The American Statistician 37).

B rows of a batch, N of all batches, D columns.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.numerics.moments import mean_and_covariance, merge_moments
from genjax.parallel import all_gather


class Moments(NamedTuple):
    """Of all rows so far.

    The mean is kept as a distance from a place nearby, so that it loses no digits to its size.
    """

    count: Array  # [] uint32: N
    origin: Array  # [D], any place near the mean
    shift: Array  # [D], from the origin to the mean
    covariance: Array  # [D, D], the sum of products divided by N


def empty(origin: Array) -> Moments:
    """The moments of no rows; origin [D] should lie near those to come."""
    zeros = jnp.zeros_like(origin)
    return Moments(jnp.zeros((), jnp.uint32), jnp.copy(origin), zeros, zeros[:, None] * zeros[None])


def merge(moments: Moments, x: Array) -> Moments:
    """The moments of the rows so far and of a batch (Chan et al. 1983, eq. 1.5).

    Args:
      moments: of the rows so far.
      x: [B, D], the rows of this device; those of all are merged.
    """
    x = x - moments.origin[None]
    # Products by halves of halves: covariances are symmetric.
    batch_shift, batch_covariance = mean_and_covariance(x, splits=2)

    rows = len(all_gather(x[:, 0]))
    count = moments.count + np.uint32(rows)
    share = rows / count.astype(jnp.float32)
    shift, covariance = merge_moments(
        moments.shift, moments.covariance, batch_shift, batch_covariance, share, _scaled_outer
    )
    return Moments(count, moments.origin, shift, covariance)


def _scaled_outer(scale, d):
    return scale * d[:, None] * d[None]


def mean(moments: Moments) -> Array:
    """The mean of the rows, [D]."""
    return moments.origin + moments.shift


def centred(moments: Moments, x: Array) -> Array:
    """Rows x [B, D] less the mean.

    Nearer the truth than x - mean(moments) where columns vary little beside their size.
    """
    return x - moments.origin[None] - moments.shift[None]
