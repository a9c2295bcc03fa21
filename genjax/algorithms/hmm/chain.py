"""The parameters of a hidden Markov model.

K states, i and j.
"""

from typing import Generic, NamedTuple, TypeVar

import jax.numpy as jnp
from jax import Array

TINY = 1e-37  # in place of a divisor of 0

Parameters = TypeVar('Parameters')


class Chain(NamedTuple, Generic[Parameters]):
    """The parameters of a model, or the expected counts that they are estimated from.

    The emission's entry is the parameters of an `Emission`, or its sums.
    """

    initial: Array  # [K], pi_i = P(q_1 = i)
    transition: Array  # [K, K], a_ij = P(q_{t+1} = j | q_t = i)
    emission: Parameters


def normalise(counts: Array, otherwise: Array) -> Array:
    """Counts [..., K] over their sum along the last axis; `otherwise` where that is 0."""
    total = jnp.sum(counts, -1, keepdims=True)
    return jnp.where(total > 0, counts / jnp.maximum(total, TINY), otherwise)
