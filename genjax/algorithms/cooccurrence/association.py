"""The association of words and contexts: pointwise mutual information.

Levy and Goldberg 2014, "Neural word embedding as implicit matrix factorization"; Levy et al. 2015,
"Improving distributional similarity" (TACL 3).

Letters: V words, N(w, c) how often context c occurred near word w, N(w) the sum of that over all c,
N over all w too; P(w, c) = N(w, c) / N.
"""

import math

import jax.numpy as jnp

from genjax.algorithms.cooccurrence.sparse import SparseMatrix, totals


def pmi(
    matrix: SparseMatrix, vocabulary_size: int, *, shift: float = 1.0, smoothing: float = 0.75
) -> SparseMatrix:
    """Pointwise mutual information of the pairs that occurred; 0 for the rest.

        log(P(w, c) / (P(w) P(c))) - log k

    Args:
      matrix: N(w, c), integers.
      vocabulary_size: V.
      shift: k, the negative samples of the skip-gram that this amounts to (Levy and Goldberg 2014,
        equation 11).
      smoothing: alpha of P(c) = N(c)^alpha / sum_c N(c)^alpha (Levy et al. 2015, section 3.2); 1
        for none.
    """
    words = totals(matrix.values, matrix.rows, vocabulary_size)
    contexts = totals(matrix.values, matrix.columns, vocabulary_size) ** smoothing
    expected = jnp.log(words)[matrix.rows] + jnp.log(contexts / jnp.sum(contexts))[matrix.columns]
    values = jnp.log(matrix.values.astype(jnp.float32)) - expected - math.log(shift)
    return matrix._replace(values=jnp.where(matrix.values > 0, values, 0))


def ppmi(matrix: SparseMatrix, vocabulary_size: int, **options: float) -> SparseMatrix:
    """Positive pointwise mutual information, max(`pmi`, 0)."""
    return matrix._replace(values=jnp.maximum(pmi(matrix, vocabulary_size, **options).values, 0))
