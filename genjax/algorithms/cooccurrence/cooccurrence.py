"""Counts of the words that occur near each other.

Letters: B excerpts, L places of each, W the window, V words, D dimensions, N(w, c) how often
context c occurred near word w, N(w) the sum of that over all c.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.algorithms.cooccurrence.pairs import Weight, pairs, uniform
from genjax.algorithms.cooccurrence.sparse import count_matrix, totals
from genjax.algorithms.cooccurrence.vectors import WordVectors
from genjax.base import Algorithm
from genjax.counting import add, empty, lookup, stored_keys
from genjax.parallel import device_max

MAX_WINDOW = 1000


def weighted_pairs(
    words: Array, weights: np.ndarray, *, margin: int, symmetric: bool
) -> tuple[Array, Array]:
    """The pairs of excerpts as they are stored, and what each counts.

    Args:
      words: [B, L] int32.
      weights: of the distances 1 .. W, [W] uint32.
      margin: see `pairs`.
      symmetric: whether the smaller id comes first.

    Returns:
      int32 [B, W, L, 2] and uint32 [B, W, L].
    """
    keys = pairs(words, len(weights), margin)
    keys = jnp.sort(keys, -1) if symmetric else keys
    return keys, jnp.where(keys[..., 0] >= 0, weights[None, :, None], 0)


def cooccurrence(
    vocabulary_size: int,
    *,
    window: int,
    capacity: int,
    vectors: WordVectors | None = None,
    weight: Weight = uniform,
    symmetric: bool = True,
    margin: int = 0,
    smoothing: float = 1.0,
) -> Algorithm:
    """Counts the pairs of words that are at most W places apart.

    Batches are {'words': int32 [B, L]}, the state is a table `Counts` of pairs. Metrics are the
    numbers of different pairs, `pairs`, and of new ones, `new_pairs`. `evaluate` gives -log P(c |
    w) in nats, the weighted mean over an excerpt's pairs (log V without any), P(c | w) = (N(w, c) +
    k) / (N(w) + k V). `encode` computes the vectors of all words, then gives those of each place,
    [B, L, D], 0 where there is no word.

    `pairs` is infinite, which ends the run, once the table has overflown or where a word lies
    outside 0 to V - 1; the loss of an excerpt with such a word, and its vector, are NaN.

    Args:
      vocabulary_size: V.
      window: W, in places.
      capacity: different pairs of words that can be stored.
      vectors: the vectors of all words for `encode`, as `svd_vectors` gives.
      weight: distance of 1 .. W -> what a pair adds to its count.
      symmetric: whether contexts are on both sides of a word, or else only behind it.
      margin: places at the start of an excerpt that are contexts only, see `pairs`.
      smoothing: k > 0, in the unit of the weights.

    Raises:
      ValueError: a number is out of its range, a weight no positive integer; or what `empty`
        refuses.
    """
    weights = [weight(distance) for distance in range(1, min(window, MAX_WINDOW) + 1)]
    integers = weights and all(w >= 1 and w == int(w) for w in weights)
    in_range = window <= MAX_WINDOW and vocabulary_size >= 1 and margin >= 0 and smoothing > 0
    if not (integers and in_range):
        raise ValueError(
            f'{vocabulary_size} words, window {window}, weights {weights[:9]}, margin {margin}, '
            f'smoothing {smoothing}; needed: 1 or more, 1 to {MAX_WINDOW}, integers of 1 or more, '
            '0 or more, above 0'
        )
    weights = np.asarray(weights, np.uint32)

    def init(key, batch):
        del key, batch
        return empty(capacity, 2)

    def update(key, state, batch):
        del key
        keys, values = weighted_pairs(batch['words'], weights, margin=margin, symmetric=symmetric)
        # Each of two equal words is the other's context.
        values = jnp.where(symmetric & (keys[..., 0] == keys[..., 1]), 2 * values, values)
        state, new = add(state, keys.reshape(-1, 2), values.ravel())
        out_of_range = device_max(jnp.max(batch['words'])) >= vocabulary_size
        stored_pairs = jnp.where(out_of_range, jnp.inf, stored_keys(state))
        new_pairs = jnp.sum(new[:, 0] >= 0).astype(jnp.float32)
        return state, {'pairs': stored_pairs, 'new_pairs': new_pairs}

    def evaluate(key, state, batch):
        del key
        keys, values = weighted_pairs(batch['words'], weights, margin=margin, symmetric=symmetric)
        rows, _, counts, _ = count_matrix(state, symmetric)
        word_counts = totals(counts, rows, vocabulary_size)[jnp.maximum(keys, 0)]  # [B, W, L, 2]
        pair_counts = lookup(state, keys).astype(jnp.float32)
        nats = (
            jnp.log(word_counts + smoothing * vocabulary_size)
            - jnp.log(pair_counts + smoothing)[..., None]
        )
        nats = jnp.mean(nats, -1) if symmetric else nats[..., 0]
        total = jnp.sum(values, (1, 2)).astype(jnp.float32)
        loss = jnp.sum(values.astype(jnp.float32) * nats, (1, 2)) / jnp.maximum(total, 1)
        out_of_range = jnp.any(batch['words'] >= vocabulary_size, -1)
        loss = jnp.where(total > 0, loss, math.log(vocabulary_size))
        return {'loss': jnp.where(out_of_range, jnp.nan, loss)}

    def encode(key, state, batch):
        words = batch['words'][..., None]
        codes = jnp.where(words >= 0, vectors(key, state)[batch['words']], 0)
        return jnp.where(words >= vocabulary_size, jnp.nan, codes)

    return Algorithm(init, update, evaluate, encode=encode if vectors else None)
