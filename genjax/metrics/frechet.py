"""The Frechet distance between Gaussians fitted to features, in float64 on the host (Heusel et al.
2017, arXiv:1706.08500, eq. 6), and how it hangs on the number of examples.

N examples, D features, S sizes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Moments(NamedTuple):
    mean: np.ndarray  # [D]
    covariance: np.ndarray  # [D, D], over n - 1; zeros for n = 1
    n: float  # examples; infinity for a population


class Curve(NamedTuple):
    """Distances between sets of n examples each; `limit` is where they go as n grows."""

    sizes: np.ndarray  # int [S]
    values: np.ndarray  # [S]
    limit: float


def moments(features: Any) -> Moments:
    """The moments of features [N, D].

    Raises:
      ValueError: they are not a table with a row, or not finite.
    """
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or not len(features):
        raise ValueError(
            f'features have shape {features.shape}; a table [N, D] of at least one row is wanted'
        )
    mean = features.mean(0)
    if not np.isfinite(mean).all():
        raise ValueError(
            f'features are not finite in columns {np.flatnonzero(~np.isfinite(mean))[:8].tolist()}'
        )
    centred = features - mean
    return Moments(mean, centred.T @ centred / max(len(features) - 1, 1), len(features))


def merge(a: Moments, b: Moments) -> Moments:
    """The moments of two sets together (Chan et al. 1983, eq. 2.1), so that features need not be
    held at once."""
    n = a.n + b.n
    apart = b.mean - a.mean
    scatter = (
        (a.n - 1) * a.covariance
        + (b.n - 1) * b.covariance
        + np.outer(apart, apart) * (a.n * b.n / n)
    )
    return Moments(a.mean + apart * (b.n / n), scatter / (n - 1), n)


def frechet(a: Moments, b: Moments) -> float:
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
    apart = a.mean - b.mean
    overlap = np.linalg.svd(_factor(b) @ _factor(a).T, compute_uv=False).sum()
    return float(apart @ apart + np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap)


def _factor(of):
    """F [R, D] with F^T F the covariance, R its rank at most.

    n examples have n - 1 directions. What rounding leaves in the others would come out as its root,
    1e-8 of the scale.
    """
    values, vectors = np.linalg.eigh(of.covariance)
    rank = int(min(len(values), of.n - 1))
    return np.sqrt(values[-rank:].clip(0))[:, None] * vectors[:, -rank:].T


def distance(a: Any, b: Any) -> float:
    """The Frechet distance between features [N, D] and features [M, D]."""
    return frechet(moments(a), moments(b))


def bias_curve(rng: np.random.Generator, a: Any, b: Any = None, *, sizes: Sequence[int]) -> Curve:
    """Distances between random subsets of n examples of a and n of b, for each size n, and where
    they go.

    The bias of the distance is about proportional to 1/n, so that a straight line in 1/n goes to
    the unbiased distance at 0 (Chong and Forsyth 2020, arXiv:1911.07023, section 3.2).

    Args:
      a: features [N, D].
      b: features [M, D]; None takes both subsets from a, without a common example: what n perfect
        examples give.
      sizes: at least two different ones, from 2 to what there is; a size may be named more than
        once.
    """
    sizes = _checked(sizes, len(a) // 2 if b is None else min(len(a), len(b)))

    def value(n):
        rows = rng.permutation(len(a))
        left, right = (
            a[rows[:n]],
            (a[rows[n : 2 * n]] if b is None else b[rng.permutation(len(b))[:n]]),
        )
        return distance(left, right)

    values = np.array([value(n) for n in sizes])
    return Curve(sizes, values, extrapolate(sizes, values))


def extrapolate(sizes: np.ndarray, values: np.ndarray) -> float:
    """Where the straight line in 1/n through values of sizes n, by least squares, meets 1/n = 0."""
    return float(np.polyfit(1 / np.asarray(sizes), values, 1)[1])


def default_sizes(n: int, points: int = 10) -> np.ndarray:
    """Sizes from n / 4 to n, evenly spaced in 1/n as the line through them is."""
    return np.rint(1 / np.linspace(1 / max(n // 4, 2), 1 / n, points)).astype(int)


def _checked(sizes, most):
    sizes = np.asarray(sizes, int)
    if len(set(sizes.tolist())) < 2 or sizes.min() < 2 or sizes.max() > most:
        raise ValueError(
            f'sizes are {sizes.tolist()}; at least two different ones from 2 to {most} are wanted'
        )
    return sizes
