"""Word similarity: against scipy and gensim."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from genjax.metrics.similarity import similarity, spearman
from tests.metrics.word_vectors import assert_same_correlations, keyed_vectors, random_embedding

DRAW = np.random.default_rng(0)


@pytest.mark.parametrize('values', [3, 10, 10**9])
def test_spearman_is_scipys_with_ties(values):
    x, y = DRAW.integers(0, values, (2, 500))
    y = y + x // 2
    assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)


def test_spearman_depends_on_order_alone():
    x = DRAW.normal(size=100)
    assert spearman(x, np.exp(x)) == pytest.approx(1)
    assert spearman(x, -(x**3)) == pytest.approx(-1)


def random_pairs(words, count):
    """Places of different words: one with itself would tie by rounding."""
    return DRAW.permutation(list(itertools.combinations(range(words), 2)))[:count].tolist()


def test_similarity_is_the_correlation_of_cosines_with_scores():
    embedding = random_embedding([f'w{i}' for i in range(40)])
    places = random_pairs(40, 100)
    vectors = embedding.vectors.astype(float)

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    cosines = [cosine(vectors[i], vectors[j]) for i, j in places]
    scores = np.round(cosines + DRAW.normal(size=100), 1)
    known = [(f'W{i}', f'w{j}', score) for (i, j), score in zip(places, scores, strict=True)]
    unknown = [('w1', 'unknown', 3.0)] + [('unknown', 'w1', 9.0)] * 24
    found = similarity(embedding, known + unknown)
    rank_correlation = scipy.stats.spearmanr(cosines, scores).statistic
    linear_correlation = scipy.stats.pearsonr(cosines, scores).statistic
    assert found['spearman'] == pytest.approx(rank_correlation, abs=1e-6)
    assert found['pearson'] == pytest.approx(linear_correlation, abs=1e-6)
    assert (found['coverage'], found['pairs']) == (0.8, 100)


@pytest.mark.parametrize(
    ('pairs', 'coverage'),
    [
        ([], 0),
        ([('a', 'x', 1.0)], 0),
        ([('a', 'b', 1.0)], 1),
        ([('a', 'b', 1.0), ('b', 'c', 1.0)], 1),
    ],
)
def test_a_correlation_of_nothing_is_undefined(pairs, coverage):
    found = similarity(random_embedding(['a', 'b', 'c']), pairs)
    assert math.isnan(found['spearman']) and math.isnan(found['pearson'])
    assert found['coverage'] == coverage


@pytest.mark.peers
@pytest.mark.parametrize('casefold', [str.upper, str])
def test_similarity_is_gensims(tmp_path, casefold):
    embedding = random_embedding([f'w{i}' for i in range(40)] + ['W3', 'W5'])
    pairs = [
        (f'{"wW"[i % 2]}{i}', f'w{j}', float(DRAW.integers(10)))
        for i, j in random_pairs(44, 200)  # from 40 on unknown
    ]
    path = tmp_path / 'pairs'
    path.write_text(''.join(f'{a}\t{b}\t{score}\n' for a, b, score in pairs))
    theirs = keyed_vectors(embedding).evaluate_word_pairs(
        str(path), case_insensitive=casefold is str.upper
    )
    assert_same_correlations(similarity(embedding, pairs, casefold=casefold), theirs)
