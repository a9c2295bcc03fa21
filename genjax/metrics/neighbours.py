"""How true and how varied generated examples are, by balls around features that reach to the k-th
neighbour; in float64 on the host.

A ball holds its rim: a point as far as the k-th neighbour is inside. Duplicates lie on rims, where
rounding decides.

N real and M fake examples, D features.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

BLOCK = 256  # rows of distances at a time


class PrecisionRecall(NamedTuple):
    precision: float  # the share of fake examples in a ball of a real one
    recall: float  # the share of real examples in a ball of a fake one


class DensityCoverage(NamedTuple):
    # The number of real balls that a fake example is in, over k; of one distribution 1 is expected
    density: float
    coverage: float  # the share of real balls with a fake example inside


def precision_recall(real: Any, fake: Any, *, k: int = 3) -> PrecisionRecall:
    """Improved precision and recall of features [N, D] and [M, D] (Kynkaanniemi et al. 2019,
    arXiv:1904.06991, eq. 2).

    Raises:
      ValueError: k is below 1 or not less than the examples of a side, or the two have different
        numbers of features.
    """
    real, fake = _centred(real, fake)
    precise, _ = _balls(real, _squared_radii(real, k), fake)
    recalled, _ = _balls(fake, _squared_radii(fake, k), real)
    return PrecisionRecall(float((precise > 0).mean()), float((recalled > 0).mean()))


def density_coverage(real: Any, fake: Any, *, k: int = 5) -> DensityCoverage:
    """Density and coverage of features [N, D] and [M, D] (Naeem et al. 2020, arXiv:2002.09797, eqs.
    4 and 5).

    Raises:
      ValueError: k is below 1 or not less than the real examples, or the two have different numbers
        of features.
    """
    real, fake = _centred(real, fake)
    inside, covered = _balls(real, _squared_radii(real, k), fake)
    return DensityCoverage(float(inside.mean() / k), float(covered.mean()))


def expected_coverage(real: int, fake: int, k: int = 5) -> float:
    """The coverage to expect of so many real and fake examples of one continuous distribution.

    A ball is missed where its centre's k nearest of all the others are real ones (Naeem et al.
    2020, lemma 2).
    """
    others = real - 1
    i = np.arange(k)
    return float(1 - np.prod((others - i) / (others + fake - i)))


def _centred(real, fake):
    """Both in float64 about the real mean, so that the squares below lose few digits."""
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    if real.shape[1:] != fake.shape[1:]:
        raise ValueError(
            f'features have shapes {real.shape} and {fake.shape}; rows as long are wanted'
        )
    return real - real.mean(0), fake - real.mean(0)


def _squared_radii(features, k):
    """The squared distance from each to its k-th neighbour, [N]."""
    if not 1 <= k < len(features):
        raise ValueError(
            f'k is {k}; {len(features)} examples have 1 to {len(features) - 1} neighbours'
        )
    # The nearest of all is the example itself. A column that were not copied would keep its whole
    # block.
    kth = [
        np.partition(block, k, 1)[:, k].copy() for block in _squared_distances(features, features)
    ]
    return np.concatenate(kth)


def _balls(centres, squared_radii, points):
    """The number of balls that each point is in, [M], and whether each ball has a point inside,
    [N]."""
    inside, occupied = np.zeros(len(points), int), []
    for i, block in enumerate(_squared_distances(centres, points)):
        within = block <= squared_radii[i * BLOCK : (i + 1) * BLOCK, None]
        inside += within.sum(0)
        occupied.append(within.any(1))
    return inside, np.concatenate(occupied)


def _squared_distances(a, b) -> Iterator[np.ndarray]:
    """Blocks [BLOCK, M] of squared distances, one after the other."""
    lengths, own = (np.einsum('nd,nd->n', x, x) for x in (b, a))
    for i in range(0, len(a), BLOCK):
        block = a[i : i + BLOCK] @ b.T
        block *= -2
        block += lengths
        block += own[i : i + BLOCK, None]
        yield np.maximum(block, 0, out=block)
