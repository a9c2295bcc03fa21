"""Likelihoods and bounds on them, as tables and totals."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from genjax.base import Key, State
from genjax.metrics.figures import Measure


def bound_table(terms: Callable[[Key, State], Any]) -> Measure:
    """A variational bound term by term.

    Args:
      terms: (key, state) -> [B, T + 1], the terms of each example in bits/dim, those of the last step at the end.

    Returns:
      A measure of the mean total, 'bits_per_dim', and the mean of each term, a table of t and bits_per_dim.
    """
    compiled = jax.jit(terms)

    def measure(key, state):
        means = np.mean(np.asarray(compiled(key, state), np.float64), 0)
        rows = [{'t': t, 'bits_per_dim': f'{term:.6g}'} for t, term in enumerate(means)]
        return {'bits_per_dim': means.sum(), 'terms': rows}

    return measure
