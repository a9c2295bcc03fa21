"""The kernel distance between features, an unbiased estimate of a squared maximum mean discrepancy,
in float64 on the host (Binkowski et al. 2018, arXiv:1801.01401; of InceptionV3's features it is the
KID).

N and M examples, D features.
"""

from typing import Any, NamedTuple

import numpy as np

BLOCK = 256  # rows of the kernel at a time


class Spread(NamedTuple):
    mean: float
    deviation: float  # standard deviation, over subsets or splits


def kernel_distance(a: Any, b: Any) -> float:
    """The squared maximum mean discrepancy of the kernel (x . y / D + 1)^3 between features [N, D]
    and [M, D].

    No example is compared with itself, so that the expectation is 0 for two sets of one
    distribution, and some estimates are below it. (Gretton et al. 2012, eq. 3; Binkowski et al.
    2018, eq. 4.)

    Raises:
      ValueError: one side has fewer than 2 examples, or the two have different numbers of features.
    """
    return float(_distances(a, b, np.ones((len(a), 1)), np.ones((len(b), 1)))[0])


def kernel_distances(
    rng: np.random.Generator, a: Any, b: Any, *, subsets: int = 100, size: int = 1000
) -> tuple[float, Spread]:
    """The `kernel_distance` of all examples, and what it is between random subsets, as KID is
    commonly given.

    Raises:
      ValueError: as above, or size is below 2 or more than the examples of a side.
    """
    if not 2 <= size <= min(len(a), len(b)):
        raise ValueError(
            f'size is {size}; subsets of {len(a)} and {len(b)} examples can have 2 to the fewer of them'
        )
    pick = lambda features: np.isin(
        np.arange(len(features)), rng.choice(len(features), size, replace=False)
    )
    picked = [(pick(a), pick(b)) for _ in range(subsets)]
    left, right = (
        np.stack([np.ones(len(chosen[0])), *chosen], 1) for chosen in zip(*picked, strict=True)
    )
    whole, *parts = _distances(a, b, left, right)
    return float(whole), Spread(float(np.mean(parts)), float(np.std(parts)))


def _distances(a, b, left, right):
    """The distance [S] of each of S choices of examples, which are columns of ones and zeros, [N,
    S] and [M, S]: every value of the kernel is computed once for all of them."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if min(len(a), len(b)) < 2 or a.shape[1:] != b.shape[1:]:
        raise ValueError(
            f'features have shapes {a.shape} and {b.shape}; rows as long, two or more of each, are wanted'
        )
    n, m = left.sum(0), right.sum(0)
    within = _apart(a, left) / (n * (n - 1)) + _apart(b, right) / (m * (m - 1))
    return within - 2 * _total(a, b, left, right) / (n * m)


def _apart(a, chosen):
    """The kernel summed over the pairs of two different examples of a choice, [S]."""
    itself = _kernel(np.einsum('nd,nd->n', a, a), a.shape[1])
    return _total(a, a, chosen, chosen) - itself @ chosen


def _total(a, b, left, right):
    """The kernel summed over all pairs of a choice, [S]."""
    blocks = (
        (slice(i, i + BLOCK), _kernel(a[i : i + BLOCK] @ b.T, a.shape[1]))
        for i in range(0, len(a), BLOCK)
    )
    return sum((left[rows] * (block @ right)).sum(0) for rows, block in blocks)


def _kernel(products, width):
    # Multiplied out: numpy's power with a whole exponent takes ten times as long.
    base = products / width + 1
    return base * base * base
