"""The events of a text, and the tables that count them.

An event is a word, or the end of a sentence, after its context: the n - 1 words before it, or begin
markers before the sentence's first.

The state of a model is a tuple of n tables. That of order n has how often each n-gram occurred;
that of an order m below it how many different words occurred before each m-gram, N1+(. w_1 .. w_m),
which is all that Kneser-Ney asks of shorter contexts. Rows of a table are sorted, so what follows a
context is one range of them.

Letters: B excerpts of L places, n the order, m = 1 .. n, V words, C rows of a table.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from genjax.counting import ABSENT, Counts, add, find
from genjax.parallel import shard_batch

Tables = tuple[Counts, ...]  # of the orders 1 .. n


class Continuations(NamedTuple):
    """What followed a context: a range of the rows of a table."""

    first: Array  # int32 [...], its first row
    total: Array  # uint32 [...], the sum of its values
    kinds: Array  # int32 [...], the number of its rows


def margin(order: int) -> int:
    """Places at the front of an excerpt that are context alone.

    They are enough for a whole context, or for the word that a sentence ends with.
    """
    return max(order - 1, 1)


def ngrams(words: Array, order: int, vocabulary_size: int) -> Array:
    """The n-gram that ends at each place after the margin; ABSENT where there is no event.

    Consecutive excerpts of a corpus that overlap by the margin give every event once, with its
    whole context; the first one begins with separators. A sentence by itself is laid out as
    `log_probability` does.

    Args:
      words: [B, L], ids 0 .. V - 1, or -1 where there is no word. The first -1 after a word ends
        the sentence: it is the outcome V. Contexts that reach back beyond a -1 have begin markers,
        V + 1, from there on.
      order: n.
      vocabulary_size: V.

    Returns:
      int32 [B, L - margin, n].
    """

    def before(j):  # the word j places before each place
        return words[:, margin(order) - j : words.shape[1] - j]

    inside = True
    context = []
    for j in range(1, order):
        inside &= before(j) >= 0
        context.insert(0, jnp.where(inside, before(j), vocabulary_size + 1))

    outcome = jnp.where(before(0) >= 0, before(0), vocabulary_size)
    grams = jnp.stack([*context, outcome], -1)
    event = (before(0) >= 0) | (before(1) >= 0)
    return jnp.where(event[..., None], grams, ABSENT)


def count_ngrams(tables: Tables, grams: Array) -> Tables:
    """The tables with n-grams [M, n] added.

    What is new to a table has one more word before it at the order below.
    """
    counted = []
    for table in reversed(tables):
        table, new = add(table, grams, jnp.ones(len(grams), jnp.uint32))
        counted.insert(0, table)
        grams = shard_batch(new)[:, 1:]  # every device has all that is new
    return tuple(counted)


def cumulative_counts(table: Counts) -> Array:
    """The sum of the values before each row, and of all, uint32 [C + 1]."""
    return jnp.append(jnp.zeros(1, jnp.uint32), jnp.cumsum(table.values))


def continuations(table: Counts, sums: Array, grams: Array, outcomes: int) -> Continuations:
    """What followed the contexts of m-grams.

    Args:
      table: of order m.
      sums: its `cumulative_counts`.
      grams: int32 [..., m], of which the last word is not read.
      outcomes: V + 1.
    """
    first, _ = find(table, grams.at[..., -1].set(0))
    last, _ = find(table, grams.at[..., -1].set(outcomes))
    return Continuations(first, sums[last] - sums[first], last - first)
