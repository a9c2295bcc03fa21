"""Blocks of a text and their bands, against what they are defined as."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.word2vec.windows import (
    band_means,
    band_products,
    band_spread,
    band_sums,
    cbow,
    offsets,
    skip_gram,
)

B, T, W, D = 3, 7, 2, 5


def drawn(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


def products_by_definition(centres, places):
    t = jnp.arange(T)
    return jnp.stack([jnp.sum(centres * places[:, t + W + o], -1) for o in offsets(W)])


def test_products_are_those_of_each_centre_with_its_neighbours():
    centres, places = drawn(B, T, D), drawn(B, T + 2 * W, D, seed=1)
    np.testing.assert_allclose(
        band_products(centres, places),
        products_by_definition(centres, places),
        rtol=1e-5,
        atol=1e-5,
    )


def test_the_gradient_of_the_products_is_autodiffs():
    centres, places, weights = (
        drawn(B, T, D),
        drawn(B, T + 2 * W, D, seed=1),
        drawn(2 * W, B, T, seed=2),
    )
    gradient = lambda f: jax.grad(lambda *rows: jnp.sum(weights * f(*rows) ** 2), (0, 1))(
        centres, places
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
        gradient(band_products),
        gradient(products_by_definition),
    )


def test_spread_is_the_transpose_of_sums():
    band, places, centres = (
        drawn(2 * W, B, T),
        drawn(B, T + 2 * W, D, seed=1),
        drawn(B, T, D, seed=2),
    )
    transpose = jax.linear_transpose(lambda places: band_sums(band, places), places)
    np.testing.assert_allclose(
        band_spread(band, centres), transpose(centres)[0], rtol=1e-5, atol=1e-5
    )


def test_means_are_means_and_give_each_neighbour_the_whole_error():
    on, places = (drawn(2 * W, B, T) > 0).astype(jnp.float32), drawn(B, T + 2 * W, D, seed=1)
    numbers = np.asarray(on.sum(0))
    means = band_means(on, places)
    for b, t in np.ndindex(B, T):
        rows = [places[b, t + W + o] for o, row in zip(offsets(W), on, strict=True) if row[b, t]]
        np.testing.assert_allclose(
            means[b, t], np.mean(rows, 0) if rows else np.zeros(D), rtol=1e-5, atol=1e-6
        )
    error = drawn(B, T, D, seed=2)
    shares = jax.grad(
        lambda p: jnp.sum(
            error * jnp.maximum(numbers, 1)[..., None] * band_means.__wrapped__(on, p)
        )
    )
    whole = jax.grad(lambda p: jnp.sum(error * band_means(on, p)))
    np.testing.assert_allclose(whole(places), shares(places), rtol=1e-4, atol=1e-5)


def pairs_of(model, words, keep, seed=0):
    """Every (centre, neighbour) that the blocks of texts [B, L] hold, text by text."""
    packed, blocks = model.pack(jax.random.split(jax.random.key(seed), len(words)), words, keep)
    found = [[] for _ in words]
    for i in range(int(blocks)):
        centres, places, on = map(np.asarray, model.block(packed, i))
        window, size = (places.shape[1] - centres.shape[1]) // 2, centres.shape[1]
        for j, b, t in zip(*np.nonzero(on), strict=True):
            found[b].append((int(centres[b, t]), int(places[b, t + window + offsets(window)[j]])))
        assert size == 4
    return found


TEXTS = jnp.array([[0, 1, 2, -1, 3, 4, 5, 6, 7, -1, 8, 9], [-1, 0, -1, -1, 1, 2, 3, 4, 5, 6, 7, 8]])
SENTENCES = [[[0, 1, 2], [3, 4, 5, 6, 7], [8, 9]], [[0], [1, 2, 3, 4, 5, 6, 7, 8]]]


def test_pairs_keep_to_their_sentence_and_cross_blocks():
    model = skip_gram(window=1, block=4)  # a window of one is no random window
    expected = [
        [(a, b) for s in text for a, b in [*itertools.pairwise(s), *itertools.pairwise(s[::-1])]]
        for text in SENTENCES
    ]
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
    packed, _ = skip_gram(window=4).pack(
        jax.random.split(jax.random.key(0), 1), texts, jnp.array([0.3])
    )
    windows = np.bincount(np.asarray(packed.windows[0]))
    kept = windows[1:].sum()
    assert abs(kept - 12_000) < 4 * np.sqrt(40_000 * 0.3 * 0.7)
    assert np.abs(windows[1:] - kept / 4).max() < 4 * np.sqrt(kept * 3 / 16)


def test_cbow_predicts_the_centre_from_the_words_that_skip_gram_predicts():
    (packed, _), (again, _) = (
        m(window=3, block=4).pack(jax.random.split(jax.random.key(1), 2), TEXTS, jnp.ones(10))
        for m in (cbow, skip_gram)
    )
    jax.tree.map(np.testing.assert_array_equal, packed, again)
    table = drawn(10, D)
    context, centres, on = cbow(window=3, block=4).block(packed, 1)
    hidden, scores, counted = cbow(window=3, block=4).scores(table[context], table[centres], on)
    np.testing.assert_allclose(hidden, band_means(on, table[context]))
    np.testing.assert_allclose(
        scores[0], jnp.einsum('btd,btd->bt', hidden, table[centres]), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_array_equal(counted[0], on.sum(0) > 0)


@pytest.mark.parametrize('sizes', [dict(window=0, block=4), dict(window=2, block=0)])
def test_a_window_and_a_block_have_a_size(sizes):
    with pytest.raises(ValueError, match='is 0; it takes 1 to '):
        skip_gram(**sizes)
