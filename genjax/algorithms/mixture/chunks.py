"""Some rows of a batch at a time, so that what stands between two steps stays in the cache.

B examples, C of them at a time, D columns.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from genjax.parallel import by_shares

# Pytrees.
Sums = TypeVar('Sums')
Values = TypeVar('Values')  # [C, ...] each

# (x [C, D], mask [C]) -> (sums, values); the mask is False at padding
Chunk = Callable[[Array, Array], tuple[Sums, Values]]


def map_chunks(chunk: Chunk[Sums, Values], x: Array, rows: int) -> tuple[Sums, Values]:
    """A function of some rows over all rows: its sums added up, its values in order.

    Each of the devices that share the batch takes its own rows, and the sums are exchanged once.

    Args:
      chunk: the function.
      x: [B, D].
      rows: C; the last rows are padded to it.
    """

    def on_share(x):
        return _map_chunks(chunk, x, rows)

    return by_shares(on_share, x)


def _map_chunks(chunk, x, rows):
    n = len(x)
    rows = min(rows, n)
    count = -(-n // rows)

    padded = jnp.pad(x, ((0, rows * count - n), (0, 0)), mode='edge')
    parts = padded.reshape(rows, count, -1).swapaxes(0, 1)
    masks = (jnp.arange(rows * count) < n).reshape(rows, count).T

    shapes, _ = jax.eval_shape(chunk, parts[0], masks[0])
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def body(sums, part):
        more, values = chunk(*part)
        return jax.tree.map(jnp.add, sums, more), values

    def in_order(values):
        flat = values.swapaxes(0, 1).reshape(rows * count, *values.shape[2:])
        return flat[:n]

    sums, values = jax.lax.scan(body, zeros, (parts, masks))
    return sums, jax.tree.map(in_order, values)
