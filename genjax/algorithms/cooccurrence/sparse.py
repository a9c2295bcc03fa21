"""Sparse matrices as lists of entries: of counts, their sums, products and singular vectors.

Halko et al. 2011, "Finding structure with randomness" (arXiv:0909.4061).

Letters: E entries, V words, D columns of a dense matrix, N(w, c) how often context c occurred near
word w.
"""

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.base import Key
from genjax.counting import EMPTY, Counts
from genjax.numerics.svd import range_basis

if TYPE_CHECKING:
    import scipy.sparse

CHUNK = 2**14  # entries multiplied at a time: their rows stay in a cache


class SparseMatrix(NamedTuple):
    """A matrix that is the sum of its entries."""

    rows: Array  # [E] int32
    columns: Array  # [E] int32
    values: Array  # [E]; 0 from entry `size` on
    size: Array  # [] int32


def count_matrix(counts: Counts, symmetric: bool = True) -> SparseMatrix:
    """The matrix N(w, c) of a table of pairs.

    Args:
      counts: keys are pairs (w, c).
      symmetric: whether the table has each pair of words once, the smaller id first, and stands for
        both.
    """
    keys = jnp.where(counts.keys == EMPTY, 0, counts.keys)
    if not symmetric:
        return SparseMatrix(*keys.T, counts.values, counts.size)
    mirrored = jnp.where(keys[:, 0] == keys[:, 1], 0, counts.values)
    values = jnp.stack([counts.values, mirrored], -1)
    return SparseMatrix(keys.ravel(), keys[:, ::-1].ravel(), values.ravel(), 2 * counts.size)


def totals(values: Array, index: Array, length: int) -> Array:
    """The sum of the uint32 values at each index, float32 [length].

    A large float32 would take no notice of small values. So integers are added, 12 bits at a time,
    which is exact for up to a million values an index, and only their sums are rounded.
    """

    def total_of_bits(shift):
        return jnp.zeros(length, jnp.uint32).at[index].add((values >> shift) & 0xFFF)

    return sum(total_of_bits(shift).astype(jnp.float32) * 2.0**shift for shift in (24, 12, 0))


def multiply(matrix: SparseMatrix, x: Array, length: int) -> Array:
    """The matrix, of `length` rows, times x [V, D]: [length, D]."""
    chunk = min(CHUNK, len(matrix.values))

    def add_chunk(i, product):
        start = jnp.minimum(i * chunk, len(matrix.values) - chunk)
        rows, columns, values = (
            jax.lax.dynamic_slice_in_dim(part, start, chunk) for part in matrix[:3]
        )
        # The last chunk may overlap the one before it, of which nothing is added twice.
        fresh = start + jnp.arange(chunk) >= i * chunk
        values = jnp.where(fresh, values, 0)
        return product.at[rows].add(values[:, None] * x[columns])

    chunks = -(-matrix.size // chunk)
    return jax.lax.fori_loop(0, chunks, add_chunk, jnp.zeros((length, x.shape[1])))


def svd(
    key: Key,
    matrix: SparseMatrix,
    vocabulary_size: int,
    rank: int,
    *,
    oversampling: int = 10,
    rounds: int = 8,
) -> tuple[Array, Array, Array]:
    """The leading singular vectors and values of a V x V matrix, by subspace iteration.

    Args:
      key: of the random directions to start from.
      vocabulary_size: V.
      rank: how many are wanted.
      oversampling: directions more than the rank.
      rounds: of a product with the matrix and one with its transpose; 8 bring the flat spectra of
        PPMI to 3 %.

    Returns:
      U [V, rank], Sigma [rank], V^T [rank, V]. A column of U is positive where largest.

    Source: Halko et al. 2011, algorithms 4.4 and 5.1.
    """
    transposed = matrix._replace(rows=matrix.columns, columns=matrix.rows)
    size = min(rank + oversampling, vocabulary_size)

    def multiply_matrix(x):
        return multiply(matrix, x, vocabulary_size)

    def multiply_transposed(x):
        return multiply(transposed, x, vocabulary_size)

    start = jax.random.normal(key, (vocabulary_size, size))
    basis = range_basis(multiply_matrix, multiply_transposed, start, rounds)
    projected = multiply_transposed(basis)
    right, sigma, left = jnp.linalg.svd(projected, full_matrices=False)
    u = (basis @ left.T)[:, :rank]
    vt = right.T[:rank]
    signs = jnp.sign(jnp.take_along_axis(u, jnp.argmax(jnp.abs(u), 0)[None], 0))  # [1, rank]
    return u * signs, sigma[:rank], vt * signs.T


def to_scipy(
    counts: Counts, vocabulary_size: int, symmetric: bool = True
) -> 'scipy.sparse.csr_array':
    """N(w, c) as a sparse array of int64 on the host; arguments as of `count_matrix`."""
    import scipy.sparse

    rows, columns, values = (np.asarray(part) for part in count_matrix(counts, symmetric)[:3])
    kept = values > 0
    entries = values[kept].astype(np.int64), (rows[kept], columns[kept])
    return scipy.sparse.csr_array(entries, (vocabulary_size, vocabulary_size))
