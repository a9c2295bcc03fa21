"""Truncated singular value decomposition from random directions.

Halko et al. 2011, "Finding structure with randomness" (arXiv:0909.4061).

A matrix of N rows and D columns; R directions.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from genjax.base import Key
from genjax.numerics.products import matmul


def range_basis(
    multiply: Callable[[Array], Array],
    multiply_transposed: Callable[[Array], Array],
    start: Array,
    iterations: int,
) -> Array:
    """An orthonormal basis of the range of a matrix A, [N, R], by subspace iteration.

    Source: Halko et al. 2011, algorithm 4.4.

    Args:
      multiply: y [D, R] -> A y [N, R].
      multiply_transposed: z [N, R] -> A^T z [D, R].
      start: directions [D, R] to start from, commonly normal noise.
      iterations: by A^T and A, each of which squares the gaps of the spectrum and more.
    """

    def iterate(_, basis):
        rows = _orthonormal(multiply_transposed(basis))
        return _orthonormal(multiply(rows))

    basis = _orthonormal(multiply(start))
    return jax.lax.fori_loop(0, iterations, iterate, basis)


def _orthonormal(x):
    return jnp.linalg.qr(x)[0]


def oriented(directions: Array) -> Array:
    """Directions [K, D], each turned so that its entry of largest size is positive.

    Of entries of equal size the first decides.
    """
    largest = jnp.take_along_axis(directions, jnp.argmax(jnp.abs(directions), 1)[:, None], 1)
    return jnp.where(largest < 0, -directions, directions)


def randomised_svd(
    key: Key, x: Array, rank: int, *, oversampling: int = 10, iterations: int = 4
) -> tuple[Array, Array, Array]:
    """Truncated singular value decomposition: U [N, rank], sigma [rank], V^T [rank, D].

    The rows of V^T are `oriented`. Those of centred data are its principal directions, sigma^2 / N
    their variances.

    Source: Halko et al. 2011, algorithms 4.4 and 5.1.

    Args:
      key: of the random directions.
      x: [N, D], any matrix.
      rank: singular values kept.
      oversampling: random directions beyond the rank.
      iterations: as of `range_basis`.

    Raises:
      ValueError: rank lies outside 1 to min(N, D), or another number is negative.
    """
    if not 1 <= rank <= min(x.shape):
        raise ValueError(
            f'rank is {rank}; {x.shape[0]} rows of {x.shape[1]} columns allow 1 to {min(x.shape)}'
        )
    require_counts(oversampling, iterations)

    def multiply(y):
        return matmul(x, y)

    def multiply_transposed(z):
        return matmul(x.T, z)

    start = jax.random.normal(key, (x.shape[1], min(rank + oversampling, *x.shape)))
    basis = range_basis(multiply, multiply_transposed, start, iterations)

    left, sigma, right = jnp.linalg.svd(matmul(basis.T, x), full_matrices=False)
    directions = oriented(right[:rank])
    signs = jnp.where(jnp.sum(directions * right[:rank], 1) < 0, -1.0, 1.0)
    return matmul(basis, left[:, :rank]) * signs[None], sigma[:rank], directions


def require_counts(oversampling: int, iterations: int) -> None:
    """Raises ValueError where one of the two is negative."""
    if min(oversampling, iterations) < 0:
        raise ValueError(
            f'oversampling is {oversampling}, iterations {iterations}; both must be at least 0'
        )
