"""Words by the company they keep: window counts, pointwise mutual information and truncated SVD.

Levy and Goldberg 2014, "Neural word embedding as implicit matrix factorization"; Levy et al. 2015,
"Improving distributional similarity" (TACL 3); Halko et al. 2011, "Finding structure with
randomness" (arXiv:0909.4061).

Letters: B excerpts, L places of each, W the window, V words, D dimensions, C rows of a table of
counts, E entries of a sparse matrix, N(w, c) how often context c was seen near word w, N(w) the sum
of that over all c, N over all w too.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import Algorithm
from genjax.counting import EMPTY, Counts, add, empty, lookup, stored
from genjax.parallel import device_max

Array = jax.Array

CHUNK, WIDEST = (
    2**14,
    1000,
)  # entries multiplied at a time: their rows stay in a cache; and the largest window


class Entries(NamedTuple):
    """A sparse matrix: the sum of its entries."""

    rows: Array  # [E] int32
    columns: Array  # [E] int32
    values: Array  # [E]; 0 from entry `size` on
    size: Array  # [] int32


uniform = lambda distance: 1  # every pair in the window


def harmonic(window: int) -> Callable[[int], int]:
    """A pair at distance d counts 1/d, in units of 1/lcm(1, ..., window) (GloVe, Pennington et al.
    2014)."""
    unit = math.lcm(*range(1, window + 1))
    return lambda distance: unit // distance


def dynamic(window: int) -> Callable[[int], int]:
    """A pair at distance d counts 1 - (d - 1) / window, the mean of word2vec's windows, in units of
    1/window."""
    return lambda distance: window + 1 - distance


def pairs(words: Array, window: int, margin: int = 0) -> Array:
    """The word at each place with the word d places before it, d = 1..W, or ABSENT where there is
    no such pair.

    A pair lies within one sentence: there is no place without a word between its two. A pair
    belongs to its later place, and the first `margin` places of an excerpt have none. So a text
    that is cut into excerpts, each of which begins with the last W places of the one before, has
    every pair once where margin is W.

    Args:
      words: [B, L] int32, negative where there is no word.

    Returns:
      int32 [B, W, L, 2]: the earlier word, the later word.
    """
    length = words.shape[1]
    padded = jnp.pad(words, ((0, 0), (window, 0)), constant_values=-1)
    breaks = jnp.cumsum(padded < 0, -1)

    def apart(distance):
        earlier = slice(window - distance, window - distance + length)
        whole = (breaks[:, earlier] == breaks[:, window:]) & (padded[:, earlier] >= 0)
        whole &= (jnp.arange(length) >= margin)[None]
        return jnp.where(whole[..., None], jnp.stack([padded[:, earlier], words], -1), -1)

    return jnp.stack([apart(distance) for distance in range(1, window + 1)], 1)


def entries(counts: Counts, symmetric: bool = True) -> Entries:
    """The matrix N(w, c) of a table, in which a symmetric one has each pair of words once, the
    smaller id first."""
    keys = jnp.where(counts.keys == EMPTY, 0, counts.keys)
    if not symmetric:
        return Entries(*keys.T, counts.values, counts.size)
    mirrored = jnp.where(keys[:, 0] == keys[:, 1], 0, counts.values)
    values = jnp.stack([counts.values, mirrored], -1)
    return Entries(keys.ravel(), keys[:, ::-1].ravel(), values.ravel(), 2 * counts.size)


def totals(values: Array, index: Array, length: int) -> Array:
    """The sum of the uint32 values at each index, float32 [length].

    A large float32 would take no notice of small values. So integers are added, 12 bits at a time,
    which is exact for up to a million values an index, and only their sums are rounded.
    """
    part = lambda shift: jnp.zeros(length, jnp.uint32).at[index].add((values >> shift) & 0xFFF)
    return sum(part(shift).astype(jnp.float32) * 2.0**shift for shift in (24, 12, 0))


def pmi(
    matrix: Entries, vocabulary_size: int, *, shift: float = 1.0, smoothing: float = 0.75
) -> Entries:
    """Pointwise mutual information, log(P(w, c) / (P(w) P(c))) - log k, of the pairs that were
    seen; 0 for the rest.

    Args:
      matrix: N(w, c), integers.
      vocabulary_size: V.
      shift: k, the negative samples of the skip-gram that this amounts to (Levy and Goldberg 2014,
        equation 11).
      smoothing: alpha of P(c) = N(c)^alpha / sum_c N(c)^alpha (Levy et al. 2015, section 3.2); 1
        for none.
    """
    words = totals(matrix.values, matrix.rows, vocabulary_size)
    contexts = totals(matrix.values, matrix.columns, vocabulary_size) ** smoothing
    expected = jnp.log(words)[matrix.rows] + jnp.log(contexts / jnp.sum(contexts))[matrix.columns]
    values = jnp.log(matrix.values.astype(jnp.float32)) - expected - math.log(shift)
    return matrix._replace(values=jnp.where(matrix.values > 0, values, 0))


def ppmi(matrix: Entries, vocabulary_size: int, **options: float) -> Entries:
    """Positive pointwise mutual information, max(`pmi`, 0)."""
    return matrix._replace(values=jnp.maximum(pmi(matrix, vocabulary_size, **options).values, 0))


def multiply(matrix: Entries, x: Array, length: int) -> Array:
    """The matrix, of `length` rows, times x [V, D]: [length, D]."""
    chunk = min(CHUNK, len(matrix.values))

    def body(i, product):
        start = jnp.minimum(i * chunk, len(matrix.values) - chunk)
        rows, columns, values = (
            jax.lax.dynamic_slice_in_dim(part, start, chunk) for part in matrix[:3]
        )
        values = jnp.where(
            start + jnp.arange(chunk) >= i * chunk, values, 0
        )  # the last chunk may overlap
        return product.at[rows].add(values[:, None] * x[columns])

    return jax.lax.fori_loop(0, -(-matrix.size // chunk), body, jnp.zeros((length, x.shape[1])))


def svd(
    key: Array, matrix: Entries, vocabulary_size: int, rank: int, *, more: int = 10, rounds: int = 8
):
    """The leading singular vectors and values of a sparse V x V matrix: (U [V, rank], Sigma [rank],
    V^T [rank, V]).

    Subspace iteration from random directions, `more` than the rank, in `rounds` by the matrix and
    its transpose (Halko et al. 2011, algorithms 4.4, 5.1); 8 bring the flat spectra of PPMI to 3 %.
    A column of U is positive where largest.
    """
    transposed = matrix._replace(rows=matrix.columns, columns=matrix.rows)
    onto = lambda m, x: jnp.linalg.qr(multiply(m, x, vocabulary_size))[0]
    size = min(rank + more, vocabulary_size)
    basis = onto(matrix, jax.random.normal(key, (vocabulary_size, size)))
    basis = jax.lax.fori_loop(0, rounds, lambda _, q: onto(matrix, onto(transposed, q)), basis)
    right, sigma, left = jnp.linalg.svd(
        multiply(transposed, basis, vocabulary_size), full_matrices=False
    )
    u, vt = (basis @ left.T)[:, :rank], right.T[:rank]
    signs = jnp.sign(jnp.take_along_axis(u, jnp.argmax(jnp.abs(u), 0)[None], 0))  # [1, rank]
    return u * signs, sigma[:rank], vt * signs.T


def factors(
    vocabulary_size: int,
    *,
    dimension: int,  # D
    power: float = 0.5,
    symmetric: bool = True,  # as in `cooccurrence`
    association: Callable[[Entries, int], Entries] = ppmi,  # (N(w, c), V) -> the matrix to factor
    # Of `svd`, which starts in the same place always: the vectors follow from the counts alone
    rounds: int = 8,
) -> Callable[[Any, Counts], Array]:
    """(key, counts) -> a vector for each word, float32 [V, D]: U Sigma^p of the matrix of
    associations.

    Args:
      power: p, the weight of the singular values: 1 is the classical SVD, 1/2 gives words and
        contexts equal shares, 0 leaves them out (Levy et al. 2015, section 3.3).

    Raises:
      ValueError: dimension lies outside 1 to V, or power outside 0 to 1.
    """
    if not (1 <= dimension <= vocabulary_size and 0 <= power <= 1):
        raise ValueError(
            f'dimension is {dimension}, power {power}; needed: 1 to {vocabulary_size} words, 0 to 1'
        )

    def vectors(key, counts):
        del key
        matrix = association(entries(counts, symmetric), vocabulary_size)
        u, sigma, _ = svd(jax.random.key(0), matrix, vocabulary_size, dimension, rounds=rounds)
        return u * sigma[None] ** power

    return vectors


def to_scipy(counts: Counts, vocabulary_size: int, symmetric: bool = True) -> Any:
    """N(w, c) as a scipy.sparse.csr_array of int64 on the host."""
    import scipy.sparse

    rows, columns, values = (np.asarray(part) for part in entries(counts, symmetric)[:3])
    kept = values > 0
    found = values[kept].astype(np.int64), (rows[kept], columns[kept])
    return scipy.sparse.csr_array(found, (vocabulary_size, vocabulary_size))


def cooccurrence(
    vocabulary_size: int,  # V
    *,
    window: int,  # W, in places
    capacity: int,  # C: different pairs of words that can be stored
    vectors: Callable[[Any, Counts], Array] | None = None,  # as from `factors`, for `encode`
    weight: Callable[[int], int] = uniform,  # distance of 1..W -> what a pair adds to its count
    symmetric: bool = True,  # contexts stand on both sides of a word, or else only behind it
    margin: int = 0,  # places at the start of an excerpt that are contexts only, see `pairs`
    smoothing: float = 1.0,  # k > 0, in the unit of the weights
) -> Algorithm:
    """Counts the pairs of words that stand at most W places apart.

    Batches are {'words': int32 [B, L]}, the state is a table `Counts` of pairs. Metrics are the
    numbers of different pairs, `pairs`, and of new ones, `new_pairs`. `evaluate` gives -log P(c |
    w) in nats, the weighted mean over an excerpt's pairs (log V without any), P(c | w) = (N(w, c) +
    k) / (N(w) + k V). `encode` computes the vectors of all words, then gives those of each place,
    [B, L, D], 0 where there is no word.

    `pairs` is infinite, which ends the run, once the table has overflown or where a word lies
    outside 0 to V - 1; the loss of an excerpt with such a word, and its vector, are no number.

    Raises:
      ValueError: a number is out of its range, a weight no positive integer; or what `empty`
        refuses.
    """
    weights = [weight(distance) for distance in range(1, min(window, WIDEST) + 1)]
    whole = weights and all(w >= 1 and w == int(w) for w in weights)
    if not (whole and window <= WIDEST and vocabulary_size >= 1 and margin >= 0 and smoothing > 0):
        got = f'{vocabulary_size} words, window {window}, weights {weights[:9]}, margin {margin}, smoothing {smoothing}'
        raise ValueError(
            f'{got}; needed: 1 or more, 1 to {WIDEST}, integers of 1 or more, 0 or more, above 0'
        )
    weighted = partial(_weighted, np.asarray(weights, np.uint32), margin, symmetric)
    evaluate = partial(_evaluate, weighted, symmetric, vocabulary_size, smoothing)
    init, update = (
        lambda key, batch: empty(capacity, 2),
        partial(_update, weighted, symmetric, vocabulary_size),
    )
    return Algorithm(
        init,
        update,
        evaluate,
        encode=partial(_encode, vectors, vocabulary_size) if vectors else None,
    )


def _weighted(weights, margin, symmetric, batch):
    """The pairs of a batch as they are stored, [B, W, L, 2], and what each counts, [B, W, L]."""
    found = pairs(batch['words'], len(weights), margin)
    found = jnp.sort(found, -1) if symmetric else found
    return found, jnp.where(found[..., 0] >= 0, weights[None, :, None], 0)


def _update(weighted, symmetric, vocabulary_size, key, state, batch):
    del key
    found, values = weighted(batch)
    # Each of two equal words is the other's context.
    values = jnp.where(symmetric & (found[..., 0] == found[..., 1]), 2 * values, values)
    state, new = add(state, found.reshape(-1, 2), values.ravel())
    outside = device_max(jnp.max(batch['words'])) >= vocabulary_size
    stored_pairs = jnp.where(outside, jnp.inf, stored(state))
    return state, {'pairs': stored_pairs, 'new_pairs': jnp.sum(new[:, 0] >= 0).astype(jnp.float32)}


def _evaluate(weighted, symmetric, vocabulary_size, smoothing, key, state, batch):
    del key
    found, values = weighted(batch)
    rows, _, counts, _ = entries(state, symmetric)
    seen = totals(counts, rows, vocabulary_size)[jnp.maximum(found, 0)]  # [B, W, L, 2]
    joint = lookup(state, found).astype(jnp.float32)
    nats = jnp.log(seen + smoothing * vocabulary_size) - jnp.log(joint + smoothing)[..., None]
    nats = jnp.mean(nats, -1) if symmetric else nats[..., 0]
    total = jnp.sum(values, (1, 2)).astype(jnp.float32)
    loss = jnp.sum(values.astype(jnp.float32) * nats, (1, 2)) / jnp.maximum(total, 1)
    outside = jnp.any(batch['words'] >= vocabulary_size, -1)
    return {
        'loss': jnp.where(outside, jnp.nan, jnp.where(total > 0, loss, math.log(vocabulary_size)))
    }


def _encode(vectors, vocabulary_size, key, state, batch):
    words = batch['words'][..., None]
    found = jnp.where(words >= 0, vectors(key, state)[batch['words']], 0)
    return jnp.where(words >= vocabulary_size, jnp.nan, found)
