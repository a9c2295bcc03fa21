"""word2vec: two vectors a word, learnt by predicting words from their neighbours.

Mikolov et al. 2013a, arXiv:1301.3781 (skip-gram, CBOW), and 2013b, arXiv:1310.4546 (negative
sampling, subsampling).

The words that subsampling keeps are packed, text by text, and then taken T at a time of all B texts
at once: a block. Each block gathers the rows that it needs of the one table of vectors, takes the
gradient of the sum of its losses with respect to these rows, and adds it with one scatter. So a
step costs what its words cost, whatever the vocabulary, and matrix products do the work: of T
centres with their neighbours, and with M negatives that they share, weighted so that the expected
gradient is that of K negatives drawn for each pair.

Letters: V words, D dimensions, B texts of L places, T centres, w the window, P = T + 2w places, J
scores a centre, K negatives a pair, M of them drawn for T centres.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax.base import Algorithm
from genjax.parallel import all_gather, device_max, device_mean, example_keys

BUCKETS = 8192  # in which the curvatures of a block's rows are summed


class Vectors(NamedTuple):
    """Two vectors a word in one table, so that one scatter serves both: two into one array would
    copy it."""

    step: jax.Array  # int32
    table: jax.Array  # [2V, D]: the input vectors v, which encode gives, then the output vectors u


def pair_loss(v: jax.Array, u: jax.Array, negatives: jax.Array) -> jax.Array:
    """-log s(u.v) - sum_k log s(-u_k.v), s the logistic function: one pair, as it is defined.

    Args:
      v: the input vector of a word, or the mean of several, [D].
      u: the output vector of the word that it predicts, [D].
      negatives: those of K words of noise, [K, D].

    Source: Mikolov et al. 2013b, equation 4.
    """
    return jax.nn.softplus(-u @ v) + jax.nn.softplus(negatives @ v).sum()


def kept_share(counts: np.ndarray, sample: float) -> np.ndarray:
    """The probability that subsampling keeps an occurrence of each word, min(1, sqrt(t/f) + t/f),
    [V] float32.

    Args:
      counts: of the words, [V]; f is a word's share of them.
      sample: t; 0 keeps every word, as in word2vec.c and gensim.

    Raises:
      ValueError: t is not 0 or more.

    Source: word2vec.c; Mikolov et al. 2013b, equation 5, have sqrt(t/f).
    """
    if not sample >= 0:
        raise ValueError(
            f'sample is {sample}; it takes a number of 0 or more, 0 for no subsampling'
        )
    if sample == 0:
        return np.ones(len(counts), np.float32)
    ratio = sample * counts.sum() / np.maximum(counts, 1)
    return np.minimum(1, np.sqrt(ratio) + ratio).astype(np.float32)


def falling(rate: Sequence[float], steps: int) -> Callable[[jax.Array], jax.Array]:
    """The rate at each of so many steps, on a straight line between two rates, at the start and at
    the end.

    Raises:
      ValueError: they are not two, or one is below 0.
    """
    if len(rate) != 2 or min(rate) < 0:
        raise ValueError(
            f'rate is {tuple(rate)}; it takes two numbers of 0 or more, at the start and at the end'
        )
    return optax.linear_schedule(*rate, steps)


def added(table: jax.Array, rows: jax.Array, steps: jax.Array) -> jax.Array:
    """The table [2V, D] with steps [R, D] added to its rows [R], which may repeat."""
    return table.at[rows].add(steps, mode='promise_in_bounds')


def bounded(limit: float) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
    """As `added`, each row by the sum s of its steps, shortened to s min(1, limit / |s|).

    In a large block a frequent word's steps, all taken at one point, add up to far more than steps
    taken one after
    another, which turn as they go: 4,096 centres diverge without a bound. With 0.3, blocks of 4,096
    and of 16,384 centres learn as well as small ones, even at twice the rate
    (benchmarks/RESULTS.md).

    Raises:
      ValueError: limit is not a number above 0.
    """
    if not isinstance(limit, int | float) or not limit > 0:
        raise ValueError(f'the bound of a step is {limit!r}; it takes a number above 0')

    def add(table, rows, steps):
        some = dict(size=len(rows), fill_value=len(table))
        different, which = jnp.unique(rows, return_inverse=True, **some)
        sums = jnp.zeros_like(steps).at[which].add(steps)
        length = jnp.linalg.norm(sums, axis=-1, keepdims=True)
        return table.at[different].add(
            sums * jnp.minimum(1, limit / jnp.maximum(length, limit)), mode='drop'
        )

    return add


def stable_share(rows: jax.Array, curvature: jax.Array, size: int) -> jax.Array:
    """The share of each of R steps that is taken: min(1, m / c), m = min(4, 2 + 16 / c), c of its
    row.

    All steps of a block are taken at one point. Where a word fills much of it, as in a small
    vocabulary or in a line that repeats a word, their sum goes far beyond what steps one after
    another would do, and diverges. Descent is stable below 2 / rate of the second derivative. Here

        c = rate x sum of |dl/ds| (1 + |partner|^2)

    over the scores s = u.v of the row, partner being the score's other vector. For logistic losses
    d2l/ds2 <= |dl/ds|. So c / rate bounds a row of the second derivative: d2l/ds2 |partner|^2 for
    the row's own vector, and dl/ds for each partner, which moves at the same time. At an optimum
    where a row's scores are alike, d2l/ds2 sums to half of |dl/ds|, and two vectors of one length
    that move at once double it. So a step shortened to c = 2 is stable there however often a word
    repeats. Where words are many their partners point in many directions and the bound is several
    times too large: the longest step, m, is 4 up to c = 8 and falls towards 2 beyond. So most steps
    of ordinary text are whole. What is shortened trains somewhat slower than single steps would.

    Args:
      rows: the row of each step, [R], which may repeat.
      curvature: each step's part of its row's c, [R].
      size: how many rows the table has. Of more than 8,192 some are summed together, so that c may
        be too large but never too small.
    """
    buckets = min(size, BUCKETS)
    which = rows % buckets
    sums = jnp.zeros(buckets).at[which].add(curvature, mode='promise_in_bounds')
    c = sums.at[which].get(mode='promise_in_bounds')
    longest = jnp.minimum(4, 2 + 16 / c)
    return jnp.minimum(1, longest / c)


def word2vec(
    model: Any,  # `skip_gram` or `cbow` of genjax.algorithms.word2vec.windows
    output: Any,  # `negative_sampling` or `full_softmax` of genjax.algorithms.word2vec.outputs
    *,
    keep: np.ndarray,  # the probability of keeping an occurrence of each word, [V]; see kept_share
    dimension: int,  # D
    rate: Callable[[jax.Array], jax.Array],  # the learning rate of a step, which comes as float32
    add: Callable[
        [jax.Array, jax.Array, jax.Array], jax.Array
    ] = added,  # or `bounded`, where B x T is large
    # Whether steps are shortened where they would diverge, see `stable_share`
    stable: bool = False,
) -> Algorithm:
    """Word vectors from batches {'words': int32 [B, L]}, -1 between sentences; codes are the input
    vectors [B, L, D].

    Without `stable` it is plain descent, which diverges where few words fill a block. The loss is
    the mean over pairs; in training, over those of the step's first block before it is learnt. With
    a word outside 0 to V - 1 it is no number, which ends a run, and neither is that word's code.

    Raises:
      ValueError: dimension is below 1.
    """
    if dimension < 1:
        raise ValueError(f'dimension is {dimension}; at least 1 is needed')
    reader = _Reader(model, output, keep)
    return Algorithm(
        partial(_init, len(keep), dimension),
        partial(_update, reader, rate, partial(_learned, add=add, stable=stable)),
        partial(_evaluate, reader),
        encode=_encode,
    )


class _Reader(NamedTuple):
    """How batches are read."""

    model: Any
    output: Any
    keep: np.ndarray


class _Texts(NamedTuple):
    """A batch as it is read."""

    packed: Any  # by the model
    against: jax.Array  # [B, n, M]
    blocks: jax.Array  # of the n, those that hold words


def _init(size, dimension, key, batch):
    del batch
    inputs = jax.random.uniform(key, (size, dimension), minval=-0.5, maxval=0.5) / dimension
    return Vectors(jnp.zeros((), jnp.int32), jnp.concatenate([inputs, jnp.zeros_like(inputs)]))


def _update(reader, rate, learned, key, state, batch):
    texts = _read(reader, key, batch['words'])
    now = rate(state.step.astype(jnp.float32))

    def learn(i, table):
        return learned(table, *_block(reader, texts, i), now)

    # The first block apart, so that only its losses are computed: of the others the gradients are
    # enough.
    table, losses, pairs = learn(0, state.table)
    losses = jnp.where(_outside(reader, batch), jnp.nan, losses)
    loss, pairs = device_mean((losses.sum(), pairs.sum()))
    table = jax.lax.fori_loop(
        1, device_max(texts.blocks), lambda i, table: learn(i, table)[0], table
    )
    return Vectors(state.step + 1, table), {'loss': loss / jnp.maximum(pairs, 1)}


def _evaluate(reader, key, state, batch):
    texts = _read(reader, key, batch['words'])

    def judge(i, sums):
        rows, losses, _ = _block(reader, texts, i)
        return jax.tree.map(jnp.add, sums, losses(_taken(state.table, rows)))

    loss, pairs = jax.lax.fori_loop(0, texts.blocks, judge, (jnp.zeros(len(batch['words'])),) * 2)
    return {'loss': jnp.where(_outside(reader, batch), jnp.nan, loss / jnp.maximum(pairs, 1))}


def _outside(reader, batch):
    """Whether a text holds a word that is none of the V, bool [B]."""
    return jnp.any(batch['words'] >= len(reader.keep), -1)


def _encode(key, state, batch):
    del key
    words = batch['words']
    size = len(state.table) // 2
    found = jnp.where((words < 0)[..., None], 0, state.table[jnp.maximum(words, 0)])
    return jnp.where((words >= size)[..., None], jnp.nan, found)


def _read(reader, key, words):
    """Subsamples the words and draws what their blocks are judged against, each text by its own
    key."""
    keys = jax.vmap(jax.random.split)(example_keys(key, len(words)))
    packed, blocks = reader.model.pack(keys[:, 0], words, jnp.asarray(reader.keep))
    against = jax.vmap(partial(reader.output.against, n=reader.model.most_blocks(words)))(
        keys[:, 1]
    )
    return _Texts(packed, against, blocks)


def _block(reader, texts, i):
    """The rows of the table that block i needs, [B, R], and two functions of their vectors [B, R,
    D].

    losses: the losses and the numbers of pairs, [B] each.
    curvatures: sum of |dl/ds| (1 + |partner|^2) over the scores s of each row, [B, R]. It is what
      the model's own products pull back from |dl/ds| in place of dl/ds, of 1 + |x|^2 in place of x.
    """
    inputs, targets, on = reader.model.block(texts.packed, i)
    size = len(reader.keep)
    rows = jnp.concatenate([inputs, size + targets, size + texts.against[:, i]], 1)
    ends = [inputs.shape[1], inputs.shape[1] + targets.shape[1]]

    def losses(vectors):
        inputs, targets, others = jnp.split(vectors, ends, 1)
        hidden, scores, pairs = reader.model.scores(inputs, targets, on)
        return reader.output.losses(hidden, scores, pairs, others).sum(1), pairs.sum((0, 2))

    def curvatures(vectors):
        inputs, targets, others = jnp.split(vectors, ends, 1)
        input_sizes, target_sizes, other_sizes = jnp.split(
            1 + jnp.sum(vectors**2, -1, keepdims=True), ends, 1
        )
        hidden, scores, pairs = reader.model.scores(inputs, targets, on)

        def size_scores(input_sizes, target_sizes):
            return reader.model.scores(input_sizes, target_sizes, on)[:2]

        (hidden_sizes, _), back = jax.vjp(size_scores, input_sizes, target_sizes)
        slopes, to_hidden, to_others = reader.output.slopes(
            hidden, scores, pairs, others, hidden_sizes, other_sizes
        )
        return jnp.concatenate([*back((to_hidden, slopes)), to_others], 1)[..., 0]

    return rows, losses, curvatures


def _learned(table, rows, losses, curvatures, rate, *, add, stable):
    """The table after a step of descent with the blocks of all devices; the losses [B] before it
    and the pairs [B]."""

    def total(vectors):
        found, pairs = losses(vectors)
        return found.sum(), (found, pairs)

    vectors = _taken(table, rows)
    gradient, judged = jax.grad(total, has_aux=True)(vectors)
    if not stable:
        rows, gradient = _of_all_texts((rows, gradient))
        return add(table, rows, -rate * gradient), *judged
    rows, gradient, curvature = _of_all_texts((rows, gradient, curvatures(vectors)))
    share = stable_share(rows, rate * curvature, len(table))
    return add(table, rows, -(rate * share)[:, None] * gradient), *judged


def _of_all_texts(tree):
    """Arrays of all devices' texts [B, R, ...] as rows [B R, ...]."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), all_gather(tree))


def _taken(table, rows):
    return table.at[rows].get(mode='promise_in_bounds')
