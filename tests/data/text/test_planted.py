"""The planted analogies: exact in the grammar, and answered right from a sample, by numpy."""

import itertools
from collections import Counter

import numpy as np
import pytest

from genjax.data.text.planted import RELATIONS, analogies, planted, population


def ppmi(sentences):
    """Words and their table [V, V]: the positive part of log p(x, y) / p(x) p(y).

    Pairs are those of the words in a sentence.
    """
    pairs = Counter(pair for s in sentences for pair in itertools.permutations(s.split(), 2))
    words = sorted({x for x, _ in pairs})
    place = {word: i for i, word in enumerate(words)}
    joint = np.zeros((len(words), len(words)))
    for (x, y), count in pairs.items():
        joint[place[x], place[y]] = count
    joint /= joint.sum()
    with np.errstate(divide='ignore'):
        return words, np.maximum(np.log(joint / np.outer(joint.sum(1), joint.sum(0))), 0)


def answers(words, vectors):
    """The fourth word of each analogy by 3CosAdd over the whole vocabulary."""
    place = {word: i for i, word in enumerate(words)}
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    a, b, c = np.array([[place[word] for word in asked[1:4]] for asked in analogies()]).T
    cosine = (unit[b] - unit[a] + unit[c]) @ unit.T
    for known in (a, b, c):
        cosine[np.arange(len(known)), known] = -np.inf
    return [words[i] for i in cosine.argmax(1)]


def test_a_target_is_the_sum_of_its_topic_and_its_role():
    words, table = ppmi(population())
    row = dict(zip(words, table, strict=True))
    for _, a, b, c, d in analogies():
        np.testing.assert_allclose(row[b] - row[a], row[d] - row[c], rtol=0, atol=1e-12)
        assert np.linalg.norm(row[a]) == pytest.approx(np.linalg.norm(row[c]), rel=1e-12)
        assert np.linalg.norm(row[b] - row[a]) > 1


@pytest.mark.parametrize('sentences', [population(), planted(0, 20_000)[0], planted(1, 3_000)[0]])
def test_every_analogy_is_answered_however_the_table_is_factored(sentences):
    words, table = ppmi(sentences)
    left, value, _ = np.linalg.svd(table)
    for rank, power in itertools.product(
        [30, 100], [0, 0.5, 1]
    ):  # there are 24 topics and 7 roles in 3 relations
        assert answers(words, (left * value**power)[:, :rank]) == [d for *_, d in analogies()]


def test_no_word_plays_two_parts():
    parts = [
        word
        for roles, rows in RELATIONS
        for part in (*roles.values(), *rows, *rows.values())
        for word in part.split()
    ]
    assert len(set(parts)) == len(parts)
    assert set(parts) == {word for sentence in population() for word in sentence.split()}


def test_every_relation_asks_every_two_rows():
    asked = Counter(category for category, *_ in analogies())
    assert asked == {'capital': 56, 'female': 56, 'comparative': 56, 'superlative': 56}
    assert ('capital', 'france', 'paris', 'england', 'london') in analogies()
    assert ('superlative', 'cold', 'coldest', 'big', 'biggest') in analogies()
    assert len(set(analogies())) == 224


def test_the_draw_is_uniform_and_a_function_of_the_seed():
    grammar = population()
    sentences, _ = planted(3, 50 * len(grammar))
    counts = Counter(sentences)
    assert len(grammar) == len(set(grammar)) == len(counts)
    statistic = sum((count - 50) ** 2 / 50 for count in counts.values())
    assert (
        abs(statistic - len(grammar)) < 5 * (2 * len(grammar)) ** 0.5
    )  # chi-square: mean k, variance 2 k
    assert planted(3, 100)[0] == sentences[:100] != planted(4, 100)[0]
    assert sentences[:3] == [
        'still faster than',
        'his father him',
        'cradle father parent',
    ]  # on every platform
