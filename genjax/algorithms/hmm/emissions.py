"""What the states of a hidden Markov model emit: the record of functions, and symbols.

B sequences of L places, K states, V symbols.
"""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.hmm.chain import normalise
from genjax.base import Key

Parameters = TypeVar('Parameters')
Sums = TypeVar('Sums')


class Emission(NamedTuple, Generic[Parameters, Sums]):
    """One kind of emission.

    Sums are linear in their weights, and are all of the data that the M step needs.
    """

    # (key, x [B, L, ...], mask [B, L], K) -> parameters; ValueError for an x of another kind
    init: Callable[[Key, Array, Array, int], Parameters]
    # (parameters, x) -> log p(x | state), nats [B, L, K]
    log_prob: Callable[[Parameters, Array], Array]
    # (parameters, x, weights [B, L, K]) -> sums
    sums: Callable[[Parameters, Array, Array], Sums]
    # (parameters, sums) -> the most likely parameters, and the sums in their terms
    m_step: Callable[[Parameters, Sums], tuple[Parameters, Sums]]
    # (key, parameters, state []) -> one x
    draw: Callable[[Key, Parameters, Array], Array]


def discrete(symbols: int, *, pseudocount: float = 0.0) -> Emission[Array, Array]:
    """Symbols 0 to V - 1: x is int32 [B, L], the parameters are P(symbol | state), [K, V].

    They are random at first. A symbol outside the range has a likelihood of NaN, which ends a run.

    Args:
      symbols: V.
      pseudocount: added to every count of a batch, for the mode under a Dirichlet prior of
        parameter 1 + pseudocount.

    Raises:
      ValueError: no symbols, or a negative pseudocount; from `init`, an x of another kind.
    """
    if not (symbols >= 1 and pseudocount >= 0):
        raise ValueError(
            f'symbols are {symbols}, pseudocount {pseudocount}; '
            'needed: at least 1 symbol, at least 0'
        )

    def init(key, x, mask, states):
        require_kind(x, x.ndim == 2 and jnp.issubdtype(x.dtype, jnp.integer), 'integers [B, L]')
        return jax.random.dirichlet(key, jnp.ones(symbols), (states,))

    def log_prob(table, x):
        index = jnp.where(x < 0, symbols, x)  # a negative one would count from the end
        return jnp.log(table).T.at[index].get(mode='fill', fill_value=jnp.nan)

    def sums(table, x, weights):
        def count(x, weights):
            return jnp.zeros(table.T.shape).at[x].add(weights)

        # A sequence by itself first: one long float32 sum would stop counting.
        return jnp.sum(jax.vmap(count)(x, weights), 0).T

    def m_step(table, sums):
        return normalise(sums + pseudocount, table), sums

    def draw(key, table, state):
        return jax.random.categorical(key, jnp.log(table[state]))

    return Emission(init, log_prob, sums, m_step, draw)


def require_kind(x: Array, met: bool, kind: str) -> None:
    """Raises ValueError, with the kind that is needed, unless it is met."""
    if not met:
        raise ValueError(f'x is {x.dtype} {list(x.shape)}; the emission needs {kind}')
