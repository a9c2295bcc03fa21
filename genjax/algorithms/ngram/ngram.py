"""n-gram language models: P(w_i | w_{i-n+1} .. w_{i-1}) from the counts of a text.

Letters: B excerpts of L places, n the order, m = 1 .. n, V words.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from genjax.algorithms.ngram.events import count_ngrams, margin, ngrams
from genjax.algorithms.ngram.probabilities import excerpt_metrics
from genjax.algorithms.ngram.sampling import sample_sentence, summed_tables
from genjax.algorithms.ngram.smoothing import Smoothing, kneser_ney
from genjax.base import Algorithm
from genjax.counting import empty, stored_keys
from genjax.parallel import device_mean, example_keys


def ngram(
    vocabulary_size: int,
    *,
    order: int,
    capacity: Sequence[int],
    smoothing: Smoothing = kneser_ney(),
    floor: float = 1e-9,
    length: int = 40,
) -> Algorithm:
    """An n-gram language model: batches are {'words': int32 [B, L]}, see `ngrams`.

    The state is a tuple of `Counts`, see `events`. The metrics of an update are 'loss', nats an
    event of the batch before it is counted (prequential, Dawid 1984), and the numbers of m-grams
    stored: infinite, which ends the run, where there are more than the capacity. Those of
    `evaluate` are those of `excerpt_metrics`. Samples are int32 [., length], see `sample_sentence`.

    Args:
      vocabulary_size: V.
      order: n.
      capacity: different m-grams that there is room for, m = 1 .. n.
      smoothing: `maximum_likelihood`, or as `add_k` and `kneser_ney` give.
      floor: the probability that impossible events count as in metrics, which must be finite.
      length: words of a sample at the most.

    Raises:
      ValueError: an order below 1, a capacity for each order that is missing, or excerpts of
        nothing but a margin.
    """
    if not (order >= 1 and len(capacity) == order):
        raise ValueError(
            f'order is {order}, capacity {tuple(capacity)}; '
            'needed: an order >= 1, a capacity for each'
        )
    model = dict(vocabulary_size=vocabulary_size, smoothing=smoothing)

    def init(key, batch):
        del key
        places = batch['words'].shape[1]
        if places <= margin(order):
            raise ValueError(
                f'excerpts have {places} places; order {order} needs {margin(order) + 1}'
            )
        return tuple(empty(rows, m) for m, rows in enumerate(capacity, 1))

    def update(key, state, batch):
        del key
        metrics = excerpt_metrics(state, batch['words'], floor=floor, **model)
        nats, events = device_mean((jnp.sum(metrics['nats']), jnp.sum(metrics['events'])))
        grams = ngrams(batch['words'], order, vocabulary_size)
        state = count_ngrams(state, grams.reshape(-1, order))
        sizes = {f'{m}-grams': stored_keys(table) for m, table in enumerate(state, 1)}
        return state, {'loss': nats / jnp.maximum(events, 1.0)} | sizes

    def evaluate(key, state, batch):
        del key
        return excerpt_metrics(state, batch['words'], floor=floor, **model)

    def sample(key, state, n):
        tables = summed_tables(state)

        def sample_one(key):
            return sample_sentence(key, tables, length, **model)

        return jax.vmap(sample_one)(example_keys(key, n))

    return Algorithm(init, update, evaluate, sample)
