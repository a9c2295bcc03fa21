"""Eigenvectors of a covariance whose variances differ by any factor, level by level.

A solver in float32 resolves variances near the largest alone. Those that it resolves are kept, and
it is given the covariance without them. So a variance and the entries of its direction are as exact
as the covariance, whose errors are relative to row and column, not to the largest variance.

D columns, K directions. A direction is a row of unit length, [D].
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from genjax.numerics.gaussians import resolution
from genjax.numerics.products import matmul
from genjax.numerics.svd import oriented

# (covariance [D, D], K) -> K variances, the largest first, [K], and the directions that have them,
# [K, D]
Solver = Callable[[Array, int], tuple[Array, Array]]

RESOLUTION = resolution(jnp.float32)
# Of the largest variance: those above it an eigendecomposition in float32 resolves to eps / LEVEL.
LEVEL = 1e-3


def unit(rows: Array) -> Array:
    """Rows [K, D] at unit length; a row of 0 stays."""
    length = jnp.sqrt(jnp.sum(rows**2, 1, keepdims=True))
    return rows / jnp.where(length > 0, length, 1)


def gram_schmidt(directions: Array) -> Array:
    """Directions [K, D] that nearly are orthonormal, each cleared of those before it.

    Where the larger variances come first, an entry of a small direction at a column of large
    variance keeps its digits.
    """
    for _ in range(2):
        before = jnp.tril(matmul(directions, directions.T), -1)
        directions = unit(directions - matmul(before, directions))
    return directions


def variances_along(covariance: Array, directions: Array) -> Array:
    """v^T C v of each direction v, [K]."""
    return jnp.sum(matmul(directions, covariance) * directions, 1)


def deflate(covariance: Array, directions: Array) -> Array:
    """The covariance of rows without their part along directions: P C P, P = I - V^T V, [D, D].

    A column of which no more is left than its rounding has no variance left, unless that is small
    beside what is left of others: what rounds off a large column would hide a small one.

    Source: "projection deflation" of Mackey 2008, "Deflation methods for sparse PCA".

    Args:
      covariance: C, [D, D].
      directions: V, [K, D].
    """

    def projected(matrix):
        matrix = matrix - matmul(directions.T, matmul(directions, matrix))
        return matrix - matmul(matmul(matrix, directions.T), directions)

    rest = projected(covariance)
    left = jnp.diagonal(rest)
    rounding = RESOLUTION * jnp.diagonal(covariance)
    certain = jnp.sum(jnp.where(left > rounding, left, 0))
    varies = jnp.maximum(left, certain) > rounding
    return projected(jnp.where(varies[:, None] & varies[None], rest, 0))


def solve_by_levels(solver: Solver, covariance: Array, dimension: int) -> tuple[Array, Array]:
    """The largest variances and their directions, by a solver that resolves those near the largest.

    Most spectra need one level for K components; one more for each factor of LEVEL.

    Args:
      solver: gives the directions of one level.
      covariance: [D, D].
      dimension: K.

    Returns:
      Variances [K], and `oriented` directions [K, D].
    """
    columns = len(covariance)
    slots = jnp.arange(dimension)

    def unfinished(state):
        count, _ = state
        return count < dimension

    def level(state):
        count, directions = state
        rest = deflate(covariance, directions)
        complement = jnp.eye(columns) - matmul(directions.T, directions)
        # Any directions do where nothing varies.
        rest = jnp.where(jnp.trace(rest) > 0, rest, complement)

        variances, candidates = solver(rest, dimension)
        resolved = ~(variances < LEVEL * variances[0])  # of NaN all
        # A step of the power method: entries at columns of small variance get digits of their own.
        candidates = matmul(candidates, rest) / jnp.where(resolved, variances, 1)[:, None]

        # At least one, so that the loop ends, whatever it is given.
        next_count = count + jnp.maximum(jnp.sum(resolved), 1)
        new = (slots >= count) & (slots < next_count)
        candidates = candidates[jnp.maximum(slots - count, 0)]
        return next_count, gram_schmidt(jnp.where(new[:, None], candidates, directions))

    start = jnp.zeros((), jnp.int32), jnp.zeros((dimension, columns))
    _, directions = jax.lax.while_loop(unfinished, level, start)
    return variances_along(covariance, directions), oriented(directions)
