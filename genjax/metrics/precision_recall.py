"""Precision and recall, density and coverage of generated examples, in float64 on the host.

All are by balls around features that reach to the k-th neighbour. A ball includes its surface: a
point as far as the k-th neighbour is inside. Duplicates lie on surfaces, where rounding decides.

N real and M fake examples, D features.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

BLOCK = 256  # rows of distances at a time


class PrecisionRecall(NamedTuple):
    """Shares of 1."""

    precision: float  # of fake examples in a ball of a real one
    recall: float  # of real examples in a ball of a fake one


class DensityCoverage(NamedTuple):
    """Statistics of the balls of real examples."""

    # The number of balls that a fake example is in, over k; of one distribution 1 is expected
    density: float
    coverage: float  # the share of balls with a fake example inside


def precision_recall(real: ArrayLike, fake: ArrayLike, *, k: int = 3) -> PrecisionRecall:
    """Improved precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991, eq. 2).

    Args:
      real: features [N, D].
      fake: features [M, D].
      k: the neighbour that a ball reaches to.

    Raises:
      ValueError: k is below 1 or not less than the examples of a side, or the two have different
        numbers of features.
    """
    real, fake = _centre(real, fake)
    balls_of_fake, _ = _count_balls(real, _squared_radii(real, k), fake)
    balls_of_real, _ = _count_balls(fake, _squared_radii(fake, k), real)
    return PrecisionRecall(float((balls_of_fake > 0).mean()), float((balls_of_real > 0).mean()))


def density_coverage(real: ArrayLike, fake: ArrayLike, *, k: int = 5) -> DensityCoverage:
    """Density and coverage (Naeem et al. 2020, arXiv:2002.09797, eqs. 4 and 5).

    Args:
      real: features [N, D].
      fake: features [M, D].
      k: the neighbour that a ball reaches to.

    Raises:
      ValueError: k is below 1 or not less than the real examples, or the two have different numbers
        of features.
    """
    real, fake = _centre(real, fake)
    balls, occupied = _count_balls(real, _squared_radii(real, k), fake)
    return DensityCoverage(float(balls.mean() / k), float(occupied.mean()))


def expected_coverage(real: int, fake: int, k: int = 5) -> float:
    """The expected coverage of so many real and fake examples of one continuous distribution.

    A ball has no fake example where its centre's k nearest of all the others are real ones (Naeem
    et al. 2020, lemma 2).
    """
    others = real - 1
    i = np.arange(k)
    return float(1 - np.prod((others - i) / (others + fake - i)))


def _centre(real, fake):
    """Both in float64 about the real mean, so that squared distances lose few digits."""
    real = np.asarray(real, np.float64)
    fake = np.asarray(fake, np.float64)
    if real.shape[1:] != fake.shape[1:]:
        raise ValueError(
            f'features have shapes {real.shape} and {fake.shape}; rows as long are wanted'
        )
    mean = real.mean(0)
    return real - mean, fake - mean


def _squared_radii(features, k):
    """The squared distance from each to its k-th neighbour, [N]."""
    if not 1 <= k < len(features):
        raise ValueError(
            f'k is {k}; {len(features)} examples have 1 to {len(features) - 1} neighbours'
        )
    # The nearest of all is the example itself, at place 0. A column that were not copied would keep
    # its whole block in memory.
    radii = [
        np.partition(block, k, 1)[:, k].copy() for block in _squared_distances(features, features)
    ]
    return np.concatenate(radii)


def _count_balls(centres, squared_radii, points):
    """Counts the balls that contain each point.

    Args:
      centres: [N, D].
      squared_radii: [N].
      points: [M, D].

    Returns:
      The number of balls that each point is in, [M], and whether each ball contains a point, [N].
    """
    balls = np.zeros(len(points), int)
    occupied = []
    for i, block in enumerate(_squared_distances(centres, points)):
        inside = block <= squared_radii[i * BLOCK : (i + 1) * BLOCK, None]
        balls += inside.sum(0)
        occupied.append(inside.any(1))
    return balls, np.concatenate(occupied)


def _squared_distances(a, b) -> Iterator[np.ndarray]:
    """Blocks [BLOCK, M] of squared distances, one after the other."""
    a_squares = np.einsum('nd,nd->n', a, a)
    b_squares = np.einsum('nd,nd->n', b, b)
    for start in range(0, len(a), BLOCK):
        rows = slice(start, start + BLOCK)
        block = a[rows] @ b.T
        block *= -2
        block += b_squares
        block += a_squares[rows, None]
        yield np.maximum(block, 0, out=block)
