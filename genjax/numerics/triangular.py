"""The inverse of a lower triangular matrix, by products of matrices alone.

Not by LAPACK: on a CPU jaxlib's batched calls wait for the very threads that run them, so that two
of them in one program, or two programs of one each, can stop for ever where a machine has two
cores.
"""

import jax.numpy as jnp
from jax import Array

from genjax.numerics.products import matmul


def lower_inverse(factor: Array) -> Array:
    """L^-1 of lower triangular L, [..., D, D]: blocks on the diagonal are inverted two by two.

    The inverse of [[A, 0], [C, B]] is [[A^-1, 0], [-B^-1 C A^-1, B^-1]]: log2 D rounds of products,
    from blocks of one entry up. What stands above the diagonal of L is not read.
    """
    size = factor.shape[-1]
    padded = _padded(factor, 1 << (size - 1).bit_length())

    diagonal = jnp.diagonal(padded, axis1=-2, axis2=-1)
    inverses = (1 / diagonal)[..., None, None]  # [..., blocks, side, side]
    side = 1
    while side < padded.shape[-1]:
        first = inverses[..., 0::2, :, :]
        second = inverses[..., 1::2, :, :]
        corner = _corners(padded, side)
        below = -matmul(matmul(second, corner), first)
        above = jnp.concatenate([first, jnp.zeros_like(first)], -1)
        inverses = jnp.concatenate([above, jnp.concatenate([below, second], -1)], -2)
        side *= 2
    return inverses[..., 0, :size, :size]


def _padded(factor, width):
    """The factor in the corner of a [..., width, width], with ones on the rest of the diagonal.

    A block that is not there is then its own inverse.
    """
    size = factor.shape[-1]
    batch_axes = factor.ndim - 2
    margin = [(0, 0)] * batch_axes + [(0, width - size), (0, width - size)]
    ones = jnp.diag((jnp.arange(width) >= size).astype(factor.dtype))
    return jnp.pad(factor, margin) + jnp.expand_dims(ones, tuple(range(batch_axes)))


def _corners(matrix, side):
    """The blocks below the diagonal that part two neighbours on it, [..., pairs, side, side]."""
    pairs = matrix.shape[-1] // (2 * side)
    grid = matrix.reshape(*matrix.shape[:-2], pairs, 2, side, pairs, 2, side)
    below = grid[..., :, 1, :, :, 0, :]  # [..., pairs, side, pairs, side]
    return jnp.moveaxis(jnp.diagonal(below, axis1=-4, axis2=-2), -1, -3)
