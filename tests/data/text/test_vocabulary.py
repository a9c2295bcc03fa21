"""Vocabularies as files: what is written is read, and what is damaged is named."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from genjax.data.text import Vocabulary, read_vocabulary, write_vocabulary
from genjax.data.text.vocabulary import ESCAPED


def test_a_vocabulary_returns_from_its_file(tmp_path):
    words = 'the', "o'brien", 'naïve', '語', 'a\u2028b', 'two words', 'tab\tin it', '#', '"'
    vocabulary = Vocabulary(words, np.array([10**12, 9, 8, 7, 6, 5, 4, 3, 0]))
    write_vocabulary(tmp_path / 'v.tsv', vocabulary)
    assert (tmp_path / 'v.tsv').read_bytes().startswith(b"the\t1000000000000\no'brien\t9\n")
    back = read_vocabulary(tmp_path / 'v.tsv')
    assert back.words == words and back.counts.dtype == np.int64
    np.testing.assert_array_equal(back.counts, vocabulary.counts)
    assert [path.name for path in tmp_path.iterdir()] == ['v.tsv']


@hypothesis.given(st.lists(st.text('ab\\n\n\r\t #\x85\u2028\x0b'), min_size=1, unique=True))
def test_every_vocabulary_that_is_written_is_read(tmp_path_factory, words):
    path = tmp_path_factory.getbasetemp() / 'vocabulary'
    write_vocabulary(path, Vocabulary(tuple(words), np.arange(len(words))))
    assert read_vocabulary(path).words == tuple(words)
    assert path.read_bytes().count(b'\n') == len(words) + any('\n' in word for word in words)


def test_words_without_a_line_feed_stand_in_their_file_as_they_are(tmp_path):
    words = 'a\\nb', '\\', 'x'
    write_vocabulary(tmp_path / 'v', Vocabulary(words, np.array([3, 2, 1])))
    assert (tmp_path / 'v').read_bytes() == b'a\\nb\t3\n\\\t2\nx\t1\n'
    (tmp_path / 'v').write_text(f'{ESCAPED}\na\\nb\t3\n\\\\n\t1\n')
    assert read_vocabulary(tmp_path / 'v').words == ('a\nb', '\\n')


def test_the_last_line_needs_no_break(tmp_path):
    (tmp_path / 'v').write_text('a\t2\nb\t1')
    assert read_vocabulary(tmp_path / 'v').words == ('a', 'b')


@pytest.mark.parametrize('line', ['a', 'a 2', 'a\t', 'a\t-1', 'a\t1.5', '', 'the\t3', 'a\t2\r'])
def test_a_bad_line_of_a_vocabulary_is_named(tmp_path, line):
    path = tmp_path / 'v'
    path.write_bytes(f'the\t5\n{line}\nb\t1\n'.encode())
    with pytest.raises(ValueError) as error:
        read_vocabulary(path)
    assert (
        str(error.value)
        == f'{path}, line 2 is {line!r}; each line must be a new word, a tab and its count'
    )
