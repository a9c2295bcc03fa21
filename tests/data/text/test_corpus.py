"""Reading a text, against a definition that keeps all of it in memory; holding out; refusals."""

import gzip
import io
import subprocess
import sys
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from genjax.data.text import (
    SEPARATOR,
    Vocabulary,
    blocks,
    hold_out,
    joined,
    read_corpus,
    sources,
)
from tests.data.text.texts import LECTURE, random_sentences, refusal, sentences


def test_the_lectures_corpus():
    corpus = read_corpus(LECTURE, min_count=1)
    assert corpus.vocabulary.words == ('i', 'like', 'deep', 'enjoy', 'flying', 'learning', 'nlp')
    assert corpus.vocabulary.counts.tolist() == [3, 2, 1, 1, 1, 1, 1]
    assert corpus.ids.tolist() == [0, 1, 2, 5, -1, 0, 1, 6, -1, 0, 3, 4, -1]


@pytest.mark.parametrize('unknown', [None, 'w3', '<other>'])
@pytest.mark.parametrize('max_size', [None, 2, 30])
@pytest.mark.parametrize('min_count', [1, 5])
def test_reading_equals_its_definition(min_count, max_size, unknown):
    lines = [line.split() for line in random_sentences(0)]
    counts = Counter(word for line in lines for word in line)
    kept = sorted(
        (w for w in counts if counts[w] >= min_count and w != unknown),
        key=lambda w: (-counts[w], w),
    )
    if unknown is not None:
        kept = kept if max_size is None else kept[: max_size - 1]
        lines = [[word if word in kept else unknown for word in line] for line in lines]
        counts = Counter(word for line in lines for word in line)
        kept = sorted([*kept, unknown], key=lambda w: (-counts[w], w))
    kept = kept[:max_size]
    lines = [[word for word in line if word in kept] for line in lines]

    corpus = read_corpus(
        random_sentences(0),
        min_count=min_count,
        max_size=max_size,
        unknown=unknown,
        tokenize=str.split,
    )
    assert list(corpus.vocabulary.words) == kept
    assert corpus.vocabulary.counts.tolist() == [counts[word] for word in kept]
    assert corpus.vocabulary.counts.dtype == np.int64
    assert sentences(corpus) == [line for line in lines if line]


def test_ids_fall_in_frequency_and_count_what_the_corpus_holds():
    corpus = read_corpus(random_sentences(1))
    counts = np.bincount(corpus.ids[corpus.ids >= 0])
    np.testing.assert_array_equal(counts, corpus.vocabulary.counts)
    assert (np.diff(counts) <= 0).all()


def test_an_unknown_word_has_a_place_even_where_nothing_is_unknown():
    vocabulary = read_corpus(LECTURE, min_count=1, unknown='<unk>').vocabulary
    assert (vocabulary.words[-1], vocabulary.counts[-1]) == ('<unk>', 0)


@pytest.mark.parametrize('unknown', [None, 'like'])
def test_a_text_is_read_with_the_vocabulary_of_another(unknown):
    vocabulary = read_corpus(LECTURE, min_count=1).vocabulary
    corpus = read_corpus(
        ['We like flying, I think', 'so do they'],
        vocabulary=vocabulary,
        unknown=unknown,
        min_count=9,
    )
    assert corpus.vocabulary is vocabulary
    known = [['like', 'flying', 'i']]
    with_unknown = [['like', 'like', 'flying', 'i', 'like'], ['like', 'like', 'like']]
    assert sentences(corpus) == (known if unknown is None else with_unknown)


def test_fingerprint_tells_ids_and_words():
    corpora = [
        read_corpus(text, min_count=1)
        for text in (LECTURE, LECTURE[::-1], ['You like deep learning'])
    ]
    corpora += [
        corpora[0]._replace(vocabulary=corpora[0].vocabulary._replace(words=tuple('abcdefg')))
    ]
    assert len({corpus.fingerprint for corpus in corpora}) == 4
    assert read_corpus(LECTURE, min_count=1).fingerprint == corpora[0].fingerprint


@pytest.mark.parametrize('length', [10, 1000])
def test_memory_holds_ids_and_not_the_text(tmp_path, monkeypatch, length):
    """A text of 10 MB in words of 100 letters, in lines of 1 KB or 100 KB: its ids take 0.4 MB."""
    monkeypatch.setattr(blocks, 'BLOCK', 2**18)
    monkeypatch.setattr(sources, 'AHEAD', 2**18)
    draw = np.random.default_rng(0)
    words = [f'{i:02}' * 50 for i in range(100)]
    with gzip.open(tmp_path / 'x.gz', 'wt', 1) as file:
        for i in range(100_000 // length):
            line = ' '.join(words[j] for j in draw.integers(0, 100, length))
            file.write(line + '\n '[i % 2])
    (tmp_path / 'y').write_text('a b')
    read_corpus(tmp_path / 'y', min_count=1)  # imports what reading imports

    tracemalloc.start()
    try:
        corpus = read_corpus(tmp_path / 'x.gz')
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (corpus.ids >= 0).sum() == 100_000
    assert peak < 5e6


@pytest.mark.slow
def test_21_million_words(real_data):
    corpus = read_corpus(real_data / 'text' / 'corpus.txt.xz', min_count=1, tokenize=str.split)
    assert (corpus.ids >= 0).sum() == 20_956_503
    assert (corpus.ids == SEPARATOR).sum() == 911_744
    counts = corpus.vocabulary.counts
    assert [(counts >= n).sum() for n in (1, 5, 10, 20)] == [293_473, 84_444, 57_251, 39_468]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_long_read_shows_its_progress_on_a_terminal_only(monkeypatch, capsys):
    read_corpus(LECTURE, min_count=1)
    assert capsys.readouterr().err == ''
    monkeypatch.setattr(sys, 'stderr', Terminal())
    read_corpus(LECTURE, min_count=1)
    assert sys.stderr.getvalue().startswith(
        '\r\x1b[Kreading  5 words'
    ) and sys.stderr.getvalue().endswith('words/s\n')


def test_reading_does_without_jax_and_tfds():
    code = (
        'import sys; from genjax.data.text import read_corpus, tokens; read_corpus(["a b"], '
        'min_count=1); print({"jax", "tensorflow_datasets"} & set(sys.modules))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout == 'set()\n', done.stdout + done.stderr


# Holding out


@pytest.mark.parametrize(('words', 'runs'), [(90, 1), (3000, 30), (20_000, 100)])
def test_held_out_sentences_are_whole_and_taken_from_everywhere(words, runs):
    corpus = read_corpus([f's{i} ' + 'w ' * (i % 9) for i in range(40_000)], min_count=1)
    train, test = hold_out(corpus, words=words)
    assert train.vocabulary is test.vocabulary is corpus.vocabulary
    whole = sentences(corpus)
    left = sentences(train)
    out = sentences(test)
    taken = np.isin([sentence[0] for sentence in whole], [sentence[0] for sentence in out])
    assert [s for s, t in zip(whole, taken, strict=True) if t] == out
    assert [s for s, t in zip(whole, taken, strict=True) if not t] == left
    assert abs(sum(map(len, out)) - words) <= 9 * runs  # a run ends within a sentence
    begins = np.flatnonzero(np.diff(taken, prepend=False) & taken)
    np.testing.assert_allclose(begins, np.arange(runs) * 40_000 / runs, atol=9)


@pytest.mark.parametrize('words', [0, -1, 10, 1000])
def test_too_much_or_nothing_held_out_is_refused(words):
    with pytest.raises(
        ValueError,
        match=rf'^words to hold out are {words:,}; at least 1 of 10, and not every sentence$',
    ):
        hold_out(read_corpus(LECTURE, min_count=1), words=words)


def test_the_smallest_corpus_is_parted():
    train, test = hold_out(read_corpus(LECTURE, min_count=1), words=1)
    assert sentences(test) == [['i', 'like', 'deep', 'learning']] and len(sentences(train)) == 2


@pytest.mark.parametrize('words', [500, 2000, 20_000, 40_000])
def test_of_long_sentences_about_as_much_is_held_out(words):
    """Fifty sentences of 1,000 words, as a long line gives: a run is a sentence at the least."""
    train, test = hold_out(read_corpus(['w v ' * 500] * 50, min_count=1), words=words)
    assert (test.ids >= 0).sum() == max(words, 1000) and (train.ids >= 0).sum() == 50_000 - max(
        words, 1000
    )


# What is refused


@pytest.mark.parametrize(
    ('source', 'options', 'message'),
    [
        (LECTURE, {'min_count': 0}, 'min_count is 0; it must be at least 1'),
        (LECTURE, {'max_size': 1}, 'max_size is 1; a vocabulary needs at least 2 words'),
        ([' ', '...'], {}, 'the text has no words'),
        ([], {}, 'the text has no words'),
        (
            LECTURE,
            {},
            'the text has 7 different words, 0 of them kept at min_count 5; '
            'a vocabulary needs at least 2',
        ),
        (
            ['a a a b'],
            {'min_count': 2},
            'the text has 2 different words, 1 of them kept at min_count 2; '
            'a vocabulary needs at least 2',
        ),
    ],
)
def test_texts_and_numbers_that_make_no_vocabulary(source, options, message):
    assert refusal(ValueError, source, **options) == message


def test_a_vocabulary_given_that_does_not_fit():
    vocabulary = Vocabulary(('x', 'y'), np.array([2, 1]))
    assert refusal(ValueError, LECTURE, vocabulary=vocabulary).endswith(
        'none of the 2 words of the vocabulary given'
    )
    single = Vocabulary(('x',), np.array([2]))
    assert (
        refusal(ValueError, LECTURE, vocabulary=single)
        == 'the vocabulary given has 1 words; at least 2 are needed'
    )
    expected = "unknown is '?', which the vocabulary given does not have"
    assert refusal(ValueError, LECTURE, vocabulary=vocabulary, unknown='?') == expected


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / 'empty').touch()
    assert refusal(ValueError, tmp_path / 'empty') == f'{tmp_path / "empty"} has no words'


def test_sentences_are_joined_by_a_word():
    corpus = read_corpus(['b a', 'a', 'a a b'], min_count=1)
    found = joined(corpus, 'b')
    assert [found.vocabulary.words[i] for i in found.ids] == list('bababaabb')
    assert corpus.ids.tolist().count(SEPARATOR) == 3
    with pytest.raises(ValueError, match="^sentences are joined by '_', which the vocabulary does"):
        joined(corpus, '_')
