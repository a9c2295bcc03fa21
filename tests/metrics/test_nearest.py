"""Words by name and by direction."""

import time

import numpy as np
import pytest

from genjax.base import Embedding
from genjax.metrics import nearest as module
from genjax.metrics.nearest import index_of, lookup, nearest, neighbours, unit_vectors

DRAW = np.random.default_rng(0)


def by_hand(vectors, queries, k, exclude):
    """In float64, one query at a time."""
    rows = []
    for query, left_out in zip(queries.astype(float), exclude, strict=True):
        cosines = (
            vectors.astype(float)
            @ query
            / np.linalg.norm(vectors.astype(float), axis=1)
            / np.linalg.norm(query)
        )
        order = [i for i in np.argsort(-cosines) if i not in left_out][:k]
        rows.append((order, cosines[order]))
    return map(np.array, zip(*rows, strict=True))


@pytest.mark.parametrize('block', [1, 7, 512])
def test_nearest_are_the_largest_cosines(block, monkeypatch):
    monkeypatch.setattr(module, 'BLOCK', block)
    module._nearest.clear_cache()
    vectors = DRAW.normal(size=(300, 20)).astype(np.float32) * DRAW.gamma(1, size=(300, 1)).astype(
        np.float32
    )
    queries, exclude = (
        DRAW.normal(size=(30, 20)).astype(np.float32),
        DRAW.integers(0, 300, (30, 100)),
    )
    places, cosines = nearest(vectors, queries, 9, exclude)
    expected, values = by_hand(vectors, queries, 9, exclude)
    np.testing.assert_array_equal(places, expected)
    np.testing.assert_allclose(cosines, values, atol=1e-6)


def test_a_vector_is_nearest_to_itself_unless_it_is_left_out():
    vectors = DRAW.normal(size=(50, 8)).astype(np.float32)
    places, cosines = nearest(vectors, 3 * vectors, 2)
    np.testing.assert_array_equal(places[:, 0], np.arange(50))
    np.testing.assert_allclose(cosines[:, 0], 1, atol=1e-6)
    others, _ = nearest(vectors, vectors, 1, np.arange(50)[:, None])
    np.testing.assert_array_equal(others[:, 0], places[:, 1])


def test_length_zero_is_at_cosine_zero():
    assert not np.asarray(unit_vectors(np.zeros((2, 3), np.float32))).any()
    vectors = np.array([[0, 0], [1, 0], [-1, 0]], np.float32)
    places, cosines = nearest(vectors, np.array([[2, 0], [0, 0]], np.float32), 3)
    np.testing.assert_array_equal(
        places, [[1, 0, 2], [0, 1, 2]]
    )  # of equal cosines the first comes first
    np.testing.assert_array_equal(cosines, [[1, 0, -1], [0, 0, 0]])


@pytest.mark.parametrize('k', [0, 4])
def test_more_than_there_is_cannot_be_near(k):
    with pytest.raises(
        ValueError, match=f'^k is {k}; 4 vectors less 1 allow 1 to their difference$'
    ):
        nearest(np.ones((4, 2)), np.ones((1, 2)), k, [[0]])


def test_neighbours_by_name():
    embedding = Embedding(('a', 'b', 'c'), np.array([[1, 0], [1, 1], [-1, 0]], np.float32))
    (found,) = neighbours(embedding, ['a'], 2)
    assert found == [('b', pytest.approx(0.5**0.5)), ('c', -1)]


def test_the_first_of_several_forms_is_found():
    assert index_of(['us', 'Us', 'US', 'it'], str.upper) == {'US': 0, 'IT': 3}
    assert index_of(['us', 'Us']) == {'us': 0, 'Us': 1}


def test_an_unknown_word_is_answered_with_close_ones():
    index = index_of(['cat', 'bat', 'dog', 'house'])
    with pytest.raises(
        ValueError, match="^'kat' is not in the vocabulary; close are 'cat', 'bat'$"
    ):
        lookup(index, 'kat')
    with pytest.raises(ValueError, match="^'xyzzy' is not in the vocabulary$"):
        lookup(index, 'xyzzy')
    assert lookup(index, 'dog') == 2


def test_a_large_vocabulary_is_searched_for_spellings_at_once():
    letters = DRAW.choice(list('aeinorst'), (100_000, 8))
    index = index_of([''.join(row) for row in letters])
    start = time.process_time()
    with pytest.raises(ValueError, match='close are'):
        lookup(index, 'stationz')
    assert time.process_time() - start < 3
