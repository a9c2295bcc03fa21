"""The Frechet distance between Gaussians fitted to features, in float64 on the host.

Heusel et al. 2017, arXiv:1706.08500, eq. 6; and how it depends on the number of examples.

N examples, D features, S sizes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Moments(NamedTuple):
    """The Gaussian fitted to features."""

    mean: np.ndarray  # [D]
    covariance: np.ndarray  # [D, D], over n - 1; zeros for n = 1
    n: float  # examples; infinity for a population


class BiasCurve(NamedTuple):
    """Distances between sets of n examples each."""

    sizes: np.ndarray  # int [S], n
    values: np.ndarray  # [S], the distances
    limit: float  # extrapolated to infinite n


def frechet_distance(a: ArrayLike, b: ArrayLike) -> float:
    """The Frechet distance between features [N, D] and features [M, D].

    Raises:
      ValueError: features are not finite tables, the two have different numbers of features, or one
        has fewer than 2 examples.
    """
    return moment_distance(moments(a), moments(b))


def moments(features: ArrayLike) -> Moments:
    """The moments of features [N, D].

    Raises:
      ValueError: they are not a table with at least one row, or not finite.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or not len(features):
        raise ValueError(
            f'features have shape {features.shape}; a table [N, D] of at least one row is wanted'
        )
    mean = features.mean(0)
    if not np.isfinite(mean).all():
        columns = np.flatnonzero(~np.isfinite(mean))[:8].tolist()
        raise ValueError(f'features are not finite in columns {columns}')
    centred = features - mean
    covariance = centred.T @ centred / max(len(features) - 1, 1)
    return Moments(mean, covariance, len(features))


def merge(a: Moments, b: Moments) -> Moments:
    """The moments of two sets together (Chan et al. 1983, eq. 2.1).

    By these, features need not be in memory at once.
    """
    n = a.n + b.n
    difference = b.mean - a.mean
    scatter = (
        (a.n - 1) * a.covariance
        + (b.n - 1) * b.covariance
        + np.outer(difference, difference) * (a.n * b.n / n)
    )
    return Moments(a.mean + difference * (b.n / n), scatter / (n - 1), n)


def moment_distance(a: Moments, b: Moments) -> float:
    """|m_a - m_b|^2 + tr(A + B - 2 (A B)^(1/2)) of means m and covariances A and B.

    The trace of the root is the sum of the singular values of B^(1/2) A^(1/2): no root of a matrix
    that need not have one, no imaginary parts, and covariances of fewer examples than features, of
    which many eigenvalues are 0.

    Raises:
      ValueError: the two have different numbers of features, or one has fewer than 2 examples.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f'moments of {len(a.mean)} and {len(b.mean)} features cannot be compared')
    if min(a.n, b.n) < 2:
        raise ValueError(f'{a.n} and {b.n} examples; a covariance needs at least 2')
    difference = a.mean - b.mean
    trace_root = np.linalg.svd(_factor(b) @ _factor(a).T, compute_uv=False).sum()
    squared_difference = difference @ difference
    return float(
        squared_difference + np.trace(a.covariance) + np.trace(b.covariance) - 2 * trace_root
    )


def _factor(moments):
    """F [R, D] with F^T F the covariance, R its rank at most.

    n examples have n - 1 directions. In the others rounding leaves eigenvalues of 1e-16 of the
    scale, whose root would be 1e-8 of it.
    """
    values, vectors = np.linalg.eigh(moments.covariance)
    rank = int(min(len(values), moments.n - 1))
    return np.sqrt(values[-rank:].clip(0))[:, None] * vectors[:, -rank:].T


def bias_curve(
    rng: np.random.Generator, a: np.ndarray, b: np.ndarray | None = None, *, sizes: Sequence[int]
) -> BiasCurve:
    """Distances between random subsets of n examples of a and n of b, for each size n.

    The bias of the distance is about proportional to 1/n, so that a straight line in 1/n goes to
    the unbiased distance at 0 (Chong and Forsyth 2020, arXiv:1911.07023, section 3.2).

    Args:
      rng: draws the subsets.
      a: features [N, D].
      b: features [M, D]; None takes both subsets from a, without a common example, which gives the
        distances of n perfect examples.
      sizes: at least two different ones, from 2 to the examples at hand; a size may be named more
        than once.

    Raises:
      ValueError: sizes are fewer than two different ones, or out of range.
    """
    largest = len(a) // 2 if b is None else min(len(a), len(b))
    sizes = _check_sizes(sizes, largest)

    def subset_distance(n):
        rows = rng.permutation(len(a))
        left = a[rows[:n]]
        right = a[rows[n : 2 * n]] if b is None else b[rng.permutation(len(b))[:n]]
        return frechet_distance(left, right)

    values = np.array([subset_distance(n) for n in sizes])
    return BiasCurve(sizes, values, extrapolate(sizes, values))


def extrapolate(sizes: np.ndarray, values: np.ndarray) -> float:
    """Where the straight line in 1/n through values of sizes n, by least squares, meets 1/n = 0."""
    return float(np.polyfit(1 / np.asarray(sizes), values, 1)[1])


def default_sizes(n: int, points: int = 10) -> np.ndarray:
    """Sizes from n / 4 to n, evenly spaced in 1/n as the line through them is."""
    return np.rint(1 / np.linspace(1 / max(n // 4, 2), 1 / n, points)).astype(int)


def _check_sizes(sizes, largest):
    sizes = np.asarray(sizes, int)
    if len(set(sizes.tolist())) < 2 or sizes.min() < 2 or sizes.max() > largest:
        raise ValueError(
            f'sizes are {sizes.tolist()}; '
            f'at least two different ones from 2 to {largest} are wanted'
        )
    return sizes
