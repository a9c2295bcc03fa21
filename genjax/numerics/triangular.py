"""The inverse of a lower triangular matrix, by products of matrices alone.

Not by LAPACK: on a CPU jaxlib's batched calls wait for the very threads that run them, so that two
of them in one program, or two programs of one each, can stop for ever where a machine has two
cores.
"""

import jax.numpy as jnp
from jax import Array


def lower_inverse(factor: Array) -> Array:
    """L^-1 of lower triangular L, [..., D, D]: blocks on the diagonal are inverted two by two.

    The inverse of [[A, 0], [C, B]] is [[A^-1, 0], [-B^-1 C A^-1, B^-1]]: log2 D rounds of products,
    from blocks of one entry up. What stands above the diagonal of L is not looked at.
    """
    size = factor.shape[-1]
    whole = 1 << (size - 1).bit_length()
    margin = [(0, 0)] * (factor.ndim - 2) + [(0, whole - size)] * 2
    # Ones on the diagonal of the margin: a block that is not there is its own inverse.
    beyond = (jnp.arange(whole) >= size).astype(factor.dtype)
    padded = jnp.pad(factor, margin) + jnp.diag(beyond).reshape(
        (1,) * (factor.ndim - 2) + (whole, whole)
    )

    inverses = (1 / jnp.diagonal(padded, axis1=-2, axis2=-1))[
        ..., None, None
    ]  # [..., blocks, side, side]
    side = 1
    while side < whole:
        first, second = inverses[..., 0::2, :, :], inverses[..., 1::2, :, :]
        corner = _corners(padded, side)
        below = -jnp.matmul(
            jnp.matmul(second, corner, precision='highest'), first, precision='highest'
        )
        above = jnp.concatenate([first, jnp.zeros_like(first)], -1)
        inverses = jnp.concatenate([above, jnp.concatenate([below, second], -1)], -2)
        side *= 2
    return inverses[..., 0, :size, :size]


def _corners(matrix, side):
    """The blocks below the diagonal that part two neighbours on it, [..., pairs, side, side]."""
    pairs = matrix.shape[-1] // (2 * side)
    grid = matrix.reshape(*matrix.shape[:-2], pairs, 2, side, pairs, 2, side)
    below = grid[..., :, 1, :, :, 0, :]  # [..., pairs, side, pairs, side]
    return jnp.moveaxis(jnp.diagonal(below, axis1=-4, axis2=-2), -1, -3)
