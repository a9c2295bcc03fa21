"""The energy distance between two sets of points."""

import numpy as np
from numpy.typing import ArrayLike

BLOCK = 1000  # rows whose distances to all others are in memory at a time


def energy_distance(a: ArrayLike, b: ArrayLike) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'|, 0 for two sets of one law alone.

    No point is compared with itself, so the expectation is 0 for sets of one law, and some
    estimates are below it. It takes time in proportion to the square of the number of points.

    Source: Szekely and Rizzo 2013, Journal of Statistical Planning and Inference 143, equation 2.1.

    Args:
      a: x, [N, D].
      b: y, [M, D].

    Raises:
      ValueError: a set has fewer than 2 points, or the two are of different dimensions.
    """
    a = np.asarray(a, np.float64)
    b = np.asarray(b, np.float64)
    if min(len(a), len(b)) < 2 or a.shape[1:] != b.shape[1:] or a.ndim != 2:
        raise ValueError(
            f'points have shapes {a.shape} and {b.shape}; '
            'rows as long, two or more of each, are wanted'
        )
    within = [_sum_distances(x, x) / (len(x) * (len(x) - 1)) for x in (a, b)]
    return 2 * _sum_distances(a, b) / (len(a) * len(b)) - sum(within)


def _sum_distances(a, b):
    total = 0.0
    for start in range(0, len(a), BLOCK):
        differences = a[start : start + BLOCK, None] - b[None]
        total += np.linalg.norm(differences, axis=-1).sum()
    return total
