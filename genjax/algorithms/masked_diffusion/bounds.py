"""The variational bound of masked diffusion on -log p(x), by one draw of t for each text.

Shi et al. 2024, arXiv:2406.04329; Sahoo et al. 2024, arXiv:2406.07524. At t each symbol of a text
is hidden with probability m(t) = 1 - alpha(t), by itself; what is hidden is predicted from what is
not:

    -log p(x) <= integral of m'(t) / m(t) E[sum over hidden i of -log p(x_i | x_t)] dt.

What is not hidden is known, so that it costs nothing, and no symbol is predicted to be hidden.

Letters: B texts, L places, V symbols; V is also the id of what is hidden.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.masked_diffusion.schedules import Schedule
from genjax.base import Key, Metrics
from genjax.numerics.texts import text_metrics, word_nats
from genjax.numerics.uniforms import Draw
from genjax.parallel import example_keys

# ids [B, L] in 0 .. V -> log p(. | those that are not hidden) at each place, [B, L, V]
Predict = Callable[[Array], Array]
# u [B] in (0, 1) -> the share that is hidden and the weight of what that costs, [B] each
Bound = Callable[[Array], tuple[Array, Array]]
# (key, known bool [B, L], u [B]) -> which are hidden, bool [B, L], and the weight of what that
# costs, [B]; known are the places that have a symbol
Hiding = Callable[[Key, Array, Array], tuple[Array, Array]]

LEAST_TIME = 1e-7  # below what uniform numbers resolve


def continuous(schedule: Schedule) -> Bound:
    """The bound of infinitely many steps: MD4's equation 5, the weight m'(t) / m(t).

    Its value is the same for every schedule; how it scatters is not.
    """

    def bound(u):
        t = jnp.maximum(u, LEAST_TIME)
        share, slope = jax.jvp(schedule, (t,), (jnp.ones_like(t),))
        return share, slope / share

    return bound


def finite(schedule: Schedule, steps: int) -> Bound:
    """The bound of a model that shows symbols in T steps, those of a step independently of each
    other: the weight T (m(t) - m(s)) / m(t) at t = i / T, s = (i - 1) / T for i = 1 .. T.

    It falls with T towards the continuous one.

    Source: Shi et al. 2024, equation 4.

    Raises:
      ValueError: steps, which is T, is below 1.
    """
    if steps < 1:
        raise ValueError(f'steps is {steps}; a bound has at least 1')

    def bound(u):
        i = jnp.clip(jnp.ceil(u * steps), 1, steps)
        share = schedule(i / steps)
        return share, steps * (share - schedule((i - 1) / steps)) / share

    return bound


def each_by_itself(bound: Bound) -> Hiding:
    """Each symbol is hidden by itself, as the process has it, and as a bound says."""

    def hide(key, known, u):
        share, weight = bound(u)

        def one(key, share):
            return jax.random.uniform(key, known.shape[1:]) < share

        return jax.vmap(one)(example_keys(key, len(known)), share), weight

    return hide


def by_number(key: Key, known: Array, u: Array) -> tuple[Array, Array]:
    """Of the N symbols of a text n are hidden, each of 1 .. N as likely, with the weight N / n.

    It is the continuous bound itself, integrated over t where n symbols are hidden. So the estimate
    has the same mean and scatters less: no weight is above N, where 1 / t has no bound.

    Source: Hoogeboom et al. 2022, arXiv:2110.02037, equation 4.
    """
    number = jnp.sum(known, -1).astype(u.dtype)
    count = jnp.clip(jnp.ceil(u * number), 1, jnp.maximum(number, 1))

    def order(key, known):
        chance = jnp.where(known, jax.random.uniform(key, known.shape), 1)
        return jnp.argsort(jnp.argsort(chance))

    turn = jax.vmap(order)(example_keys(key, len(known)), known)
    return known & (turn.astype(u.dtype) < count[:, None]), number / count


def text_losses(
    key: Key, predict: Predict, words: Array, *, symbols: int, hiding: Hiding, draw: Draw
) -> Metrics:
    """An unbiased estimate of the bound for each text.

    Args:
      key: of t and of what is hidden.
      predict: see `Predict`.
      words: int32 [B, L] in 0 .. V - 1; -1 where there is none, which the network sees as hidden
        and which costs nothing.
      symbols: V.
      hiding: `by_number`, or `each_by_itself` with the bound `continuous` or `finite`.
      draw: how the u of a batch are drawn.

    Returns:
      `text_metrics`.
    """
    times_key, hidden_key = jax.random.split(key)
    known = words >= 0
    hidden, weight = hiding(hidden_key, known, draw(times_key, len(words)))
    log_p = predict(jnp.where(hidden | ~known | (words > symbols), symbols, words))
    nats = weight * jnp.sum(jnp.where(hidden, word_nats(log_p, words), 0), -1)
    return text_metrics(nats, words, symbols)
