"""What a run reports of word vectors, and its answers."""

import numpy as np
import pytest

from genjax.data.words.vectors import from_binary, to_binary
from genjax.probes.words import (
    answers,
    capitals,
    embedder,
    embedding_measure,
    export,
    neighbours_and_scores,
    unseen_neighbours,
)

WORDS = ('king', 'queen', 'man', 'woman', 'x-ray')
VECTORS = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1], [-1, 0, 0]], np.float32)
EMBED = embedder(WORDS, lambda key, state: state)


def test_knowledge_has_scores_where_there_are_sets_and_always_neighbours():
    found = embedding_measure(EMBED, neighbours_and_scores(['king', 'kind'], k=1))(None, VECTORS)
    assert found == {
        'neighbours': [
            {'word': 'king', 'neighbours': 'man 0.71'},
            {'word': 'kind', 'neighbours': "'kind' is not in the vocabulary; close are 'king'"},
        ]
    }
    sets = {'royal': [('king', 'man', 3.0), ('king', 'queen', 2.0), ('man', 'woman', 1.0)]}
    questions = [('family', 'man', 'king', 'woman', 'queen')]
    found = embedding_measure(EMBED, neighbours_and_scores(['king'], sets, questions, k=1))(
        None, VECTORS
    )
    assert found['royal'] == pytest.approx(1) and found['analogies'] == 1


def test_the_exported_file_is_the_vectors():
    found = embedding_measure(EMBED, export(bin=to_binary), capitals)(None, VECTORS)
    assert from_binary(found['words.bin']).words == list(WORDS)
    np.testing.assert_array_equal(from_binary(found['words.bin']).vectors, VECTORS)
    assert found['projector'].words == WORDS
    assert found['capitals'].dtype == np.uint8


@pytest.mark.parametrize(
    ('question', 'expected'),
    [
        ('king', ['man']),
        ('king - man + woman', ['queen']),
        ('king -man +woman', ['queen']),
        ('x-ray', ['man']),
        ('woman, king - man + woman', ['queen', 'queen']),
    ],
)
def test_questions_are_answered_by_the_nearest_to_their_sum(question, expected):
    table = answers(EMBED, k=1)(None, VECTORS, question)['answers']
    assert [row['question'] for row in table] == [part.strip() for part in question.split(',')]
    assert [row['answer'].split()[0] for row in table] == expected


@pytest.mark.parametrize('question', ['kings', 'king - mann', '', 'king queen', 'king,'])
def test_an_unknown_word_is_told(question):
    with pytest.raises(ValueError, match='is not in the vocabulary'):
        answers(EMBED, k=1)(None, VECTORS, question)


def unseen(key, state, word):
    """`kings` lies between king and queen; other unseen words have no vector."""
    return state[:2].mean(0) if word == 'kings' else None


def test_an_unseen_word_is_answered_where_it_has_a_vector():
    answer = answers(EMBED, k=2, unseen=unseen)
    (row,) = answer(None, VECTORS, 'kings')['answers']
    assert row['answer'] == 'king 0.87, queen 0.87'
    (row,) = answer(None, VECTORS, 'kings - king')['answers']
    assert [name.split()[0] for name in row['answer'].split(', ')] == ['woman', 'queen']
    with pytest.raises(ValueError, match="'kinks' is not in the vocabulary; close are"):
        answer(None, VECTORS, 'kinks')


def test_the_neighbours_of_unseen_words_are_a_table():
    found = unseen_neighbours(EMBED, unseen, ['kings', 'queen', 'abc'], k=1)(None, VECTORS)
    assert found == {
        'unseen': [
            {'word': 'kings', 'neighbours': 'king 0.87'},
            {'word': 'queen', 'neighbours': 'woman 0.71'},
            {'word': 'abc', 'neighbours': "'abc' is not in the vocabulary"},
        ]
    }
