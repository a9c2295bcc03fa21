"""The kernel distance between features, in float64 on the host.

An unbiased estimate of a squared maximum mean discrepancy (Binkowski et al. 2018,
arXiv:1801.01401); of InceptionV3's features it is the KID.

N and M examples, D features, S subsets.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

BLOCK = 256  # rows of the kernel at a time


class MeanStd(NamedTuple):
    """A value over subsets or splits."""

    mean: float
    deviation: float  # standard deviation


def kernel_distance(a: ArrayLike, b: ArrayLike) -> float:
    """The squared maximum mean discrepancy of the kernel (x . y / D + 1)^3.

    No example is compared with itself, so that the expectation is 0 for two sets of one
    distribution, and some estimates are below it. (Gretton et al. 2012, eq. 3; Binkowski et al.
    2018, eq. 4.)

    Args:
      a: features [N, D].
      b: features [M, D].

    Raises:
      ValueError: one side has fewer than 2 examples, or the two have different numbers of features.
    """
    (distance,) = _subset_distances(a, b, np.ones((len(a), 1)), np.ones((len(b), 1)))
    return float(distance)


def kernel_distances(
    rng: np.random.Generator, a: ArrayLike, b: ArrayLike, *, subsets: int = 100, size: int = 1000
) -> tuple[float, MeanStd]:
    """The `kernel_distance` of all examples, and over random subsets, as KID is commonly given.

    Args:
      rng: draws the subsets.
      a: features [N, D].
      b: features [M, D].
      subsets: S.
      size: examples of a subset, on each side.

    Raises:
      ValueError: one side has fewer than 2 examples, the two have different numbers of features, or
        size is below 2 or more than the examples of a side.
    """
    if not 2 <= size <= min(len(a), len(b)):
        raise ValueError(
            f'size is {size}; '
            f'subsets of {len(a)} and {len(b)} examples can have 2 to the fewer of them'
        )

    def draw_mask(n):
        return np.isin(np.arange(n), rng.choice(n, size, replace=False))

    left = [np.ones(len(a))]
    right = [np.ones(len(b))]
    for _ in range(subsets):
        left.append(draw_mask(len(a)))
        right.append(draw_mask(len(b)))
    whole, *parts = _subset_distances(a, b, np.stack(left, 1), np.stack(right, 1))
    return float(whole), MeanStd(float(np.mean(parts)), float(np.std(parts)))


def _subset_distances(a, b, left, right):
    """The distances of S subsets, [S]; every value of the kernel is computed once for all of them.

    The subsets are columns of ones and zeros, left [N, S] and right [M, S].
    """
    a = np.asarray(a, np.float64)
    b = np.asarray(b, np.float64)
    if min(len(a), len(b)) < 2 or a.shape[1:] != b.shape[1:]:
        raise ValueError(
            f'features have shapes {a.shape} and {b.shape}; '
            'rows as long, two or more of each, are wanted'
        )
    n = left.sum(0)
    m = right.sum(0)
    within_a = _sum_distinct_pairs(a, left) / (n * (n - 1))
    within_b = _sum_distinct_pairs(b, right) / (m * (m - 1))
    between = 2 * _sum_pairs(a, b, left, right) / (n * m)
    return within_a + within_b - between


def _sum_distinct_pairs(a, masks):
    """The kernel summed over the pairs of two different examples of each subset, [S]."""
    diagonal = _kernel(np.einsum('nd,nd->n', a, a), a.shape[1])
    return _sum_pairs(a, a, masks, masks) - diagonal @ masks


def _sum_pairs(a, b, left, right):
    """The kernel summed over all pairs of each subset, [S]."""
    total = 0
    for start in range(0, len(a), BLOCK):
        rows = slice(start, start + BLOCK)
        block = _kernel(a[rows] @ b.T, a.shape[1])
        total = total + (left[rows] * (block @ right)).sum(0)
    return total


def _kernel(products, width):
    # Multiplied out: numpy's power with an integer exponent takes ten times as long.
    base = products / width + 1
    return base * base * base
