"""The probabilities that an n-gram model gives to events, sentences and texts.

Letters: B excerpts of L places, n the order, m = 1 .. n, V words.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.ngram.events import (
    Tables,
    continuations,
    cumulative_counts,
    margin,
    ngrams,
)
from genjax.algorithms.ngram.smoothing import Smoothing
from genjax.base import Batch, Key, Metrics, State
from genjax.counting import lookup


def probabilities(
    tables: Tables, grams: Array, *, vocabulary_size: int, smoothing: Smoothing
) -> Array:
    """P(w_n | w_1 .. w_{n-1}) of n-grams [..., n] as `ngrams` writes them, float32 [...].

    Over the V + 1 outcomes they sum to one, for every context, whether it occurred or not.
    """
    order = len(tables)
    outcomes = vocabulary_size + 1
    p = jnp.full(grams.shape[:-1], 1 / outcomes)
    for m, table in enumerate(tables, 1):
        tail = grams[..., order - m :]
        _, total, kinds = continuations(table, cumulative_counts(table), tail, outcomes)
        counts = [x.astype(jnp.float32) for x in (lookup(table, tail), total, kinds)]
        own, weight = smoothing(m, order, outcomes, *counts)
        p = own + weight * p
    return p


def log_probability(
    tables: Tables, sentences: Array, *, vocabulary_size: int, smoothing: Smoothing
) -> Array:
    """log P of sentences by the chain rule.

    Args:
      sentences: [B, T] int32, padded with -1.

    Returns:
      [B], nats; 0 for a row without a word.
    """
    order = len(tables)
    words = jnp.pad(sentences, ((0, 0), (margin(order), 1)), constant_values=-1)
    grams = ngrams(words, order, vocabulary_size)
    p = probabilities(tables, grams, vocabulary_size=vocabulary_size, smoothing=smoothing)
    return jnp.sum(jnp.where(grams[..., 0] >= 0, jnp.log(p), 0.0), -1)


def excerpt_metrics(
    tables: Tables, words: Array, *, floor: float, vocabulary_size: int, smoothing: Smoothing
) -> Metrics:
    """How well the events of excerpts are predicted.

    Args:
      words: [B, L], see `ngrams`.
      floor: the probability that impossible events count as.

    Returns:
      Of each excerpt's events 'nats', their sum of -log P, 'events', their number, 'loss', nats an
      event, and 'unseen', the number of those of probability 0; each [B]. Nats and loss of an
      excerpt with a word outside 0 to V - 1 are NaN, which ends a run.
    """
    grams = ngrams(words, len(tables), vocabulary_size)
    p = probabilities(tables, grams, vocabulary_size=vocabulary_size, smoothing=smoothing)
    event = grams[..., 0] >= 0  # [B, L - margin]

    def total(x):
        return jnp.sum(jnp.where(event, x, 0.0), -1)

    out_of_range = jnp.any(words >= vocabulary_size, -1)
    nats = jnp.where(out_of_range, jnp.nan, total(-jnp.log(jnp.maximum(p, floor))))
    events = total(1.0)
    unseen = total(jnp.float32(p <= 0))
    loss = nats / jnp.maximum(events, 1.0)
    return {'loss': loss, 'nats': nats, 'events': events, 'unseen': unseen}


def perplexity(
    evaluate: Callable[[Key, State, Batch], Metrics], batches: Sequence[Batch]
) -> Callable[[Key, State], dict[str, float]]:
    """A probe of exp(nats / events) over all events of all batches, and of the share of 'unseen'.

    The mean of 'loss' weighs excerpts alike, this weighs events alike. With unseen events the
    perplexity proper is infinite, and the number given depends on the floor.

    Args:
      evaluate: of `ngram`.
      batches: of the test set.
    """
    compiled = jax.jit(evaluate)

    def measure(key, state):
        metrics = jax.device_get(
            [compiled(jax.random.fold_in(key, i), state, batch) for i, batch in enumerate(batches)]
        )

        def total(name):
            return sum(math.fsum(of_batch[name]) for of_batch in metrics)

        events = total('events')
        return {
            'perplexity': math.exp(total('nats') / events),
            'unseen': total('unseen') / events,
        }

    return measure
