"""Analogies of word vectors: against loops over words, planted answers, and gensim."""

import functools
import itertools
import math

import numpy as np
import pytest

from genjax.base import Embedding
from genjax.metrics import analogies as module
from genjax.metrics.analogies import (
    Section,
    accuracies,
    analogies,
    analogy_table,
    three_cos_add,
    three_cos_mul,
)
from tests.metrics.word_vectors import keyed_vectors, planted_analogies, section_counts


def by_hand(embedding, questions, restrict, score, casefold):
    """{question: right} of those that are answered, by a loop over words in float64."""
    names = list(embedding.words)[:restrict]
    vectors = embedding.vectors[:restrict].astype(float)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    table = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)

    def first(word):
        return next((i for i, name in enumerate(names) if casefold(name) == casefold(word)), None)

    right = {}
    for question in questions:
        places = [first(word) for word in question[1:]]
        if None in places:
            continue
        a, b, c, _ = places
        values = score(table @ table[a], table @ table[b], table @ table[c])
        given = {casefold(word) for word in question[1:4]}
        allowed = [i for i, name in enumerate(names) if casefold(name) not in given]
        best = max(allowed, key=lambda i: (values[i], -i))
        right[question] = casefold(names[best]) == casefold(question[4])
    return right


def noisy_questions(count=500, kinds=40, seed=3):
    """Words in pairs about a common offset, and questions, some of them with unknown words.

    Some words occur in capitals too, and the word nil has length zero.
    """
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(kinds, 6))
    second = first + rng.normal(size=6) * 0.7 + rng.normal(size=(kinds, 6)) * 0.4
    names = [f'{side}{i}' for i in range(kinds) for side in 'ab']
    names += [f'A{i}' for i in range(0, kinds, 3)]
    names += ['nil']
    vectors = np.stack([first, second], 1).reshape(-1, 6)
    variants = first[::3] + rng.normal(size=first[::3].shape) * 0.3
    order = rng.permutation(len(names))
    table = np.concatenate([vectors, variants, np.zeros((1, 6))])[order].astype(np.float32)
    pairs = rng.integers(0, kinds + 3, (count, 2))  # beyond the kinds are unknown words
    questions = [
        ('gram1' if i % 3 else 'places', f'a{i}', f'b{i}', f'A{j}', f'B{j}')
        for i, j in pairs.tolist()
    ]
    return Embedding([names[i] for i in order], table), list(dict.fromkeys(questions))


@pytest.mark.parametrize('restrict', [None, 70])
@pytest.mark.parametrize('score', [three_cos_add, three_cos_mul])
@pytest.mark.parametrize('casefold', [str.upper, str])
# One block of each, and many with a remainder.
@pytest.mark.parametrize(('block', 'columns'), [(512, 2048), (16, 7)])
def test_analogies_are_a_loop_over_words(restrict, score, casefold, block, columns, monkeypatch):
    monkeypatch.setattr(module, 'BLOCK', block)
    monkeypatch.setattr(module, 'COLUMNS', columns)
    module._answers.clear_cache()
    embedding, questions = noisy_questions()
    if casefold is str:
        questions = [(category, a, b, c.lower(), d.lower()) for category, a, b, c, d in questions]
    right = by_hand(embedding, questions, restrict, score, casefold)
    expected = []
    for category in dict.fromkeys(question[0] for question in questions):
        asked = [question for question in questions if question[0] == category]
        answered = [question for question in asked if question in right]
        count = sum(right[question] for question in answered)
        expected.append(Section(category, count, len(answered), len(asked)))
    found = analogies(embedding, questions, restrict=restrict, score=score, casefold=casefold)
    assert found == expected
    assert 10 < sum(section.right for section in found) < sum(section.answered for section in found)


def test_planted_analogies_are_all_answered_right():
    # Half of the words, which are all of the capitals and none of the adverbs.
    rows, numbers = analogy_table(*planted_analogies(0.0), restrict=16)
    restricted = {'capitals': (56, '1.000'), 'gram1-adverbs': (0, 'nan')}
    for row in rows:
        answered, accuracy = restricted[row['category']]
        assert row['asked'] == row['whole_answered'] == 56
        assert row['restricted_answered'] == answered
        assert (row['restricted_add'], row['restricted_mul']) == (accuracy, accuracy)
        assert (row['whole_add'], row['whole_mul']) == ('1.000', '1.000')
    for rule in ('add', 'mul'):
        for name in ('', '_semantic', '_syntactic'):
            assert numbers[f'whole_{rule}{name}'] == 1
        for name in ('', '_semantic'):
            assert numbers[f'restricted_{rule}{name}'] == 1
        assert math.isnan(numbers[f'restricted_{rule}_syntactic'])
    assert (numbers['whole_coverage'], numbers['restricted_coverage']) == (1, 0.5)


def test_a_question_word_is_no_answer_and_the_earlier_word_wins_a_tie():
    axes = np.eye(4, dtype=np.float32)
    embedding = Embedding(['a', 'b', 'c', 'D', 'd', 'e'], axes[[0, 1, 2, 3, 3, 3]])

    def no_score(a, b, c):
        return 0 * a

    def ask(*question):
        (section,) = analogies(embedding, [('x', *question)], score=no_score)
        return section.right

    assert ask('a', 'b', 'c', 'd') == 1  # of D, d and e, which all score 0
    assert ask('a', 'b', 'c', 'e') == 0
    assert ask('a', 'b', 'd', 'e') == 0 and ask('a', 'b', 'd', 'c') == 1  # neither D nor d answers
    assert ask('a', 'b', 'c', 'c') == 0
    alone = embedding._replace(words=['a', 'b', 'c'], vectors=axes[:3])
    no_word_left = analogies(alone, [('x', 'a', 'b', 'c', 'a')])
    assert no_word_left == [Section('x', 0, 1, 1)]


def test_three_cos_mul_is_its_formula():
    """Levy and Goldberg 2014: cosines 1, 0 and -1 shift to 1, 1/2 and 0."""
    cosines = np.array([1.0, 0.0, -1.0])
    assert three_cos_mul(*cosines[[1, 0, 0]]) == pytest.approx(1 / 0.501)
    assert three_cos_mul(*cosines[[2, 1, 1]]) == pytest.approx(0.25 / 0.001)
    assert three_cos_mul(*cosines[[0, 0, 1]], epsilon=0.0) == pytest.approx(0.5)


def test_shares_are_of_answers_and_of_questions():
    found = accuracies(
        [Section('family', 3, 4, 10), Section('gram2', 1, 6, 10), Section('currency', 0, 0, 5)]
    )
    assert found == {'accuracy': 0.4, 'semantic': 0.75, 'syntactic': 1 / 6, 'coverage': 0.4}
    nothing = accuracies([])
    assert nothing['coverage'] == 0 and math.isnan(nothing['accuracy'])


def write_questions(path, questions):
    """Questions in gensim's format."""
    lines = []
    for category, group in itertools.groupby(sorted(questions), key=lambda question: question[0]):
        lines.append(f': {category}\n')
        lines += [f'{" ".join(question[1:])}\n' for question in group]
    path.write_text(''.join(lines))
    return str(path)


@pytest.mark.peers
@pytest.mark.parametrize('casefold', [str.upper, str])
@pytest.mark.parametrize('restrict', [70, 300_000])
def test_analogies_are_gensims(tmp_path, casefold, restrict):
    embedding, questions = noisy_questions()
    # gensim divides by the length of nil.
    keep = [i for i, word in enumerate(embedding.words) if word != 'nil']
    embedding = Embedding([embedding.words[i] for i in keep], embedding.vectors[keep])
    path = write_questions(tmp_path / 'q', questions)
    theirs, sections = keyed_vectors(embedding).evaluate_word_analogies(
        path, restrict_vocab=restrict, case_insensitive=casefold is str.upper
    )
    ours = analogies(embedding, questions, restrict=restrict, casefold=casefold)
    expected = section_counts(sections[:-1])
    assert {s.category: (s.right, s.answered) for s in ours} == expected
    if casefold is str.upper:
        assert accuracies(ours)['accuracy'] == pytest.approx(theirs, abs=1e-6)
        assert theirs > 0.1


@pytest.mark.peers
@pytest.mark.filterwarnings('ignore:Call to deprecated `init_sims`')  # by gensim itself
def test_three_cos_mul_is_gensims_most_similar_cosmul():
    """gensim's epsilon is a millionth, and it asks the whole vocabulary."""
    embedding, questions = noisy_questions()
    keep = [i for i, word in enumerate(embedding.words) if word != 'nil' and word[0] in 'ab']
    embedding = Embedding([embedding.words[i] for i in keep], embedding.vectors[keep])
    vectors, known = keyed_vectors(embedding), set(embedding.words)
    questions = [('x', *(word.lower() for word in question[1:])) for question in questions]
    questions = [q for q in dict.fromkeys(questions) if set(q[1:]) <= known and q[1] != q[3]]

    def answer(q):
        return vectors.most_similar_cosmul(positive=[q[2], q[3]], negative=[q[1]], topn=1)[0][0]

    right = sum(answer(question) == question[4] for question in questions)
    rule = functools.partial(three_cos_mul, epsilon=1e-6)
    assert analogies(embedding, questions, score=rule, casefold=str) == [
        Section('x', right, len(questions), len(questions))
    ]
    assert right > 10
