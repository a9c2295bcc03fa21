"""Word vectors from counts, by a truncated SVD of a matrix of associations.

Letters: V words, D dimensions, N(w, c) how often context c occurred near word w.
"""

from collections.abc import Callable

import jax
from jax import Array

from genjax.algorithms.cooccurrence.association import ppmi
from genjax.algorithms.cooccurrence.sparse import SparseMatrix, count_matrix, svd
from genjax.base import Key
from genjax.counting import Counts

WordVectors = Callable[[Key, Counts], Array]  # (key, counts) -> float32 [V, D]


def svd_vectors(
    vocabulary_size: int,
    *,
    dimension: int,
    power: float = 0.5,
    symmetric: bool = True,
    association: Callable[[SparseMatrix, int], SparseMatrix] = ppmi,
    rounds: int = 8,
) -> WordVectors:
    """A vector for each word: the rows of U Sigma^p of the matrix of associations.

    The SVD starts in the same place always: the vectors follow from the counts alone.

    Args:
      vocabulary_size: V.
      dimension: D.
      power: p, the weight of the singular values: 1 is the classical SVD, 1/2 gives words and
        contexts equal shares, 0 leaves them out (Levy et al. 2015, section 3.3).
      symmetric: as in `cooccurrence`.
      association: (N(w, c), V) -> the matrix to factor.
      rounds: of `svd`.

    Raises:
      ValueError: dimension lies outside 1 to V, or power outside 0 to 1.
    """
    if not (1 <= dimension <= vocabulary_size and 0 <= power <= 1):
        raise ValueError(
            f'dimension is {dimension}, power {power}; needed: 1 to {vocabulary_size} words, 0 to 1'
        )

    def vectors(key, counts):
        del key
        matrix = association(count_matrix(counts, symmetric), vocabulary_size)
        u, sigma, _ = svd(jax.random.key(0), matrix, vocabulary_size, dimension, rounds=rounds)
        return u * sigma[None] ** power

    return vectors
