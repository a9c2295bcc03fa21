"""Which directions of a covariance are kept: extraction and selection of features.

Extraction takes new directions, by all eigenvectors or by a randomised decomposition; selection
keeps some of the columns as they are.

D columns, K directions.
"""

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.pca.levels import Solver, solve_by_levels
from genjax.numerics.svd import randomised_svd, require_counts


def eigenvectors(covariance: Array, dimension: int) -> tuple[Array, Array]:
    """The largest eigenvalues, [K], and their eigenvectors, [K, D].

    float32 resolves those near the largest alone.
    """
    values, vectors = jnp.linalg.eigh(covariance)
    return values[::-1][:dimension], vectors.T[::-1][:dimension]


def exact(covariance: Array, dimension: int) -> tuple[Array, Array]:
    """The `Solver` that computes all eigenvectors and keeps some."""
    return solve_by_levels(eigenvectors, covariance, dimension)


def randomised(*, oversampling: int = 10, iterations: int = 4, seed: int = 0) -> Solver:
    """The `Solver` by `randomised_svd` of the covariance.

    Where a spectrum is flat it stops short of the directions of largest variance; what it gives are
    still the variances of the directions that it gives, and the noise is the variance of what they
    leave out.

    Args:
      oversampling: random directions beyond K.
      iterations: as of `range_basis`.
      seed: of the random directions; one, so that a state has one set of codes.

    Raises:
      ValueError: a number of the first two is negative.
    """
    require_counts(oversampling, iterations)

    def decompose(covariance, dimension):
        _, variances, directions = randomised_svd(
            jax.random.key(seed),
            covariance,
            dimension,
            oversampling=oversampling,
            iterations=iterations,
        )
        return variances, directions

    def solver(covariance, dimension):
        return solve_by_levels(decompose, covariance, dimension)

    return solver


def select(covariance: Array, dimension: int) -> Array:
    """The columns of largest variance, largest first, int32 [K]."""
    _, columns = jax.lax.top_k(jnp.diagonal(covariance), dimension)
    return columns


def selection(covariance: Array, dimension: int) -> tuple[Array, Array]:
    """The `Solver` that keeps columns as they are; the others are reconstructed as their means."""
    columns = select(covariance, dimension)
    return jnp.diagonal(covariance)[columns], jax.nn.one_hot(columns, len(covariance))
