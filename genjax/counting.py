"""The only place where counting becomes an update, as `descent` is for gradients.

Counts are in a table of fixed capacity that is sorted by key: adding to it is a merge, looking up a
binary search. They are integers: float32 stops counting at 2^24, and a sum of integers depends
neither on its order nor on the number of devices.

Letters: C rows of a table, n columns of a key, M keys added at a time.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.parallel import all_gather

EMPTY = np.int32(2**31 - 1)  # every column of a row without a key; it sorts behind all keys
ABSENT = np.int32(-1)  # every column where there is no key to add
MAX_CAPACITY = 2**30


class Counts(NamedTuple):
    """How often each key occurred."""

    keys: Array  # [C, n] int32, in lexicographic order, each once; EMPTY from row `size` on
    values: Array  # [C] uint32
    size: Array  # [] int32, the number of keys
    lost: Array  # [] bool, whether there was no room for a key, or a count has passed 2^32


def empty(capacity: int, n: int) -> Counts:
    """A table for up to `capacity` different keys of n columns.

    Raises:
      ValueError: capacity lies outside 1 to 2^30, or n is below 1.
    """
    if not (1 <= capacity <= MAX_CAPACITY and n >= 1):
        raise ValueError(
            f'a table of capacity {capacity}, {n} columns; '
            'needed: capacity of 1 to 2^30, 1 column or more'
        )
    return Counts(
        keys=jnp.full((capacity, n), EMPTY),
        values=jnp.zeros(capacity, jnp.uint32),
        size=jnp.zeros((), jnp.int32),
        lost=jnp.zeros((), bool),
    )


def add(counts: Counts, keys: Array, values: Array) -> tuple[Counts, Array]:
    """Adds weighted keys to a table, exactly; under several devices the keys of all of them.

    Where there is no room for every new key the largest ones are dropped and `lost` is set, for
    good; see `stored_keys`.

    Args:
      counts: the table.
      keys: [M, n] int32, repeats allowed; a key with a negative column is skipped.
      values: [M], non-negative integers whose sum lies below 2^32.

    Returns:
      The table, and the keys that are new to it: int32, each once, in order, and rows of ABSENT
      after them. It has as many rows as the keys of all devices.
    """
    keys, sums = _sum_by_key(*all_gather((keys, values.astype(jnp.uint32))))
    capacity = len(counts.values)
    index, present = find(counts, keys)
    new = ~present & (keys[:, 0] != EMPTY)
    rank = jnp.cumsum(new) - 1  # of a new key among those

    # Where each new key goes in the merged table, or outside it; and for each row of the merged
    # table, where it comes from if it is not new.
    place = jnp.where(new, index + rank, capacity)
    inserted = jnp.zeros(capacity, jnp.int32).at[place].set(1, mode='drop')
    origin = jnp.arange(capacity) - jnp.cumsum(inserted)

    values = counts.values.at[jnp.where(present, index, capacity)].add(sums, mode='drop')
    size = counts.size + jnp.sum(new, dtype=jnp.int32)
    wrapped = jnp.any(values < counts.values)
    merged = Counts(
        keys=counts.keys[origin].at[place].set(keys, mode='drop'),
        values=values[origin].at[place].set(sums, mode='drop'),
        size=jnp.minimum(size, capacity),
        lost=counts.lost | wrapped | (size > capacity),
    )

    rank = jnp.where(new, rank, len(keys))
    return merged, jnp.full_like(keys, ABSENT).at[rank].set(keys, mode='drop')


def _sum_by_key(keys, values):
    """The different keys in order, and the sum of the values of each.

    Rows left over are EMPTY, with sum 0.
    """
    valid = jnp.all(keys >= 0, -1)
    columns = [jnp.where(valid, column, EMPTY) for column in keys.T]
    *columns, values = jax.lax.sort((*columns, values), num_keys=len(columns), is_stable=False)
    keys = jnp.stack(columns, -1)

    starts = jnp.append(True, jnp.any(keys[1:] != keys[:-1], -1))
    run = jnp.cumsum(starts) - 1
    sums = jnp.zeros_like(values).at[run].add(values, indices_are_sorted=True)
    return jnp.full_like(keys, EMPTY).at[run].set(keys, indices_are_sorted=True), sums


def find(counts: Counts, keys: Array) -> tuple[Array, Array]:
    """Looks for keys [..., n] by binary search.

    Returns:
      The row of each key, or where it would have to be inserted, int32 [...]; and whether it is
      present, bool [...].
    """
    capacity = len(counts.values)
    bits = capacity.bit_length()

    def search(i, row):  # all rows before `row` have smaller keys
        further = row + (1 << (bits - 1 - i))
        fits = further <= capacity
        smaller = fits & _before(counts.keys[jnp.minimum(further, capacity) - 1], keys)
        return jnp.where(smaller, further, row)

    row = jax.lax.fori_loop(0, bits, search, jnp.zeros(keys.shape[:-1], jnp.int32))
    equal = counts.keys[jnp.minimum(row, capacity - 1)] == keys
    return row, jnp.all(equal, -1) & (keys[..., 0] != EMPTY)


def _before(a, b):
    """Whether keys a [..., n] come before keys b in lexicographic order, bool [...]."""
    before = a[..., -1] < b[..., -1]
    for i in reversed(range(a.shape[-1] - 1)):
        before = (a[..., i] < b[..., i]) | ((a[..., i] == b[..., i]) & before)
    return before


def lookup(counts: Counts, keys: Array) -> Array:
    """The counts of keys [..., n], uint32 [...]: 0 for a key that is not present."""
    row, present = find(counts, keys)
    return jnp.where(present, counts.values[jnp.minimum(row, len(counts.values) - 1)], 0)


def stored_keys(counts: Counts) -> Array:
    """The number of keys, float32 []: a metric that is infinite, and so ends a run, once `lost`."""
    return jnp.where(counts.lost, jnp.inf, counts.size.astype(jnp.float32))
