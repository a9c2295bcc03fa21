"""Word vectors with a known structure, and gensim's view of them, for the tests of word metrics."""

import itertools
import logging

import numpy as np
import pytest

from genjax.base import Embedding


def random_embedding(names, size=12, seed=1):
    rng = np.random.default_rng(seed)
    return Embedding(names, rng.normal(size=(len(names), size)).astype(np.float32))


def planted_analogies(noise):
    """Countries and capitals, adjectives and adverbs; second words are first ones plus an offset.

    Args:
      noise: standard deviation of what is added to second words.

    Returns:
      The Embedding, and all analogies of two pairs of a category.
    """
    rng = np.random.default_rng(5)
    names = []
    vectors = []
    questions = []
    for category in ('capitals', 'gram1-adverbs'):
        first = rng.normal(size=(8, 30))
        offset = rng.normal(size=30)
        second = first + offset + noise * rng.normal(size=(8, 30))
        first_names = [f'{category}a{i}' for i in range(8)]
        second_names = [f'{category}b{i}' for i in range(8)]
        names += [*first_names, *second_names]
        vectors += [*first, *second]
        pairs = [(a.title(), b.title()) for a, b in zip(first_names, second_names, strict=True)]
        questions += [(category, *pair, *other) for pair, other in itertools.permutations(pairs, 2)]
    return Embedding(names, np.array(vectors, np.float32)), questions


def keyed_vectors(embedding):
    """gensim's KeyedVectors of an Embedding."""
    from gensim.models import KeyedVectors

    logging.getLogger('gensim').setLevel(logging.ERROR)
    vectors = KeyedVectors(embedding.vectors.shape[1])
    vectors.add_vectors(list(embedding.words), embedding.vectors)
    return vectors


def section_counts(sections):
    """{category: (right, answered)} of gensim's sections of analogies."""
    return {
        section['section']: (
            len(section['correct']),
            len(section['correct']) + len(section['incorrect']),
        )
        for section in sections
    }


def assert_same_correlations(ours, theirs):
    """Sees that the figures of `similarity` are those of gensim's evaluate_word_pairs."""
    linear, ranked, unknown = theirs
    assert ours['pearson'] == pytest.approx(linear.statistic, abs=1e-6)
    assert ours['spearman'] == pytest.approx(ranked.statistic, abs=1e-6)
    assert ours['coverage'] == pytest.approx(1 - unknown / 100)
