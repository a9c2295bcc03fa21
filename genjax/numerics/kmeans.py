"""Starting points of k-means: Arthur and Vassilvitskii 2007, "k-means++".

Each row is drawn in proportion to its squared distance from the nearest of those drawn before it.

N rows, D columns, n of them drawn.
"""

import jax
import jax.numpy as jnp
from jax import Array

from genjax.base import Key


def plus_plus(key: Key, x: Array, n: int) -> Array:
    """n of the rows x [N, D] by k-means++, [n, D]."""
    first_key, rest_key = jax.random.split(key)

    def pick(i, carry):
        chosen, distances = carry
        row, distances = _draw_far(jax.random.fold_in(rest_key, i), x, distances)
        return chosen.at[i].set(row), distances

    first = x[jax.random.randint(first_key, (), 0, len(x))]
    chosen = jnp.broadcast_to(first, (n, len(first)))
    chosen, _ = jax.lax.fori_loop(1, n, pick, (chosen, _squared_distances(x, first)))
    return chosen


def masked_plus_plus(key: Key, x: Array, mask: Array, n: int) -> Array:
    """n of the rows x [N, D] by k-means++, [n, D]; rows where the mask [N] is False are no start.

    The first is drawn evenly: all begin at one distance, larger than any between rows.
    """

    def pick(distances, key):
        row, distances = _draw_far(key, x, distances)
        return distances, row

    equal = jnp.where(mask, 1e30, 0.0)
    _, chosen = jax.lax.scan(pick, equal, jax.random.split(key, n))
    return chosen


def _draw_far(key, x, distances):
    """A row drawn in proportion to squared distances [N], and these with it among the chosen."""
    row = x[jax.random.categorical(key, jnp.log(distances))]
    return row, jnp.minimum(distances, _squared_distances(x, row))


def _squared_distances(x, row):
    return jnp.sum((x - row[None]) ** 2, -1)
