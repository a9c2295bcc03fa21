"""Pictures and tables of word vectors."""

import numpy as np
import pytest

from genjax.base import Embedding
from genjax.probes.word_figures import CAPITALS, neighbour_table, pairs_picture, principal_plane

DRAW = np.random.default_rng(0)


def test_the_plane_is_that_of_the_covariances_first_eigenvectors():
    vectors = DRAW.normal(size=(60, 9)) * np.arange(1, 10) + 5
    variances, axes = np.linalg.eigh(np.cov(vectors.T))
    points = principal_plane(vectors)
    np.testing.assert_allclose(np.cov(points.T), np.diag(variances[:-3:-1]), atol=1e-9)
    np.testing.assert_allclose(
        np.abs(points), np.abs((vectors - vectors.mean(0)) @ axes[:, :-3:-1]), atol=1e-9
    )


def test_the_plane_does_not_hang_on_signs():
    vectors = DRAW.normal(size=(20, 5))
    points = principal_plane(vectors)
    assert (points.max(0) > -points.min(0)).all()
    turned, _ = np.linalg.qr(DRAW.normal(size=(5, 5)))
    np.testing.assert_allclose(principal_plane(vectors @ turned), points, atol=1e-9)


@pytest.mark.parametrize('shape', [(1, 4), (2, 4), (6, 1)])
def test_where_there_is_no_plane_coordinates_are_zero(shape):
    points = principal_plane(DRAW.normal(size=shape))
    assert points.shape == (shape[0], 2)
    np.testing.assert_allclose(points[:, 1], 0, atol=1e-12)


def capitals(known=11):
    countries = DRAW.normal(size=(known, 10)).astype(np.float32)
    vectors = np.concatenate([countries, countries + np.eye(10, dtype=np.float32)[0] * 4])
    words = [pair[side].lower() for side in (0, 1) for pair in CAPITALS[:known]]
    return Embedding(words, vectors)


@pytest.mark.parametrize('known', [1, 2, 11])
def test_a_picture_of_pairs_shows_them(known):
    embedding = capitals(known)
    empty, picture = pairs_picture(Embedding(['x'], np.ones((1, 10)))), pairs_picture(embedding)
    assert picture.dtype == np.uint8 and picture.shape == empty.shape == (600, 800, 3)
    blue, orange = (picture == (0, 0x72, 0xB2)).all(-1), (picture == (0xD5, 0x5E, 0)).all(-1)
    assert blue.sum() > 20 * known and orange.sum() > 10 * known
    assert not (empty == (0, 0x72, 0xB2)).all(-1).any()
    np.testing.assert_array_equal(pairs_picture(embedding), picture)


def test_words_of_another_case_are_found_only_by_folding():
    def blue(picture):
        return (picture == (0, 0x72, 0xB2)).all(-1).any()

    assert blue(pairs_picture(capitals())) and not blue(pairs_picture(capitals(), casefold=str))


def test_a_table_has_a_row_for_every_word_known_or_not():
    embedding = Embedding(['cat', 'dog', 'sun'], np.array([[1, 0], [1, 1], [0, -1]], np.float32))
    assert neighbour_table(embedding, ['cat', 'kat'], 10) == [
        {'word': 'cat', 'neighbours': 'dog 0.71, sun 0.00'},
        {'word': 'kat', 'neighbours': "'kat' is not in the vocabulary; close are 'cat'"},
    ]


def test_no_figure_is_left_behind():
    import matplotlib.pyplot

    pairs_picture(capitals())
    assert matplotlib.pyplot.get_fignums() == []
