"""Counts of classes and outcomes, and the probabilities that they are estimates of.

B examples, C classes, K outcomes.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.parallel import all_gather

Pseudocounts = float | Sequence[float]  # one for all outcomes, or one each


def posterior_mean(counts: Array, alpha: Pseudocounts) -> Array:
    """Probabilities of K outcomes under a Dirichlet prior, [..., K].

    (n_k + alpha_k) / sum_j (n_j + alpha_j). alpha = 0 is maximum likelihood, 1 Laplace's rule; for
    K = 2 the prior is a Beta distribution. Without counts and pseudocounts any probabilities would
    do; they are uniform, to which equal pseudocounts tend.

    Args:
      counts: n, [..., K].
      alpha: pseudocounts.
    """
    pseudocounts = jnp.broadcast_to(jnp.asarray(alpha, jnp.float32), counts.shape)
    whole = counts.astype(jnp.float32) + pseudocounts
    total = jnp.sum(whole, -1, keepdims=True)
    return jnp.where(total > 0, whole / jnp.where(total > 0, total, 1.0), 1 / counts.shape[-1])


def class_sums(label: Array, values: Array, classes: int) -> Array:
    """Sums of integers over the examples of each class, on all devices: exact, uint32 [C, ...].

    Args:
      label: [B], the classes of the examples of this device.
      values: [B, ...], what is summed.
      classes: C.
    """
    sums = jax.ops.segment_sum(values, label, classes)
    return jnp.sum(all_gather(sums[None]), 0, dtype=jnp.uint32)


def class_counts(label: Array, classes: int) -> Array:
    """How many examples each class has, on all devices, uint32 [C]."""
    return class_sums(label, jnp.ones(len(label), jnp.uint32), classes)


def require_pseudocounts(alpha: Pseudocounts, outcomes: int | None = None) -> None:
    """Raises ValueError unless pseudocounts are at least 0: one for all outcomes, or one each."""
    if not np.all((np.asarray(alpha) >= 0) & np.isfinite(alpha)):
        raise ValueError(f'alpha is {alpha}; pseudocounts must be finite and at least 0')
    if np.ndim(alpha) and outcomes and np.shape(alpha) != (outcomes,):
        raise ValueError(
            f'alpha is {alpha}; {outcomes} outcomes have one pseudocount for all or one each'
        )
