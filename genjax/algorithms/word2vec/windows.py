"""Texts in blocks, and who predicts whom in them: skip-gram and CBOW.

The words that subsampling keeps are packed at the front of their text and taken T at a time: the
centres of a block. Their neighbours are the same places and w more on either side. Of the T x (T +
2w) pairs only a band of 2w diagonals counts, and only that is kept: row j of a band belongs to the
neighbours at the distance offsets(w)[j].

Letters: B texts of L places, T centres, w the window, P = T + 2w places, D dimensions, J rows of
scores.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Packed(NamedTuple):
    """What subsampling kept of B texts, at the front of each; L' is L, rounded up to whole blocks."""

    words: jax.Array  # [B, w + L' + w] int32, 0 where there is none
    sentences: jax.Array  # the number of the word's sentence in its text; -1 where there is none
    windows: jax.Array  # how far the word as a centre looks, 1 to w; 0 where there is none


class Model(NamedTuple):
    """What predicts, and what is predicted.

    pack: (keys [B], words [B, L], keep [V]) -> (packed, the number of blocks that hold words).
    most_blocks: words [B, L] -> the number of blocks that subsampling might leave.
    block: (packed, i) -> (inputs [B, .], targets [B, .], on [2w, B, T]): the words of block i that
      predict and are predicted, and which neighbours of each centre count: 1 or 0.
    scores: (inputs [B, ., D], targets [B, ., D], on) -> (hidden [B, T, D], scores [J, B, T], on [J,
      B, T]): from these words' vectors, what predicts at each centre, its products with the
      targets, and which of those count.
    """

    pack: Callable
    most_blocks: Callable
    block: Callable
    scores: Callable


def skip_gram(*, window: int, block: int = 64) -> Model:
    """The centre predicts each of its neighbours (Mikolov et al. 2013, arXiv:1301.3781, section
    3.2).

    Args:
      window: w, the largest distance; each centre draws its own from 1 to w.
      block: T.

    Raises:
      ValueError: one of them is below 1, or above 10^6; window above 1,000.
    """

    def scores(inputs, targets, on):
        return inputs, band_products(inputs, targets), on

    return _model(window, block, lambda words: (words[:, window:-window], words), scores)


def cbow(*, window: int, block: int = 64) -> Model:
    """The mean of the neighbours predicts the centre (Mikolov et al. 2013, arXiv:1301.3781, section
    3.1).

    Arguments and errors as of `skip_gram`.
    """

    def scores(inputs, targets, on):
        hidden = band_means(on, inputs)
        return hidden, jnp.sum(hidden * targets, -1)[None], on.max(0, keepdims=True)

    return _model(window, block, lambda words: (words, words[:, window:-window]), scores)


def _model(window, block, places, scores):
    for name, number, most in (('window', window, 1000), ('block', block, 10**6)):
        if not 1 <= number <= most:
            raise ValueError(f'{name} is {number}; it takes 1 to {most}')

    def pack(keys, words, keep):
        size = 2 * window + -(-words.shape[1] // block) * block
        packed, kept = jax.vmap(partial(_packed, window, size), (0, 0, None))(keys, words, keep)
        return packed, -(-kept.max() // block)

    def cut(packed, i):
        words, on = _cut(packed, i, window, block)
        return *places(words), on

    return Model(pack, lambda words: -(-words.shape[1] // block), cut, scores)


def _packed(window, size, key, words, keep):
    """Subsamples one text [L] into arrays of a size that whole blocks fill; also the number of
    words kept."""
    coin, reach = jax.random.split(key)
    kept = (words >= 0) & (jax.random.uniform(coin, words.shape) < keep[words])
    ends = jnp.cumsum(kept)
    place = jnp.where(kept, window + ends - 1, size)

    def moved(x, nothing):
        return jnp.full(size, nothing).at[place].set(x, mode='drop')

    windows = jax.random.randint(reach, words.shape, 1, window + 1)
    return Packed(moved(words, 0), moved(jnp.cumsum(words < 0), -1), moved(windows, 0)), ends[-1]


def _cut(packed, i, window, block):
    """Block i of packed texts: its words [B, P], and which pairs count [2w, B, T]."""
    part = lambda x: jax.lax.dynamic_slice_in_dim(x, i * block, block + 2 * window, 1)
    words, sentences, windows = map(part, packed)
    at = lambda x, o: x[:, window + o : window + o + block]
    on = [
        (at(sentences, o) == at(sentences, 0)) & (abs(o) <= at(windows, 0)) for o in offsets(window)
    ]
    return words, jnp.stack(on).astype(jnp.float32)


def offsets(window: int) -> list[int]:
    """The distance that each row of a band stands for."""
    return [o for o in range(-window, window + 1) if o]


@jax.custom_vjp
def band_products(centres: jax.Array, places: jax.Array) -> jax.Array:
    """The products of centres [B, T, D] with their neighbours among places [B, P, D]: [2w, B, T]."""
    texts, size, _ = centres.shape
    window = (places.shape[1] - size) // 2
    tile = jnp.einsum('btd,bpd->btp', centres, places).reshape(texts, -1)
    # Rows lengthened by one and cut anew: each starts one place further, and the diagonals stand as
    # columns.
    skewed = jnp.pad(tile, ((0, 0), (0, size))).reshape(texts, size, -1)
    return jnp.stack([skewed[:, :, window + o] for o in offsets(window)])


def band_sums(band: jax.Array, places: jax.Array) -> jax.Array:
    """Each centre's neighbours among places [B, P, D], weighted by its column of the band [2w, B,
    T]: [B, T, D]."""
    window, size = len(band) // 2, band.shape[2]
    neighbours = lambda o: places[:, window + o : window + o + size]
    return sum(row[..., None] * neighbours(o) for o, row in zip(offsets(window), band, strict=True))


def band_spread(band: jax.Array, centres: jax.Array) -> jax.Array:
    """The transpose of band_sums: what centres [B, T, D] give to all places, [B, P, D]."""
    window = len(band) // 2
    band = jnp.pad(band, ((0, 0), (0, 0), (2 * window, 2 * window)))
    centres = jax.lax.optimization_barrier(
        jnp.pad(centres, ((0, 0), (2 * window, 2 * window), (0, 0)))
    )
    shifted = lambda x, o: x[:, window - o : x.shape[1] - window - o]
    return sum(
        shifted(row, o)[..., None] * shifted(centres, o)
        for o, row in zip(offsets(window), band, strict=True)
    )


def _products_back(rows, band):
    centres, places = rows
    return band_sums(band, places), band_spread(band, centres)


# The derivative of the tile would be two more tiles, most of whose terms are nought.
band_products.defvjp(
    lambda centres, places: (band_products(centres, places), (centres, places)), _products_back
)


@jax.custom_vjp
def band_means(on: jax.Array, places: jax.Array) -> jax.Array:
    """Each centre's mean of the neighbours among places [B, P, D] that are on [2w, B, T]: [B, T,
    D].

    Not its gradient, but the gradient of the sum: each neighbour receives the whole error and not
    its share of it, as in word2vec.c and gensim. Shares cost a third of the quality.
    """
    return band_sums(on / jnp.maximum(on.sum(0), 1)[None], places)


band_means.defvjp(
    lambda on, places: (band_means(on, places), on),
    lambda on, error: (None, band_spread(on, error)),
)
