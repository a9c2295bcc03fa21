"""Texts that a model draws, and how well it predicts texts, for a Probe.

Letters: B texts, L places.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from genjax.base import Batch, Key, Metrics, State
from genjax.parallel import batch_length, pad_batch, shard_batch
from genjax.probes.figures import Measure, Sample


def bits_per_character(
    evaluate: Callable[[Key, State, Batch], Metrics], batches: Sequence[Batch], *, count: str
) -> Measure:
    """The nats of all characters of all batches over their number, in bits.

    The mean of a loss weighs texts alike, this weighs characters alike.

    Args:
      evaluate: (key, state, batch) -> 'nats' and `count` of each text, [B]; batch i gets a key of
        its own.
      batches: the last may be shorter.
      count: the name of the number of characters of a text.
    """

    @jax.jit
    def sharded(key, state, batch):
        return evaluate(key, state, shard_batch(batch))

    def measure(key, state):
        nats = []
        characters = []
        for i, batch in enumerate(batches):
            padded = pad_batch(batch, batches[0])
            metrics = jax.device_get(sharded(jax.random.fold_in(key, i), state, padded))
            nats += metrics['nats'][: batch_length(batch)].tolist()
            characters += metrics[count][: batch_length(batch)].tolist()
        return {'bits_per_character': math.fsum(nats) / math.fsum(characters) / math.log(2)}

    return measure


def text_table(sample: Sample, names: Sequence[str], *, n: int) -> Measure:
    """n texts as a table.

    Args:
      sample: (key, state, n) -> int32 [n, L], indices of `names`; what is negative is left out.
      names: of the symbols.
      n: how many.
    """
    draw = jax.jit(sample, static_argnums=2)

    def measure(key, state):
        return {'texts': [{'text': text} for text in as_texts(draw(key, state, n), names)]}

    return measure


def as_texts(ids: Any, names: Sequence[str]) -> list[str]:
    """ids int32 [n, L] as n texts; what is negative is left out."""
    return [''.join(names[i] for i in row if i >= 0) for row in np.asarray(ids)]
