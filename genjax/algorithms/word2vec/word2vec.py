"""word2vec: two vectors a word, learnt by predicting words from their neighbours.

Mikolov et al. 2013a, arXiv:1301.3781 (skip-gram, CBOW), and 2013b, arXiv:1310.4546 (negative
sampling, subsampling).

The words that subsampling keeps are packed, text by text, and then taken T at a time of all B texts
at once: a block. Each block gathers the rows that it needs of the two tables of vectors, takes the
gradient of the sum of its losses with respect to these rows, and adds it with one scatter a table.
So a step costs what its words cost, whatever the vocabulary, and matrix products do the work: of T
centres with their neighbours, and with the M noise words that they share.

Letters: V words, D dimensions, B texts of L places, n blocks a text, T centres a block, I inputs
and O targets of a block, K negatives a pair, M noise words of a block.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.algorithms.word2vec.outputs import Output
from genjax.algorithms.word2vec.steps import (
    BUCKETS,
    AddSteps,
    add_steps,
    stable_scale,
    stable_share,
)
from genjax.algorithms.word2vec.subwords import Parts, add_curvatures, add_to_parts, take_parts
from genjax.algorithms.word2vec.windows import Architecture, Packed
from genjax.base import Algorithm, Key
from genjax.parallel import all_gather, device_max, device_mean, example_keys


class Vectors(NamedTuple):
    """Two vectors a word."""

    step: jax.Array  # int32
    inputs: jax.Array  # [V, D], the input vectors v, which encode gives; [N, D], their parts
    outputs: jax.Array  # [V, D], the output vectors u


class Setup(NamedTuple):
    """What does not change in training."""

    architecture: Architecture
    output: Output
    keep: np.ndarray  # [V], the probability of keeping an occurrence of each word


class Texts(NamedTuple):
    """A batch after subsampling, with noise words."""

    packed: Packed
    noise_words: jax.Array  # [B, n, M] int32
    blocks: jax.Array  # [] int32, how many of the n have words


class Rows(NamedTuple):
    """Of each row that a block needs: its number or a scalar [B, .], or its vector [B, ., D]."""

    inputs: jax.Array  # [B, I, ...], of the input vectors
    targets: jax.Array  # [B, O, ...], of the output vectors
    noise: jax.Array  # [B, M, ...], of the output vectors


class BlockLoss(NamedTuple):
    """The loss of one block as a function of the vectors that it needs.

    Attributes:
      rows: of these vectors in the tables, int32.
      losses: vectors -> (the sum over each text's pairs, the number of its pairs), [B] each.
      curvatures: vectors -> sum of |dl/ds| (1 + |partner|^2) over the scores s of each row.
    """

    rows: Rows
    losses: Callable[[Rows], tuple[jax.Array, jax.Array]]
    curvatures: Callable[[Rows], Rows]


def pair_loss(v: jax.Array, u: jax.Array, negatives: jax.Array) -> jax.Array:
    """-log s(u.v) - sum_k log s(-u_k.v), s the logistic function: one pair, as it is defined.

    Args:
      v: the input vector of a word, or the mean of several, [D].
      u: the output vector of the word that it predicts, [D].
      negatives: those of K noise words, [K, D].

    Source: Mikolov et al. 2013b, equation 4.
    """
    return jax.nn.softplus(-u @ v) + jax.nn.softplus(negatives @ v).sum()


def keep_probability(counts: np.ndarray, sample: float) -> np.ndarray:
    """The probability that subsampling keeps an occurrence of each word: sqrt(t/f) + t/f, up to 1.

    Args:
      counts: of the words, [V]; f is a word's share of them.
      sample: t; 0 keeps every word, as in word2vec.c and gensim.

    Returns:
      float32 [V].

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


def sample_texts(key: Key, words: jax.Array, setup: Setup) -> Texts:
    """Subsamples words [B, L] and draws noise words for their blocks, each text by its own key."""
    keys = jax.vmap(jax.random.split)(example_keys(key, len(words)))
    packed, blocks = setup.architecture.pack(keys[:, 0], words, jnp.asarray(setup.keep))
    draw = partial(setup.output.noise_words, n=setup.architecture.max_blocks(words))
    return Texts(packed, jax.vmap(draw)(keys[:, 1]), blocks)


def block_loss(texts: Texts, i: jax.Array | int, setup: Setup) -> BlockLoss:
    """The loss of block i, as a function of the vectors that it needs."""
    inputs, targets, mask = setup.architecture.cut_block(texts.packed, i)
    rows = Rows(inputs, targets, texts.noise_words[:, i])

    def losses(vectors):
        hidden, scores, pairs = setup.architecture.predict(vectors.inputs, vectors.targets, mask)
        losses = setup.output.losses(hidden, scores, pairs, vectors.noise)
        return losses.sum(1), pairs.sum((0, 2))

    def curvatures(vectors):
        """What `predict` pulls back from |dl/ds| in place of dl/ds, of 1 + |x|^2 in place of x."""
        sizes = jax.tree.map(lambda x: 1 + jnp.sum(x**2, -1, keepdims=True), vectors)
        hidden, scores, pairs = setup.architecture.predict(vectors.inputs, vectors.targets, mask)

        def predict_sizes(input_sizes, target_sizes):
            predictions = setup.architecture.predict(input_sizes, target_sizes, mask)
            return predictions.hidden, predictions.scores

        (hidden_sizes, _), pull_back = jax.vjp(predict_sizes, sizes.inputs, sizes.targets)
        slopes, to_hidden, to_noise = setup.output.slopes(
            hidden, scores, pairs, vectors.noise, hidden_sizes, sizes.noise
        )
        to_inputs, to_targets = pull_back((to_hidden, slopes))
        return jax.tree.map(lambda x: x[..., 0], Rows(to_inputs, to_targets, to_noise))

    return BlockLoss(rows, losses, curvatures)


def input_vectors(state: Vectors, words: jax.Array, parts: Parts | None) -> jax.Array:
    """The input vectors of words [B, I], of rows of their own or of parts: [B, I, D]."""
    if parts is None:
        return state.inputs.at[words].get(mode='promise_in_bounds')
    return take_parts(state.inputs, words, parts)


def take_rows(state: Vectors, rows: Rows, parts: Parts | None = None) -> Rows:
    """The vectors at rows of the tables; input vectors of the sum of their parts, if they have any.

    The three gathers stay apart from what is done with them. XLA would otherwise gather anew, or
    copy, in every loop that reads a part of them.
    """

    def take(table, rows):
        return table.at[rows].get(mode='promise_in_bounds')

    vectors = Rows(
        input_vectors(state, rows.inputs, parts),
        take(state.outputs, rows.targets),
        take(state.outputs, rows.noise),
    )
    return jax.lax.optimization_barrier(vectors)


def descend_block(
    state: Vectors,
    block: BlockLoss,
    rate: jax.Array,
    *,
    add: AddSteps,
    stable: bool,
    parts: Parts | None = None,
) -> tuple[Vectors, jax.Array, jax.Array]:
    """One step of descent with a block, of all devices' texts.

    Args:
      rate: the learning rate.
      add: adds the steps to a table.
      stable: whether steps are scaled by `stable_scale`.
      parts: of the input vectors; None for a row each.

    Returns:
      The vectors after the step; the losses before it and the numbers of pairs, [B] each.
    """

    def total(vectors):
        losses, pairs = block.losses(vectors)
        return losses.sum(), (losses, pairs)

    vectors = take_rows(state, block.rows, parts)
    gradient, (losses, pairs) = jax.grad(total, has_aux=True)(vectors)
    steps = jax.tree.map(lambda x: -rate * x, gradient)
    if parts is not None:
        curvature = block.curvatures(vectors) if stable else None
        rows, steps, curvature = _gather_texts((block.rows, steps, curvature))
        curvature = jax.tree.map(lambda c: rate * c, curvature)
        return _add_parts(state, rows, steps, curvature, parts, add), losses, pairs
    if stable:
        rows, steps, curvature = _gather_texts((block.rows, steps, block.curvatures(vectors)))
        scale = _stable_scale(rows, curvature, rate, len(state.inputs))
        steps = jax.tree.map(lambda scale, step: scale[:, None] * step, scale, steps)
    else:
        rows, steps = _gather_texts((block.rows, steps))
    return _add_rows(state, rows, steps, add), losses, pairs


def _gather_texts(tree: Any) -> Any:
    """Arrays [B, R, ...] of all devices' texts as rows [B R, ...]."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), all_gather(tree))


def _stable_scale(rows: Rows, curvature: Rows, rate: jax.Array, size: int) -> Rows:
    """`stable_scale` of all rows, those of the output vectors after those of the input vectors."""
    numbers = jnp.concatenate([rows.inputs, size + rows.targets, size + rows.noise])
    scale = stable_scale(numbers, rate * jnp.concatenate(curvature), 2 * size)
    ends = [len(rows.inputs), len(rows.inputs) + len(rows.targets)]
    return Rows(*jnp.split(scale, ends))


def _add_rows(state: Vectors, rows: Rows, steps: Rows, add: AddSteps) -> Vectors:
    """The vectors with steps added to their rows. Of two scatters into one table XLA would copy it
    in between, so there is one."""
    output_rows = jnp.concatenate([rows.targets, rows.noise])
    output_steps = jnp.concatenate([steps.targets, steps.noise])
    return state._replace(
        inputs=add(state.inputs, rows.inputs, steps.inputs),
        outputs=add(state.outputs, output_rows, output_steps),
    )


def _add_parts(
    state: Vectors, rows: Rows, steps: Rows, curvature: Rows | None, parts: Parts, add: AddSteps
) -> Vectors:
    """`_add_rows` where input vectors have parts, each of which takes the whole step.

    Args:
      curvature: times the rate, [R] each, to scale steps by as `stable_scale` does; None not to.
    """
    output_rows = jnp.concatenate([rows.targets, rows.noise])
    output_steps = jnp.concatenate([steps.targets, steps.noise])
    part_scale = None
    if curvature is not None:
        size = len(state.inputs) + len(state.outputs)
        # A block has as many rows more as words have parts.
        buckets = min(size, BUCKETS * -(-len(parts.rows) // len(parts.counts)))
        sums = add_curvatures(jnp.zeros(buckets), rows.inputs, curvature.inputs, parts)
        which = (len(state.inputs) + output_rows) % buckets
        output_curvature = jnp.concatenate([curvature.targets, curvature.noise])
        sums = sums.at[which].add(output_curvature, mode='promise_in_bounds')
        shares = stable_share(sums)

        def part_scale(part_rows):
            return shares.at[part_rows % buckets].get(mode='promise_in_bounds')

        output_scale = shares.at[which].get(mode='promise_in_bounds')
        output_steps = output_scale[:, None] * output_steps
    return state._replace(
        inputs=add_to_parts(
            state.inputs, rows.inputs, steps.inputs, parts, add=add, scale=part_scale
        ),
        outputs=add(state.outputs, output_rows, output_steps),
    )


def word2vec(
    architecture: Architecture,
    output: Output,
    *,
    keep: np.ndarray,
    dimension: int,
    rate: Callable[[jax.Array], jax.Array],
    add: AddSteps = add_steps,
    stable: bool = False,
    parts: Parts | None = None,
) -> Algorithm:
    """Word vectors from batches {'words': int32 [B, L]}, -1 between sentences.

    Codes are the input vectors, [B, L, D], and 0 where there is no word. The loss is the mean over
    pairs, nats; in training, over those of the step's first block before its step. With a word
    outside 0 to V - 1 it is NaN, which ends a run, and so is that word's code.

    Args:
      architecture: `skip_gram` or `cbow`.
      output: `negative_sampling` or `full_softmax`.
      keep: the probability of keeping an occurrence of each word, [V], as `keep_probability` gives.
      dimension: D.
      rate: the learning rate of a step, which comes as float32.
      add: adds a block's steps to the table; `add_clipped_steps` where B x T is large.
      stable: whether steps that would diverge are shortened, see `stable_scale`. Plain descent
        diverges where few words fill a block.
      parts: of which rows an input vector is made, as `mean_of_parts` and `sum_of_parts` have it:
        sub-words. None: every word has a row of its own.

    Raises:
      ValueError: dimension is below 1, or there are parts of another number of words.
    """
    if dimension < 1:
        raise ValueError(f'dimension is {dimension}; at least 1 is needed')
    if parts is not None and len(parts.counts) != len(keep):
        raise ValueError(f'parts are those of {len(parts.counts)} words; there are {len(keep)}')
    setup = Setup(architecture, output, keep)
    inputs_size = len(keep) if parts is None else parts.size

    def out_of_range(words):  # bool [B], whether a text has a word that is none of the V
        return jnp.any(words >= len(keep), -1)

    def init(key, batch):
        del batch
        shape = (inputs_size, dimension)
        inputs = jax.random.uniform(key, shape, minval=-0.5, maxval=0.5) / dimension
        outputs = jnp.zeros((len(keep), dimension), inputs.dtype)
        return Vectors(jnp.zeros((), jnp.int32), inputs, outputs)

    def update(key, state, batch):
        texts = sample_texts(key, batch['words'], setup)
        step_rate = rate(state.step.astype(jnp.float32))

        def descend(i, state):
            block = block_loss(texts, i, setup)
            return descend_block(state, block, step_rate, add=add, stable=stable, parts=parts)

        # The first block is apart, so that its losses alone are computed: of the others the
        # gradients are enough.
        state, losses, pairs = descend(0, state)
        losses = jnp.where(out_of_range(batch['words']), jnp.nan, losses)
        loss, pairs = device_mean((losses.sum(), pairs.sum()))
        state = jax.lax.fori_loop(
            1, device_max(texts.blocks), lambda i, state: descend(i, state)[0], state
        )
        return state._replace(step=state.step + 1), {'loss': loss / jnp.maximum(pairs, 1)}

    def evaluate(key, state, batch):
        texts = sample_texts(key, batch['words'], setup)

        def evaluate_block(i, sums):
            block = block_loss(texts, i, setup)
            vectors = take_rows(state, block.rows, parts)
            return jax.tree.map(jnp.add, sums, block.losses(vectors))

        zeros = jnp.zeros(len(batch['words']))
        loss, pairs = jax.lax.fori_loop(0, texts.blocks, evaluate_block, (zeros, zeros))
        invalid = out_of_range(batch['words'])
        return {'loss': jnp.where(invalid, jnp.nan, loss / jnp.maximum(pairs, 1))}

    def encode(key, state, batch):
        del key
        words = batch['words']
        absent = (words < 0)[..., None]
        codes = jnp.where(absent, 0, input_vectors(state, jnp.clip(words, 0, len(keep) - 1), parts))
        return jnp.where((words >= len(keep))[..., None], jnp.nan, codes)

    return Algorithm(init, update, evaluate, encode=encode)
