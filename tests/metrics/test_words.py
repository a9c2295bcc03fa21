"""What word vectors know: against scipy, plain loops, planted answers, and gensim."""

import functools
import itertools
import logging
import math

import numpy as np
import pytest
import scipy.stats

from genjax.base import Embedding
from genjax.data.words.sets import read_sets
from genjax.metrics import words as module
from genjax.metrics.analogies import (
    Section,
    accuracies,
    analogies,
    analogy_table,
    three_cos_add,
    three_cos_mul,
)
from genjax.metrics.similarity import similarity, spearman
from genjax.metrics.words import scores

DRAW = np.random.default_rng(0)


def random_embedding(names, size=12, seed=1):
    draw = np.random.default_rng(seed)
    return Embedding(names, draw.normal(size=(len(names), size)).astype(np.float32))


@pytest.mark.parametrize('values', [3, 10, 10**9])
def test_spearman_is_scipys_with_ties(values):
    x, y = DRAW.integers(0, values, (2, 500))
    y = y + x // 2
    assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)


def test_spearman_sees_order_alone():
    x = DRAW.normal(size=100)
    assert spearman(x, np.exp(x)) == pytest.approx(1)
    assert spearman(x, -(x**3)) == pytest.approx(-1)


def test_similarity_is_the_correlation_of_cosines_with_scores():
    embedding = random_embedding([f'w{i}' for i in range(40)])
    places = DRAW.permutation(list(itertools.combinations(range(40), 2)))[
        :100
    ]  # a word with itself ties by rounding
    cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    cosines = [cosine(*embedding.vectors[[i, j]].astype(float)) for i, j in places]
    people = np.round(cosines + DRAW.normal(size=100), 1)
    pairs = [(f'W{i}', f'w{j}', score) for (i, j), score in zip(places, people, strict=True)]
    found = similarity(embedding, [*pairs, ('w1', 'unknown', 3.0)] + [('unknown', 'w1', 9.0)] * 24)
    assert found['spearman'] == pytest.approx(
        scipy.stats.spearmanr(cosines, people).statistic, abs=1e-6
    )
    assert found['pearson'] == pytest.approx(
        scipy.stats.pearsonr(cosines, people).statistic, abs=1e-6
    )
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


def by_hand(embedding, questions, restrict, score, fold):
    """Each question by a loop over words in float64: {question: right}, of those that are answered."""
    names = list(embedding.words)[:restrict]
    vectors = embedding.vectors[:restrict].astype(float)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    table = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    first = lambda word: next((i for i, name in enumerate(names) if fold(name) == fold(word)), None)
    right = {}
    for question in questions:
        places = [first(word) for word in question[1:]]
        if None in places:
            continue
        values = score(*(table @ table[i] for i in places[:3]))
        given = {fold(word) for word in question[1:4]}
        best = max(
            (i for i, name in enumerate(names) if fold(name) not in given),
            key=lambda i: (values[i], -i),
        )
        right[question] = fold(names[best]) == fold(question[4])
    return right


def noisy_questions(count=500, kinds=40, seed=3):
    """Words in pairs about a common offset, with other cases of some of them, and questions with
    unknown words."""
    draw = np.random.default_rng(seed)
    first = draw.normal(size=(kinds, 6))
    second = first + draw.normal(size=6) * 0.7 + draw.normal(size=(kinds, 6)) * 0.4
    names = (
        [f'{side}{i}' for i in range(kinds) for side in 'ab']
        + [f'A{i}' for i in range(0, kinds, 3)]
        + ['nil']
    )
    vectors = np.stack([first, second], 1).reshape(-1, 6)
    variants = first[::3] + draw.normal(size=first[::3].shape) * 0.3
    order = draw.permutation(len(names))
    table = np.concatenate([vectors, variants, np.zeros((1, 6))])[order].astype(np.float32)
    pairs = draw.integers(0, kinds + 3, (count, 2))  # beyond the kinds are unknown words
    questions = [
        ('gram1' if i % 3 else 'places', f'a{i}', f'b{i}', f'A{j}', f'B{j}')
        for i, j in pairs.tolist()
    ]
    return Embedding([names[i] for i in order], table), list(dict.fromkeys(questions))


@pytest.mark.parametrize('restrict', [None, 70])
@pytest.mark.parametrize('score', [three_cos_add, three_cos_mul])
@pytest.mark.parametrize('fold', [str.upper, str])
@pytest.mark.parametrize(
    'sizes', [(512, 2048), (16, 7)]
)  # one block of each, and many with a remainder
def test_analogies_are_a_loop_over_words(restrict, score, fold, sizes, monkeypatch):
    monkeypatch.setattr(module, 'BLOCK', sizes[0])
    monkeypatch.setattr(module, 'COLUMNS', sizes[1])
    module._answers.clear_cache()
    embedding, questions = noisy_questions()
    if fold is str:
        questions = [(category, a, b, c.lower(), d.lower()) for category, a, b, c, d in questions]
    right = by_hand(embedding, questions, restrict, score, fold)
    expected = [
        Section(
            category,
            sum(right.get(question, False) for question in asked),
            sum(question in right for question in asked),
            len(asked),
        )
        for category in dict.fromkeys(question[0] for question in questions)
        if (asked := [question for question in questions if question[0] == category])
    ]
    found = analogies(embedding, questions, restrict=restrict, score=score, fold=fold)
    assert found == expected
    assert 10 < sum(section.right for section in found) < sum(section.answered for section in found)


def planted(noise):
    """Countries and capitals, adjectives and adverbs: each second word is its first and an offset,
    and noise."""
    draw = np.random.default_rng(5)
    names, vectors, questions = [], [], []
    for category in ('capitals', 'gram1-adverbs'):
        first, offset = draw.normal(size=(8, 30)), draw.normal(size=30)
        second = first + offset + noise * draw.normal(size=(8, 30))
        names += [f'{category}{side}{i}' for side in 'ab' for i in range(8)]
        vectors += [*first, *second]
        word = lambda side, i, category=category: f'{category}{side}{i}'.title()
        pairs = itertools.permutations(range(8), 2)
        questions += [
            (category, word('a', i), word('b', i), word('a', j), word('b', j)) for i, j in pairs
        ]
    return Embedding(names, np.array(vectors, np.float32)), questions


def test_planted_analogies_are_all_answered_right():
    rows, numbers = analogy_table(
        *planted(0.0), restrict=16
    )  # half of the words: of the capitals all
    halves = {'capitals': (56, 56, '1.000'), 'gram1-adverbs': (0, 56, 'nan')}
    for row in rows:
        restricted, whole, accuracy = halves[row['category']]
        assert (row['asked'], row['restricted_answered'], row['whole_answered']) == (
            56,
            restricted,
            whole,
        )
        assert (row['restricted_add'], row['restricted_mul']) == (accuracy, accuracy)
        assert (row['whole_add'], row['whole_mul']) == ('1.000', '1.000')
    for rule in ('add', 'mul'):
        assert (
            numbers[f'whole_{rule}']
            == numbers[f'whole_{rule}_semantic']
            == numbers[f'whole_{rule}_syntactic']
            == 1
        )
        assert numbers[f'restricted_{rule}'] == numbers[f'restricted_{rule}_semantic'] == 1
        assert math.isnan(numbers[f'restricted_{rule}_syntactic'])
    assert (numbers['whole_coverage'], numbers['restricted_coverage']) == (1, 0.5)


def test_a_question_word_is_no_answer_and_the_earlier_word_wins_a_tie():
    axes = np.eye(4, dtype=np.float32)
    embedding = Embedding(['a', 'b', 'c', 'D', 'd', 'e'], axes[[0, 1, 2, 3, 3, 3]])
    ask = lambda *question: (
        analogies(embedding, [('x', *question)], score=lambda a, b, c: 0 * a)[0].right
    )
    assert ask('a', 'b', 'c', 'd') == 1  # of D, d and e, which all score 0
    assert ask('a', 'b', 'c', 'e') == 0
    assert ask('a', 'b', 'd', 'e') == 0 and ask('a', 'b', 'd', 'c') == 1  # neither D nor d answers
    assert ask('a', 'b', 'c', 'c') == 0
    alone = embedding._replace(words=['a', 'b', 'c'], vectors=axes[:3])
    assert analogies(alone, [('x', 'a', 'b', 'c', 'a')]) == [
        Section('x', 0, 1, 1)
    ]  # no word is left to answer


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


def test_scores_have_every_figure_and_the_mean_of_four():
    embedding, questions = planted(0.5)
    draw = np.random.default_rng(6)
    names = embedding.words
    pairs = lambda: [(names[i], names[j], draw.normal()) for i, j in draw.integers(0, 32, (50, 2))]
    sets = {name: pairs() for name in ('men', 'wordsim353', 'simlex999', 'rg65')}
    found = scores(embedding, sets, questions)
    for name, content in sets.items():
        assert found[name] == similarity(embedding, content)['spearman']
        assert found[f'{name}_coverage'] == 1
    for name, value in analogy_table(embedding, questions)[1].items():
        assert found[f'analogies_{name}'] == value
    assert found['analogies'] == found['analogies_restricted_add']
    four = [found[name] for name in ('men', 'wordsim353', 'simlex999', 'analogies')]
    assert found['mean'] == pytest.approx(np.mean(four))
    assert 'mean' not in scores(embedding, sets)
    assert all(isinstance(value, float) for value in found.values())


@pytest.fixture
def gensim_of():
    """Embedding -> gensim's KeyedVectors."""
    from gensim.models import KeyedVectors

    logging.getLogger('gensim').setLevel(logging.ERROR)

    def made(embedding):
        vectors = KeyedVectors(embedding.vectors.shape[1])
        vectors.add_vectors(list(embedding.words), embedding.vectors)
        return vectors

    return made


def counts(sections):
    return {
        s['section']: (len(s['correct']), len(s['correct']) + len(s['incorrect'])) for s in sections
    }


def write_questions(path, questions):
    lines = [
        f': {category}\n' + ''.join(f'{" ".join(question[1:])}\n' for question in group)
        for category, group in itertools.groupby(
            sorted(questions), key=lambda question: question[0]
        )
    ]
    path.write_text(''.join(lines))
    return str(path)


@pytest.mark.peers
@pytest.mark.parametrize('fold', [str.upper, str])
@pytest.mark.parametrize('restrict', [70, 300_000])
def test_analogies_are_gensims(tmp_path, gensim_of, fold, restrict):
    embedding, questions = noisy_questions()
    keep = np.array(embedding.words) != 'nil'  # gensim divides by its length
    embedding = Embedding(
        [word for word in embedding.words if word != 'nil'], embedding.vectors[keep]
    )
    path = write_questions(tmp_path / 'q', questions)
    theirs, sections = gensim_of(embedding).evaluate_word_analogies(
        path, restrict_vocab=restrict, case_insensitive=fold is str.upper
    )
    ours = analogies(embedding, questions, restrict=restrict, fold=fold)
    expected = counts(sections[:-1])
    assert {s.category: (s.right, s.answered) for s in ours} == expected
    if fold is str.upper:
        assert accuracies(ours)['accuracy'] == pytest.approx(theirs, abs=1e-6)
        assert theirs > 0.1


@pytest.mark.peers
@pytest.mark.filterwarnings('ignore:Call to deprecated `init_sims`')  # by gensim itself
def test_three_cos_mul_is_gensims_most_similar_cosmul(gensim_of):
    """gensim's epsilon is a millionth, and it asks the whole vocabulary."""
    embedding, questions = noisy_questions()
    keep = [i for i, word in enumerate(embedding.words) if word != 'nil' and word[0] in 'ab']
    embedding = Embedding([embedding.words[i] for i in keep], embedding.vectors[keep])
    vectors, known = gensim_of(embedding), set(embedding.words)
    questions = [('x', *(word.lower() for word in question[1:])) for question in questions]
    questions = [q for q in dict.fromkeys(questions) if set(q[1:]) <= known and q[1] != q[3]]
    answer = lambda q: vectors.most_similar_cosmul(positive=[q[2], q[3]], negative=[q[1]], topn=1)[
        0
    ][0]
    right = sum(answer(question) == question[4] for question in questions)
    rule = functools.partial(three_cos_mul, epsilon=1e-6)
    assert analogies(embedding, questions, score=rule, fold=str) == [
        Section('x', right, len(questions), len(questions))
    ]
    assert right > 10


@pytest.mark.peers
@pytest.mark.parametrize('fold', [str.upper, str])
def test_similarity_is_gensims(tmp_path, gensim_of, fold):
    names = [f'w{i}' for i in range(40)] + ['W3', 'W5']
    embedding = random_embedding(names)
    places = DRAW.permutation(list(itertools.combinations(range(44), 2)))[
        :200
    ].tolist()  # from 40 on unknown
    pairs = [(f'{"wW"[i % 2]}{i}', f'w{j}', float(DRAW.integers(10))) for i, j in places]
    path = tmp_path / 'pairs'
    path.write_text(''.join(f'{a}\t{b}\t{score}\n' for a, b, score in pairs))
    theirs = gensim_of(embedding).evaluate_word_pairs(str(path), case_insensitive=fold is str.upper)
    assert_same_correlations(similarity(embedding, pairs, fold=fold), theirs)


def assert_same_correlations(ours, theirs):
    linear, ranked, unknown = theirs
    assert ours['pearson'] == pytest.approx(linear.statistic, abs=1e-6)
    assert ours['spearman'] == pytest.approx(ranked.statistic, abs=1e-6)
    assert ours['coverage'] == pytest.approx(1 - unknown / 100)


def trained(folder, gensim, count=12_000):
    """gensim's vectors of the first sentences of the corpus, an epoch: seconds, and better than
    chance."""
    import lzma

    with lzma.open(folder / 'text' / 'corpus.txt.xz', 'rt') as file:
        sentences = [line.split() for line in itertools.islice(file, count)]
    model = gensim.models.Word2Vec(
        sentences, vector_size=50, min_count=3, workers=1, epochs=5, sg=1, seed=1
    )
    return Embedding(model.wv.index_to_key, model.wv.vectors), model.wv


@pytest.mark.peers
@pytest.mark.slow
def test_real_sets_on_real_vectors_are_gensims(real_data, tmp_path):
    import gensim

    logging.getLogger('gensim').setLevel(logging.ERROR)
    embedding, vectors = trained(real_data, gensim)
    sets = read_sets(real_data / 'words')
    path = str(real_data / 'words' / 'questions-words.txt')
    for restrict in (3_000, 300_000):
        score, sections = vectors.evaluate_word_analogies(path, restrict_vocab=restrict)
        ours = analogies(embedding, sets.analogies, restrict=restrict)
        assert {s.category: (s.right, s.answered) for s in ours} == counts(sections[:-1])
        assert accuracies(ours)['accuracy'] == pytest.approx(score, abs=1e-6)
    for name in ('men', 'simlex999', 'rg65'):
        plain = tmp_path / name
        plain.write_text(''.join(f'{a}\t{b}\t{score}\n' for a, b, score in sets.similarity[name]))
        assert_same_correlations(
            similarity(embedding, sets.similarity[name]), vectors.evaluate_word_pairs(str(plain))
        )
