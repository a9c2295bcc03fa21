"""Patterns against a plain search, associations against their definition."""

import numpy as np
import pytest

from genjax.data.text import read_corpus
from genjax.metrics.hearst import (
    PATTERNS,
    count_pairs,
    factors,
    find_pairs,
    ppmi,
    singular_forms,
    spmi,
)

TEXT = [
    'animals such as dogs eat',
    'cats and other animals sleep',
    'a dog is a animal',
    'such tools as hammers',
    'animals such as such as',
    'dogs',
    'and other animals',
]


def named(pairs, words):
    return [(words[x], words[y]) for x, y in pairs]


def test_patterns_find_what_they_say():
    corpus = read_corpus(TEXT, min_count=1)
    words = corpus.vocabulary.words
    assert named(find_pairs(corpus.ids, words), words) == [
        ('dogs', 'animals'),
        ('hammers', 'tools'),
        ('cats', 'animals'),
        ('dog', 'animal'),
    ]


def test_random_text_is_searched_as_by_a_plain_loop():
    draw = np.random.default_rng(0)
    words = ('is', 'a', 'other', 'and', 'such', 'as', 'dog', 'cat', 'pet', 'or')
    ids = draw.integers(-1, len(words), 12_000).astype(np.int32)
    inner = {word for pattern in PATTERNS for word in pattern.split()}
    expected = []
    for pattern in PATTERNS:
        parts = pattern.split()
        for i in range(len(ids) - len(parts) + 1):
            here = [words[k] if k >= 0 else None for k in ids[i : i + len(parts)]]
            slots = {part: word for part, word in zip(parts, here, strict=True) if part in 'XY'}
            fits = all(p in 'XY' or p == w for p, w in zip(parts, here, strict=True))
            things = all(word is not None and word not in inner for word in slots.values())
            if fits and things and slots['X'] != slots['Y']:
                expected.append((slots['X'], slots['Y']))
    assert len(expected) > 15
    assert named(find_pairs(ids, words), words) == expected


def test_singulars_are_words_of_the_vocabulary():
    words = ['dogs', 'dog', 'cities', 'city', 'boxes', 'box', 'glass', 'bus', 'unheards', 'gas']
    singulars = [words[i] for i in singular_forms(words)]
    assert singulars == [
        'dog',
        'dog',
        'city',
        'city',
        'box',
        'box',
        'glass',
        'bus',
        'unheards',
        'gas',
    ]


def test_associations_are_those_of_their_equations():
    draw = np.random.default_rng(1)
    pairs = draw.zipf(1.5, (600, 2)) % 12
    counts = count_pairs(pairs, 12)
    table = np.zeros((12, 12))
    for x, y in pairs:
        table[x, y] += 1
    np.testing.assert_array_equal(counts.toarray(), table)

    p = table / table.sum()
    chance = p.sum(1)[:, None] * p.sum(0)[None]
    expected = np.where(table > 0, np.log(np.where(table > 0, p, 1) / np.maximum(chance, 1e-9)), 0)
    expected = np.maximum(expected, 0)
    found = ppmi(counts)
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-12)

    u, sigma, vt = np.linalg.svd(expected)
    low_rank = (u[:, :4] * sigma[:4]) @ vt[:4]
    every = np.argwhere(np.ones((12, 12)))
    np.testing.assert_allclose(spmi(factors(found, rank=4), every), low_rank.ravel(), atol=1e-9)


def test_an_unseen_pair_is_told_by_like_words():
    """Words 0 to 2 are animals (4, 5), but 2 was never called a 5; 3 is a tool (6)."""
    pairs = [(0, 4), (0, 5), (1, 4), (1, 5), (2, 4)] + [(3, 6)] * 4
    matrix = ppmi(count_pairs(np.array(pairs), 7))
    assert matrix.toarray()[2, 5] == 0
    animal, tool = spmi(factors(matrix, rank=1), np.array([(2, 5), (2, 6)]))
    assert animal > 0.1 > abs(tool)


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(ValueError, match="the pattern 'X is' lacks X, the hyponym, or Y"):
        find_pairs(np.zeros(3, np.int32), ['is'], ['X is'])
    with pytest.raises(ValueError, match='rank is 3; 3 words allow 1 to 2'):
        factors(count_pairs(np.array([[0, 1]]), 3), rank=3)
