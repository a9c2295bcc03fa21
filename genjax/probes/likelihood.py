"""Test likelihoods and variational bounds, as functions (key, state) -> values for a Probe."""

import math
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax import Array

from genjax.base import Batch, Key, State
from genjax.compiling import jit_briefly
from genjax.parallel import batch_length, pad_batch, shard_batch
from genjax.probes.figures import Measure


def importance(
    log_likelihood: Callable[[Key, State, Batch], Array], batches: Sequence[Batch], *, samples: int
) -> Measure:
    """The test likelihood by importance sampling.

    Args:
      log_likelihood: (key, state, batch) -> log p(x), nats [B], estimated by importance sampling
        (Burda et al. 2016, arXiv:1509.00519, eq. 8); batch i gets a key of its own.
      batches: the last may be shorter.
      samples: K, how many of them the estimate takes for each example.

    Returns:
      A measure {'nll_K': mean of -log p(x) over all examples of all batches, nats}.
    """

    mean = _mean_over(log_likelihood, batches)

    def measure(key, state):
        return {f'nll_{samples}': -mean(key, state)}

    return measure


def mean_bits(
    name: str, bits: Callable[[Key, State, Batch], Array], batches: Sequence[Batch]
) -> Measure:
    """The mean over examples of bits a dimension, as by the probability-flow ODE.

    Args:
      name: of the value, which says how the data were dequantised and what the prior is.
      bits: (key, state, batch) -> [B]; batch i gets a key of its own.
      batches: the last may be shorter.
    """
    mean = _mean_over(bits, batches)

    def measure(key, state):
        return {name: mean(key, state)}

    return measure


def _mean_over(
    values: Callable[[Key, State, Batch], Array], batches: Sequence[Batch]
) -> Callable[[Key, State], float]:
    """(key, state) -> the mean of the values [B] over all examples of all batches."""

    def sharded_values(key, state, batch):
        return values(key, state, shard_batch(batch))

    compiled = jit_briefly(sharded_values) if len(batches) == 1 else jax.jit(sharded_values)

    def mean(key, state):
        results = []
        for i, batch in enumerate(batches):
            padded = pad_batch(batch, batches[0])
            results.append(compiled(jax.random.fold_in(key, i), state, padded))
        lengths = [batch_length(batch) for batch in batches]
        rows = [rows[:n] for rows, n in zip(jax.device_get(results), lengths, strict=True)]
        flat = np.concatenate(rows)
        return math.fsum(flat) / len(flat)

    return mean


def bound_table(terms: Callable[[Key, State], Array]) -> Measure:
    """A variational bound term by term.

    Args:
      terms: (key, state) -> [B, T + 1], the terms of each example in bits/dim, those of the last
        step at the end.

    Returns:
      A measure of the mean total, 'bits_per_dim', and the mean of each term, a table of t and
      bits_per_dim.
    """
    compiled = jax.jit(terms)

    def measure(key, state):
        means = np.mean(np.asarray(compiled(key, state), np.float64), 0)
        rows = [{'t': t, 'bits_per_dim': f'{term:.6g}'} for t, term in enumerate(means)]
        return {'bits_per_dim': means.sum(), 'terms': rows}

    return measure
