"""Input vectors that words share parts of: fastText's sub-words.

Bojanowski et al. 2017, "Enriching word vectors with subword information" (arXiv:1607.04606),
section 3.2: a word's vector is the sum of the vectors of its sub-words. The authors' program has
the mean, and adds the whole step of the mean to each of them.

Words have some twenty sub-words, and not all as many. So those of a text's words are taken one
after another, C at a time, for as long as there are any.

Letters: V words, N sub-words, a row of the table each, S sub-words of all words, D dimensions,
B texts, I words of a text, C sub-words at a time.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.algorithms.word2vec.steps import AddSteps
from genjax.parallel import share_count

CHUNK = 2048  # which stays in a core's cache


class Parts(NamedTuple):
    """Of which rows of a table the input vector of each word is made."""

    rows: np.ndarray  # [S] int32, those of word 0, of word 1, ...
    counts: np.ndarray  # [V] int32, 1 or more
    weights: np.ndarray  # [V] float32, a word's vector is this times the sum of its rows
    size: int  # N
    chunk: int  # C


def sum_of_parts(rows: np.ndarray, counts: np.ndarray, *, chunk: int = CHUNK) -> Parts:
    """A word's vector is the sum of its rows, as in the paper.

    Args:
      rows: int [S], those of word 0, of word 1, ...
      counts: int [V], how many each word has.
      chunk: C. Rows of a block beyond C are added by another turn, and so a limit of steps as in
        `add_clipped_steps` holds for each turn.

    Raises:
      ValueError: a word has no row, the rows are not as many as the counts say, one is negative, or
        chunk is below 1.
    """
    rows = np.asarray(rows, np.int32)
    counts = np.asarray(counts, np.int32)
    if not len(counts) or counts.min() < 1 or counts.sum() != len(rows) or rows.min() < 0:
        raise ValueError(
            f'{len(rows)} sub-words of {len(counts)} words, by their counts {counts.sum()}; each '
            'word needs at least one, of 0 or more'
        )
    if chunk < 1:
        raise ValueError(f'chunk is {chunk}; at least 1 is needed')
    return Parts(rows, counts, np.ones(len(counts), np.float32), int(rows.max()) + 1, chunk)


def mean_of_parts(rows: np.ndarray, counts: np.ndarray, *, chunk: int = CHUNK) -> Parts:
    """A word's vector is the mean of its rows, and each of them takes the whole step of the mean.

    So has the authors' program. Arguments and errors are those of `sum_of_parts`.
    """
    parts = sum_of_parts(rows, counts, chunk=chunk)
    return parts._replace(weights=(1 / parts.counts).astype(np.float32))


def fold_parts(
    turn: Callable[[Any, jax.Array, jax.Array, jax.Array], Any],
    start: Any,
    words: jax.Array,
    parts: Parts,
    *,
    chunk: int,
) -> Any:
    """Goes through the sub-words of texts, `chunk` of each text a turn.

    Args:
      turn: (value, rows int32 [B, C], owners int32 [B, C], valid bool [B, C]) -> value. An owner is
        the place in its text of the word that a row belongs to. At the end of a text rows are not
        valid, and any.
      start: the value before the first turn.
      words: int32 [B, I].
      parts: of the words.
      chunk: C.

    Returns:
      The value after the last turn.
    """
    counts = jnp.asarray(parts.counts)
    rows = jnp.asarray(parts.rows)
    ends = jnp.cumsum(counts.at[words].get(mode='promise_in_bounds'), 1)
    firsts = jnp.asarray((np.cumsum(parts.counts) - parts.counts).astype(np.int32))
    # Of the row of a slot: how far it is from the slot's own number
    shifts = (
        firsts.at[words].get(mode='promise_in_bounds') - jnp.pad(ends, ((0, 0), (1, 0)))[:, :-1]
    )
    last = words.shape[1] - 1

    def numbered_turn(i, value):
        slots = i * chunk + jnp.arange(chunk, dtype=jnp.int32)
        owners = jax.vmap(partial(jnp.searchsorted, side='right'), (0, None))(ends, slots)
        valid = owners <= last
        owners = jnp.minimum(owners, last)
        places = jnp.take_along_axis(shifts, owners, 1) + slots[None]
        return turn(value, rows.at[places].get(mode='clip'), owners, valid)

    return jax.lax.fori_loop(0, -(-ends[:, -1].max() // chunk), numbered_turn, start)


def take_parts(table: jax.Array, words: jax.Array, parts: Parts) -> jax.Array:
    """The vectors of words [B, I], of a table [N, D]: [B, I, D].

    The texts of a device are joined to one: turns of a single text are cheaper.
    """
    texts = words.reshape(share_count(len(words)), -1)

    def add_rows(sums, owners, vectors):
        return sums.at[owners].add(vectors, mode='promise_in_bounds')

    def turn(sums, rows, owners, valid):
        vectors = table.at[rows].get(mode='promise_in_bounds')
        return jax.vmap(add_rows)(sums, owners, jnp.where(valid[..., None], vectors, 0))

    start = jnp.zeros((*texts.shape, table.shape[1]), table.dtype)
    sums = fold_parts(turn, start, texts, parts, chunk=-(-parts.chunk // len(texts)))
    weights = jnp.asarray(parts.weights, table.dtype).at[words].get(mode='promise_in_bounds')
    return weights[..., None] * sums.reshape(*words.shape, -1)


def add_to_parts(
    table: jax.Array,
    words: jax.Array,
    steps: jax.Array,
    parts: Parts,
    *,
    add: AddSteps,
    scale: Callable[[jax.Array], jax.Array] | None = None,
) -> jax.Array:
    """The table with the step of each word added to each of its rows.

    Args:
      table: [N, D].
      words: int32 [R].
      steps: [R, D].
      parts: of the words.
      add: adds the steps of a turn.
      scale: rows [C] -> the factors of their steps, [C]; None for 1.
    """

    def turn(table, rows, owners, valid):
        rows = rows[0]
        owners = owners[0]
        valid = valid[0]
        part_steps = jnp.where(valid[:, None], steps.at[owners].get(mode='promise_in_bounds'), 0)
        if scale is not None:
            part_steps = scale(rows)[:, None] * part_steps
        return add(table, rows, part_steps)

    return fold_parts(turn, table, words[None], parts, chunk=parts.chunk)


def add_curvatures(
    sums: jax.Array, words: jax.Array, curvatures: jax.Array, parts: Parts
) -> jax.Array:
    """Buckets [K] with the curvature of each word's step added for each of its rows, by the row
    modulo K.

    Of the sum of n rows that all take one step the second derivative in that step is n times that
    of the vector; of their mean it is the vector's.

    Args:
      sums: [K].
      words: int32 [R].
      curvatures: of the words' vectors, [R].
      parts: of the words.
    """
    factors = jnp.asarray(parts.weights * parts.counts)
    curvatures = curvatures * factors.at[words].get(mode='promise_in_bounds')

    def turn(sums, rows, owners, valid):
        rows = rows[0]
        owners = owners[0]
        valid = valid[0]
        values = jnp.where(valid, curvatures.at[owners].get(mode='promise_in_bounds'), 0)
        return sums.at[rows % len(sums)].add(values, mode='promise_in_bounds')

    return fold_parts(turn, sums, words[None], parts, chunk=parts.chunk)
