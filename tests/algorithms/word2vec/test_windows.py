"""Blocks of a text: which words predict which in them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.word2vec import cbow, skip_gram
from genjax.algorithms.word2vec.bands import band_means, offsets
from tests.trees import assert_trees_equal


def pairs_of(model, words, keep, seed=0):
    """Every (centre, neighbour) that the blocks of texts [B, L] hold, text by text."""
    packed, blocks = model.pack(jax.random.split(jax.random.key(seed), len(words)), words, keep)
    found = [[] for _ in words]
    for i in range(int(blocks)):
        centres, places, mask = map(np.asarray, model.cut_block(packed, i))
        size = centres.shape[1]
        window = (places.shape[1] - size) // 2
        for j, b, t in zip(*np.nonzero(mask), strict=True):
            neighbour = places[b, t + window + offsets(window)[j]]
            found[b].append((int(centres[b, t]), int(neighbour)))
        assert size == 4
    return found


TEXTS = jnp.array([[0, 1, 2, -1, 3, 4, 5, 6, 7, -1, 8, 9], [-1, 0, -1, -1, 1, 2, 3, 4, 5, 6, 7, 8]])
SENTENCES = [[[0, 1, 2], [3, 4, 5, 6, 7], [8, 9]], [[0], [1, 2, 3, 4, 5, 6, 7, 8]]]


def test_pairs_keep_to_their_sentence_and_cross_blocks():
    model = skip_gram(window=1, block=4)  # a window of one is no random window
    expected = [[] for _ in SENTENCES]
    for pairs, text in zip(expected, SENTENCES, strict=True):
        for sentence in text:
            pairs += [*itertools.pairwise(sentence), *itertools.pairwise(sentence[::-1])]
    found = pairs_of(model, TEXTS, jnp.ones(10))
    assert [sorted(pairs) for pairs in found] == [sorted(pairs) for pairs in expected]


def test_what_subsampling_drops_brings_neighbours_together():
    keep = jnp.ones(10).at[jnp.array([1, 4, 5, 9])].set(0.0)
    found = pairs_of(skip_gram(window=1, block=4), TEXTS, keep)
    assert sorted(found[0]) == sorted([(0, 2), (2, 0), (3, 6), (6, 3), (6, 7), (7, 6)])
    assert sorted(found[1]) == sorted(
        [(2, 3), (3, 2), (3, 6), (6, 3), (6, 7), (7, 6), (7, 8), (8, 7)]
    )


def test_windows_are_drawn_evenly_and_occurrences_kept_by_their_probability():
    texts = jnp.zeros((1, 40_000), jnp.int32)
    keys = jax.random.split(jax.random.key(0), 1)
    packed, _ = skip_gram(window=4).pack(keys, texts, jnp.array([0.3]))
    windows = np.bincount(np.asarray(packed.windows[0]))
    kept = windows[1:].sum()
    assert abs(kept - 12_000) < 4 * np.sqrt(40_000 * 0.3 * 0.7)
    assert np.abs(windows[1:] - kept / 4).max() < 4 * np.sqrt(kept * 3 / 16)


def test_cbow_predicts_the_centre_from_the_words_that_skip_gram_predicts():
    architecture = cbow(window=3, block=4)
    keys = jax.random.split(jax.random.key(1), 2)
    packed, _ = architecture.pack(keys, TEXTS, jnp.ones(10))
    of_skip_gram, _ = skip_gram(window=3, block=4).pack(keys, TEXTS, jnp.ones(10))
    assert_trees_equal(packed, of_skip_gram)

    table = jax.random.normal(jax.random.key(0), (10, 5))
    context, centres, mask = architecture.cut_block(packed, 1)
    hidden, scores, counted = architecture.predict(table[context], table[centres], mask)
    np.testing.assert_allclose(hidden, band_means(mask, table[context]))
    expected = jnp.einsum('btd,btd->bt', hidden, table[centres])
    np.testing.assert_allclose(scores[0], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(counted[0], mask.sum(0) > 0)


@pytest.mark.parametrize('sizes', [dict(window=0, block=4), dict(window=2, block=0)])
def test_a_window_and_a_block_have_a_size(sizes):
    with pytest.raises(ValueError, match='is 0; it takes 1 to '):
        skip_gram(**sizes)
