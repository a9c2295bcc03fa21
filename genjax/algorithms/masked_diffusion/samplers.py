"""Samplers of masked diffusion: what is hidden is shown in any number of steps, in random order.

All that a step shows is drawn at once, each symbol given those that were there before the step. A
symbol that is given stays: texts are drawn, and filled in, by the same function.

Letters: B texts, L places, V symbols; V is also the id of what is hidden.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.algorithms.masked_diffusion.bounds import Predict
from genjax.algorithms.masked_diffusion.schedules import Schedule
from genjax.base import Key
from genjax.parallel import example_keys

# (key, predict, ids [B, L], V where hidden) -> ids [B, L] in 0 .. V - 1
Sampler = Callable[[Key, Predict, Array], Array]


def ancestral(schedule: Schedule, steps: int) -> Sampler:
    """The reverse process: from t to s each hidden symbol is shown with (m(t) - m(s)) / m(t).

    Source: Shi et al. 2024, arXiv:2406.04329, algorithm 2, with even times.

    Args:
      schedule: m, the share that is hidden.
      steps: T.

    Raises:
      ValueError: steps is below 1.
    """
    _require_steps(steps)
    shares = schedule(np.linspace(1.0, 0.0, steps + 1))
    chances = (shares[:-1] - shares[1:]) / shares[:-1]

    def sampler(key, predict, ids):
        def show(i, key, shape):
            chance = jnp.asarray(chances, jnp.float32)[i]
            return jax.vmap(lambda key: jax.random.uniform(key, shape) < chance)(key)

        return _shown(key, predict, ids, steps, show)

    return sampler


def random_order(steps: int) -> Sampler:
    """Equal numbers of symbols a step, in an order drawn for each text.

    With as many steps as there are symbols, one at a time: where predictions are the exact
    conditionals, so are the samples.

    Source: Hoogeboom et al. 2022, arXiv:2110.02037, whose order it is.

    Raises:
      ValueError: steps is below 1.
    """
    _require_steps(steps)

    def sampler(key, predict, ids):
        order_key, chain_key = jax.random.split(key)
        symbols = _symbols(predict, ids)
        hidden = ids == symbols

        def turns(key, hidden):
            """The place of each hidden symbol in the order, behind all others where it is not."""
            chance = jax.random.uniform(key, hidden.shape) + (~hidden).astype(jnp.float32)
            return jnp.argsort(jnp.argsort(chance))

        turn = jax.vmap(turns)(example_keys(order_key, len(ids)), hidden)
        count = jnp.sum(hidden, -1, keepdims=True)

        def show(i, key, shape):
            del key, shape
            return (turn >= count * i // steps) & (turn < count * (i + 1) // steps)

        return _shown(chain_key, predict, ids, steps, show)

    return sampler


def _shown(key, predict, ids, steps, show):
    """The ids after all steps; show: (i, keys [B], (L,)) -> which places it is the turn of."""
    symbols = _symbols(predict, ids)

    def step(ids, i):
        keys = example_keys(jax.random.fold_in(key, i), len(ids))
        show_key, draw_key = jax.vmap(jax.random.split, out_axes=1)(keys)
        drawn = jax.vmap(jax.random.categorical)(draw_key, predict(ids)).astype(ids.dtype)
        now = (ids == symbols) & show(i, show_key, ids.shape[1:])
        return jnp.where(now, drawn, ids), None

    ids, _ = jax.lax.scan(step, ids, jnp.arange(steps))
    return ids


def _symbols(predict, ids):
    return jax.eval_shape(predict, ids).shape[-1]


def _require_steps(steps):
    if steps < 1:
        raise ValueError(f'steps is {steps}; a sampler has at least 1')
