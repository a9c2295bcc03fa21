"""What word2vec judges its predictions against: a few words of noise, or the whole vocabulary.

Letters: V words, D dimensions, B texts, T centres of a block, J scores a centre, K negatives a
pair, M words that the centres of a block are judged against together.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import Key


class Output(NamedTuple):
    """How predictions are judged.

    against: (key, n) -> words [n, M] that the n blocks of a text are judged against.
    losses: (hidden [B, T, D], scores [J, B, T], on [J, B, T], rows [B, M, D]) -> [B, T], for each
      centre the sum over its pairs: on is 1 or 0, rows are the output vectors of the words judged
      against.
    slopes: (hidden, scores, on, rows, hidden_sizes [B, T, 1], row_sizes [B, M, 1]) -> (|dl/ds| of
      the scores s, or more, [J, B, T]; of the products s of hidden with rows, the sums of |dl/ds|
      row_sizes over rows, [B, T, 1], and of
      |dl/ds| hidden_sizes over centres, [B, M, 1]).
    """

    against: Callable[[Key, int], jax.Array]
    losses: Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]
    slopes: Callable


def alias_table(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(accept, other), [V] each: i, drawn evenly, stands for itself with probability accept[i],
    else for other[i].

    Source: Walker 1977, "An efficient method for generating discrete random variables"; as built by
      Vose 1991.
    """
    accept = weights.astype(np.float64) * (len(weights) / weights.sum())
    other = np.arange(len(weights), dtype=np.int32)
    small, large = list(np.flatnonzero(accept < 1)), list(np.flatnonzero(accept >= 1))
    while small and large:
        less, more = small.pop(), large[-1]
        other[less] = more
        accept[more] -= 1 - accept[less]
        if accept[more] < 1:
            small.append(large.pop())
    return accept.astype(np.float32), other


@jax.custom_jvp
def softplus(x: jax.Array) -> jax.Array:
    """log(1 + exp(x)), whose derivative is the logistic function and so needs no logarithm."""
    return jax.nn.softplus(x)


@softplus.defjvp
def _softplus_jvp(primals, tangents):
    (x,), (tangent,) = primals, tangents
    return softplus(x), tangent * jax.nn.sigmoid(x)


def negative_sampling(
    counts: np.ndarray, *, negatives: int = 5, shared: int = 32, power: float = 0.75
) -> Output:
    """Tells pairs of the text from pairs with noise, by logistic regression.

    Args:
      counts: of the words, [V]; noise words are drawn in proportion to their power.
      negatives: K.
      shared: M.
      power: of the counts.

    Raises:
      ValueError: negatives lie outside 0 to 10^6, or shared outside 1 to 10^6.

    Source: Mikolov et al. 2013b, section 2.2.
    """
    for name, number, least in (('negatives', negatives, 0), ('shared', shared, 1)):
        if not least <= number <= 10**6:
            raise ValueError(f'{name} is {number}; it takes {least} to {10**6}')
    accept, other = map(jnp.asarray, alias_table(counts**power))

    def against(key, n):
        place, coin = jax.random.split(key)
        words = jax.random.randint(place, (n, shared), 0, len(counts))
        return jnp.where(jax.random.uniform(coin, words.shape) < accept[words], words, other[words])

    def losses(hidden, scores, on, rows):
        noise = softplus(jnp.einsum('btd,bmd->btm', hidden, rows)).sum(-1)
        return (on * softplus(-scores)).sum(0) + on.sum(0) * (negatives / shared) * noise

    def slopes(hidden, scores, on, rows, hidden_sizes, row_sizes):
        noise = jax.nn.sigmoid(jnp.einsum('btd,bmd->btm', hidden, rows))
        noise = (on.sum(0) * (negatives / shared))[..., None] * noise
        to_rows = jnp.einsum('btm,btd->bmd', noise, hidden_sizes)
        return on * jax.nn.sigmoid(-scores), jnp.einsum('btm,bmd->btd', noise, row_sizes), to_rows

    return Output(against, losses, slopes)


def full_softmax(size: int, *, chunk: int = 4096) -> Output:
    """-log of exp(u_o.v) / sum_w exp(u_w.v), over the whole vocabulary, `chunk` words at a time.

    Args:
      size: V.

    Source: Mikolov et al. 2013b, equation 2.
    """

    def against(key, n):
        del key
        return jnp.broadcast_to(jnp.arange(size), (n, size))

    def losses(hidden, scores, on, rows):
        return on.sum(0) * log_partition(hidden, rows, chunk=chunk) - (on * scores).sum(0)

    def slopes(hidden, scores, on, rows, hidden_sizes, row_sizes):
        # Two entries more, of which neither changes a score, and whose derivatives are the sums.
        hidden = jnp.concatenate([hidden, jnp.zeros_like(hidden_sizes), hidden_sizes], -1)
        rows = jnp.concatenate([rows, row_sizes, jnp.zeros_like(row_sizes)], -1)

        def total(hidden, rows):
            return jnp.sum(on.sum(0) * log_partition(hidden, rows, chunk=chunk))

        to_hidden, to_rows = jax.grad(total, (0, 1))(hidden, rows)
        return on, to_hidden[..., -2:-1], to_rows[..., -1:]

    return Output(against, losses, slopes)


def log_partition(hidden: jax.Array, rows: jax.Array, *, chunk: int) -> jax.Array:
    """log sum_w exp(u_w.h) of hidden [B, T, D] and rows u [B, V, D]: [B, T]; neither pass holds
    more than a chunk."""
    texts, size, dimension = rows.shape
    chunk = min(chunk, size)
    chunks = -(-size // chunk)
    padded = jnp.pad(rows, ((0, 0), (0, chunks * chunk - size), (0, 0))).reshape(
        texts, chunks, chunk, dimension
    )

    @jax.checkpoint
    def one(so_far, part):
        index, rows = part
        scores = jnp.einsum('btd,bcd->btc', hidden, rows)
        inside = (index * chunk + jnp.arange(chunk) < size)[None, None]
        return jnp.logaddexp(
            so_far, jax.nn.logsumexp(jnp.where(inside, scores, -jnp.inf), -1)
        ), None

    nothing = jnp.full(hidden.shape[:2], -jnp.inf)
    return jax.lax.scan(one, nothing, (jnp.arange(chunks), jnp.moveaxis(padded, 1, 0)))[0]
