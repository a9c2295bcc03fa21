"""The kernel distance between features, an unbiased estimate of a squared maximum mean discrepancy, in float64 on the
host (Binkowski et al. 2018, arXiv:1801.01401; of InceptionV3's features it is the KID).

N and M examples, D features.
"""

from typing import Any, NamedTuple

import numpy as np

BLOCK = 256  # rows of the kernel at a time


class Spread(NamedTuple):
    mean: float
    deviation: float  # standard deviation, over subsets or splits


def kernel_distance(a: Any, b: Any) -> float:
    """The squared maximum mean discrepancy of the kernel (x . y / D + 1)^3 between features [N, D] and [M, D].

    No example is compared with itself, so that the expectation is 0 for two sets of one distribution, and some
    estimates are below it. (Gretton et al. 2012, eq. 3; Binkowski et al. 2018, eq. 4.)

    Raises:
      ValueError: one side has fewer than 2 examples, or the two have different numbers of features.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if min(len(a), len(b)) < 2 or a.shape[1:] != b.shape[1:]:
        raise ValueError(f'features have shapes {a.shape} and {b.shape}; rows as long, two or more of each, are wanted')
    within = sum((_total(x, x) - _itself(x)) / (len(x) * (len(x) - 1)) for x in (a, b))
    return float(within - 2 * _total(a, b) / (len(a) * len(b)))


def subset_distances(rng: np.random.Generator, a: Any, b: Any, *, subsets: int = 100, size: int = 1000) -> Spread:
    """Mean and standard deviation of the distances between random subsets, as KID is commonly given.

    Raises:
      ValueError: size is below 2 or more than the examples of a side.
    """
    if not 2 <= size <= min(len(a), len(b)):
        raise ValueError(f'size is {size}; subsets of {len(a)} and {len(b)} examples can have 2 to the fewer of them')
    pick = lambda features: features[rng.choice(len(features), size, replace=False)]
    found = [kernel_distance(pick(a), pick(b)) for _ in range(subsets)]
    return Spread(float(np.mean(found)), float(np.std(found)))


def _total(a, b):
    """The kernel summed over all pairs."""
    blocks = (a[i : i + BLOCK] @ b.T for i in range(0, len(a), BLOCK))
    return sum(_kernel(block, a.shape[1]).sum() for block in blocks)


def _itself(a):
    """The kernel of each example with itself, summed."""
    return _kernel(np.einsum('nd,nd->n', a, a), a.shape[1]).sum()


def _kernel(products, width):
    # Multiplied out: numpy's power with a whole exponent takes ten times as long.
    base = products / width + 1
    return base * base * base
