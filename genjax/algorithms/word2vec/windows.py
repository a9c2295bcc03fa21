"""Texts in blocks, and which words predict which in them: skip-gram and CBOW.

Subsampling drops words of a text. Those that are kept are packed at its front and taken T at a
time: the centres of a block. Their neighbours are the same places and w more on either side. The
pairs of centres and neighbours are a band, see `bands`.

Letters: B texts of L places, T centres, w the window, P = T + 2w places, D dimensions, J rows of
scores.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.algorithms.word2vec.bands import band_means, band_products, offsets
from genjax.base import Key

MAX_WINDOW = 1000
MAX_BLOCK = 10**6


class Packed(NamedTuple):
    """What subsampling kept of B texts, at the front of each; L' is L in whole blocks."""

    words: jax.Array  # [B, w + L' + w] int32, 0 where there is none
    sentences: jax.Array  # the number of the word's sentence in its text; -1 where there is none
    windows: jax.Array  # the window of the word as a centre, 1 to w; 0 where there is no word


class Block(NamedTuple):
    """Block i of B texts."""

    inputs: jax.Array  # [B, .] int32, the words that predict
    targets: jax.Array  # [B, .] int32, the words that are predicted
    mask: jax.Array  # [2w, B, T] float32, 1 for a neighbour that counts, else 0


class Predictions(NamedTuple):
    """The predictions of a block's centres."""

    hidden: jax.Array  # [B, T, D], what predicts at each centre
    scores: jax.Array  # [J, B, T], its products with the targets
    mask: jax.Array  # [J, B, T], 1 for a score that counts, else 0


class Architecture(NamedTuple):
    """Which words of a block are the inputs, and which the targets.

    Attributes:
      pack: (keys [B], words [B, L], keep [V]) -> (packed, the number of blocks that have words).
      max_blocks: words [B, L] -> the number of blocks where subsampling drops nothing.
      cut_block: (packed, i) -> block i.
      predict: (input vectors [B, ., D], target vectors [B, ., D], mask [2w, B, T]) -> predictions.
    """

    pack: Callable[[Key, jax.Array, jax.Array], tuple[Packed, jax.Array]]
    max_blocks: Callable[[jax.Array], int]
    cut_block: Callable[[Packed, jax.Array | int], Block]
    predict: Callable[[jax.Array, jax.Array, jax.Array], Predictions]


def pack_text(
    key: Key, words: jax.Array, keep: jax.Array, *, window: int, size: int
) -> tuple[Packed, jax.Array]:
    """Subsamples one text.

    Args:
      words: [L] int32, -1 between sentences.
      keep: the probability of keeping an occurrence of each word, [V].
      window: w.
      size: w + L' + w, of the packed arrays.

    Returns:
      The packed text, without the axis of texts, and the number of words kept.
    """
    keep_key, window_key = jax.random.split(key)
    kept = (words >= 0) & (jax.random.uniform(keep_key, words.shape) < keep[words])
    ends = jnp.cumsum(kept)
    place = jnp.where(kept, window + ends - 1, size)

    def move(x, fill):
        return jnp.full(size, fill).at[place].set(x, mode='drop')

    windows = jax.random.randint(window_key, words.shape, 1, window + 1)
    packed = Packed(move(words, 0), move(jnp.cumsum(words < 0), -1), move(windows, 0))
    return packed, ends[-1]


def cut_band(
    packed: Packed, i: jax.Array | int, *, window: int, block: int
) -> tuple[jax.Array, jax.Array]:
    """Block i of packed texts: its words, [B, P], and the mask of its pairs, [2w, B, T]."""

    def cut(x):
        return jax.lax.dynamic_slice_in_dim(x, i * block, block + 2 * window, 1)

    def neighbours(x, offset):
        return x[:, window + offset : window + offset + block]

    words, sentences, windows = map(cut, packed)
    mask = [
        (neighbours(sentences, o) == neighbours(sentences, 0)) & (abs(o) <= neighbours(windows, 0))
        for o in offsets(window)
    ]
    return words, jnp.stack(mask).astype(jnp.float32)


def skip_gram(*, window: int, block: int = 64) -> Architecture:
    """The centre predicts each of its neighbours.

    Args:
      window: w, the largest distance; each centre draws its own from 1 to w.
      block: T.

    Raises:
      ValueError: one of them is below 1, or above 10^6; window above 1,000.

    Source: Mikolov et al. 2013, arXiv:1301.3781, section 3.2.
    """

    def assign(words, mask):
        return Block(words[:, window:-window], words, mask)

    def predict(inputs, targets, mask):
        return Predictions(inputs, band_products(inputs, targets), mask)

    return _architecture(window, block, assign, predict)


def cbow(*, window: int, block: int = 64) -> Architecture:
    """The mean of the neighbours predicts the centre.

    Args:
      window: w, the largest distance; each centre draws its own from 1 to w.
      block: T.

    Raises:
      ValueError: one of them is below 1, or above 10^6; window above 1,000.

    Source: Mikolov et al. 2013, arXiv:1301.3781, section 3.1.
    """

    def assign(words, mask):
        return Block(words, words[:, window:-window], mask)

    def predict(inputs, targets, mask):
        hidden = band_means(mask, inputs)
        scores = jnp.sum(hidden * targets, -1)[None]
        return Predictions(hidden, scores, mask.max(0, keepdims=True))

    return _architecture(window, block, assign, predict)


def _architecture(window, block, assign, predict):
    """The architecture that assigns the words [B, P] and the mask of a block to a `Block`."""
    for name, number, most in (('window', window, MAX_WINDOW), ('block', block, MAX_BLOCK)):
        if not 1 <= number <= most:
            raise ValueError(f'{name} is {number}; it takes 1 to {most}')

    def max_blocks(words):
        return -(-words.shape[1] // block)

    def pack(keys, words, keep):
        size = 2 * window + max_blocks(words) * block
        pack_one = partial(pack_text, window=window, size=size)
        packed, kept = jax.vmap(pack_one, (0, 0, None))(keys, words, keep)
        return packed, -(-kept.max() // block)

    def cut_block(packed, i):
        words, mask = cut_band(packed, i, window=window, block=block)
        return assign(words, mask)

    return Architecture(pack, max_blocks, cut_block, predict)
