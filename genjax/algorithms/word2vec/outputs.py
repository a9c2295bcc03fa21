"""The losses of word2vec's predictions: against a few noise words, or the whole vocabulary.

Letters: V words, D dimensions, B texts, T centres of a block, J scores a centre, K negatives a
pair, M noise words that the centres of a block share.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import Key

MAX_NOISE_WORDS = 10**6


class Output(NamedTuple):
    """How predictions are scored.

    Attributes:
      noise_words: (key, n) -> words int32 [n, M], those of each of the n blocks of a text.
      losses: (hidden [B, T, D], scores [J, B, T], mask [J, B, T], noise [B, M, D]) -> [B, T], for
        each centre the sum over its pairs, nats. The mask is 1 for a pair and 0 elsewhere; noise is
        the output vectors of the noise words.
      slopes: (hidden, scores, mask, noise, hidden_sizes [B, T, 1], noise_sizes [B, M, 1]) ->
        (slopes [J, B, T], to_hidden [B, T, 1], to_noise [B, M, 1]). The slopes are |dl/ds| of the
        scores s, or more. Of the products s of hidden with noise, to_hidden is the sum of
        |dl/ds| noise_sizes over noise words and to_noise that of |dl/ds| hidden_sizes over centres.
    """

    noise_words: Callable[[Key, int], jax.Array]
    losses: Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]
    slopes: Callable[
        [jax.Array, jax.Array, jax.Array, jax.Array, jax.Array, jax.Array],
        tuple[jax.Array, jax.Array, jax.Array],
    ]


def alias_table(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The alias table of a discrete distribution, for draws in constant time.

    An index i that is drawn uniformly stays with probability accept[i], else becomes other[i].

    Args:
      weights: [V], not negative; the distribution is in proportion to them.

    Returns:
      accept, float32 [V], and other, int32 [V].

    Source: Walker 1977, "An efficient method for generating discrete random variables"; as built by
      Vose 1991.
    """
    accept = weights.astype(np.float64) * (len(weights) / weights.sum())
    other = np.arange(len(weights), dtype=np.int32)
    small = list(np.flatnonzero(accept < 1))
    large = list(np.flatnonzero(accept >= 1))

    while small and large:
        less = small.pop()
        more = large[-1]
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
    (x,) = primals
    (tangent,) = tangents
    return softplus(x), tangent * jax.nn.sigmoid(x)


def negative_sampling(
    counts: np.ndarray, *, negatives: int = 5, shared: int = 32, power: float = 0.75
) -> Output:
    """Logistic regression that tells pairs of the text from pairs with noise words.

    The M noise words of a block are weighted by K / M, so that the expected gradient is that of K
    negatives drawn for each pair.

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
        if not least <= number <= MAX_NOISE_WORDS:
            raise ValueError(f'{name} is {number}; it takes {least} to {MAX_NOISE_WORDS}')
    accept, other = map(jnp.asarray, alias_table(counts**power))

    def noise_words(key, n):
        index_key, accept_key = jax.random.split(key)
        words = jax.random.randint(index_key, (n, shared), 0, len(counts))
        accepted = jax.random.uniform(accept_key, words.shape) < accept[words]
        return jnp.where(accepted, words, other[words])

    def losses(hidden, scores, mask, noise):
        noise_losses = softplus(jnp.einsum('btd,bmd->btm', hidden, noise)).sum(-1)
        return (mask * softplus(-scores)).sum(0) + mask.sum(0) * (negatives / shared) * noise_losses

    def slopes(hidden, scores, mask, noise, hidden_sizes, noise_sizes):
        noise_slopes = jax.nn.sigmoid(jnp.einsum('btd,bmd->btm', hidden, noise))
        noise_slopes = (mask.sum(0) * (negatives / shared))[..., None] * noise_slopes
        to_noise = jnp.einsum('btm,btd->bmd', noise_slopes, hidden_sizes)
        pair_slopes = mask * jax.nn.sigmoid(-scores)
        to_hidden = jnp.einsum('btm,bmd->btd', noise_slopes, noise_sizes)
        return pair_slopes, to_hidden, to_noise

    return Output(noise_words, losses, slopes)


def full_softmax(size: int, *, chunk: int = 8192) -> Output:
    """-log of exp(u_o.v) / sum_w exp(u_w.v), over the whole vocabulary.

    Args:
      size: V; all V words are the noise words of every block.
      chunk: words whose scores are computed at a time, at the most.

    Source: Mikolov et al. 2013b, equation 2.
    """

    def noise_words(key, n):
        del key
        return jnp.broadcast_to(jnp.arange(size), (n, size))

    def losses(hidden, scores, mask, noise):
        return mask.sum(0) * log_partition(hidden, noise, chunk=chunk) - (mask * scores).sum(0)

    def slopes(hidden, scores, mask, noise, hidden_sizes, noise_sizes):
        # Two more entries a vector that leave the scores as they are. Their derivatives are the
        # sums wanted.
        hidden = jnp.concatenate([hidden, jnp.zeros_like(hidden_sizes), hidden_sizes], -1)
        noise = jnp.concatenate([noise, noise_sizes, jnp.zeros_like(noise_sizes)], -1)

        def total(hidden, noise):
            return jnp.sum(mask.sum(0) * log_partition(hidden, noise, chunk=chunk))

        to_hidden, to_noise = jax.grad(total, (0, 1))(hidden, noise)
        return mask, to_hidden[..., -2:-1], to_noise[..., -1:]

    return Output(noise_words, losses, slopes)


def log_partition(hidden: jax.Array, rows: jax.Array, *, chunk: int) -> jax.Array:
    """log sum_w exp(u_w.h), of which neither pass has more than a chunk of scores in memory.

    Args:
      hidden: h, [B, T, D].
      rows: u, [B, V, D].
      chunk: words at a time, at the most: the chunks are about equal. The scores of a single chunk
        are kept for the derivative, those of several computed again.

    Returns:
      [B, T], nats.
    """
    size = rows.shape[1]
    chunks = -(-size // chunk)
    if chunks == 1:
        return jax.nn.logsumexp(jnp.einsum('btd,bvd->btv', hidden, rows), -1)

    chunk = -(-size // chunks)
    padded = jnp.pad(rows, ((0, 0), (0, chunks * chunk - size), (0, 0)))
    padded = padded.reshape(len(rows), chunks, chunk, -1)

    @jax.checkpoint
    def add_chunk(log_sum, indexed_rows):
        index, rows = indexed_rows
        scores = jnp.einsum('btd,bcd->btc', hidden, rows)
        inside = (index * chunk + jnp.arange(chunk) < size)[None, None]
        log_chunk_sum = jax.nn.logsumexp(jnp.where(inside, scores, -jnp.inf), -1)
        return jnp.logaddexp(log_sum, log_chunk_sum), None

    start = jnp.full(hidden.shape[:2], -jnp.inf)
    log_sum, _ = jax.lax.scan(add_chunk, start, (jnp.arange(chunks), jnp.moveaxis(padded, 1, 0)))
    return log_sum
