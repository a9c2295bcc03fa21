"""Sentences drawn from an n-gram model.

Letters: n the order, m = 1 .. n, V words.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.ngram.events import Tables, continuations, cumulative_counts
from genjax.algorithms.ngram.smoothing import Smoothing
from genjax.base import Key
from genjax.counting import Counts


class SummedTable(NamedTuple):
    table: Counts
    sums: Array  # its `cumulative_counts`


def summed_tables(tables: Tables) -> list[SummedTable]:
    """The tables of a model, ready to sample from."""
    return [SummedTable(table, cumulative_counts(table)) for table in tables]


def sample_word(
    key: Key,
    tables: Sequence[SummedTable],
    context: Array,
    *,
    vocabulary_size: int,
    smoothing: Smoothing,
) -> Array:
    """One outcome from P(. | context), without computing the others.

    At each order one of the occurrences that followed the context is drawn, and kept with the ratio
    of its word's own part to its word's share of the occurrences; if it is not kept, the shorter
    context decides.

    Args:
      tables: of the orders 1 .. n.
      context: [n - 1] int32.

    Returns:
      [] int32, 0 to V.
    """
    order = len(tables)
    outcomes = vocabulary_size + 1
    uniform_key, *keys = jax.random.split(key, order + 1)
    word = jax.random.randint(uniform_key, (), 0, outcomes)

    for m, ((table, sums), order_key) in enumerate(zip(tables, keys, strict=True), 1):
        occurrence_key, keep_key = jax.random.split(order_key)
        gram = jnp.append(context[order - m :], 0)
        first, total, kinds = continuations(table, sums, gram, outcomes)
        occurrence = jax.random.randint(
            occurrence_key, (), jnp.uint32(0), jnp.maximum(total, 1), jnp.uint32
        )
        row = jnp.searchsorted(sums, sums[first] + occurrence, side='right') - 1
        count, total_count, kind_count = [
            x.astype(jnp.float32) for x in (table.values[row], total, kinds)
        ]
        own, _ = smoothing(m, order, outcomes, count, total_count, kind_count)
        keep = (total > 0) & (jax.random.uniform(keep_key) * (count / total_count) < own)
        word = jnp.where(keep, table.keys[row, -1], word)

    return word


def sample_sentence(
    key: Key,
    tables: Sequence[SummedTable],
    length: int,
    *,
    vocabulary_size: int,
    smoothing: Smoothing,
) -> Array:
    """The first `length` words of one sentence by ancestral sampling, -1 after its end.

    Returns:
      int32 [length].
    """
    end = vocabulary_size
    begin = vocabulary_size + 1

    def step(carry, key):
        context, ended = carry
        word = sample_word(
            key, tables, context, vocabulary_size=vocabulary_size, smoothing=smoothing
        )
        ended |= word == end
        return (jnp.append(context, word)[1:], ended), jnp.where(ended, -1, word)

    start = jnp.full(len(tables) - 1, begin), False
    _, words = jax.lax.scan(step, start, jax.random.split(key, length))
    return words
