"""Files of word vectors: bits survive, gensim reads ours and we its, and damage is named."""

import logging

import numpy as np
import pytest

from genjax.base import Embedding
from genjax.data.words.vectors import (
    FORMATS,
    from_binary,
    from_text,
    load,
    save,
    to_binary,
    to_safetensors,
    to_text,
)

SUFFIXES = list(FORMATS)


def some(count=200, size=7, seed=0):
    """Vectors of every magnitude, with words of several alphabets and odd signs."""
    draw = np.random.default_rng(seed)
    bits = draw.integers(0, 2**32, (count, size), np.uint32).view(np.float32)
    vectors = np.where(np.isfinite(bits), bits, np.float32(0.1))
    odd = ['the', 'The', "'s", 'naïve', '東京', '\xa0', '\t', '0', '</s>', '👍🏽', '\r', '\u2028']
    return Embedding(odd + [f'word{i}' for i in range(count - len(odd))], vectors)


def assert_equal(a, b):
    assert list(a.words) == list(b.words)
    np.testing.assert_array_equal(
        np.asarray(a.vectors).view(np.uint32), np.asarray(b.vectors).view(np.uint32)
    )


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_words_and_bits_survive_a_file(tmp_path, suffix):
    save(tmp_path / f'v{suffix}', some())
    assert_equal(load(tmp_path / f'v{suffix}'), some())
    assert [path.name for path in tmp_path.iterdir()] == [f'v{suffix}']


def test_both_formats_are_the_written_bytes():
    embedding = Embedding(['é', 'b'], np.array([[0.1, -2], [1e-5, 3e30]], np.float32))
    assert to_text(embedding) == '2 2\né 0.1 -2.0\nb 1e-05 3e+30\n'.encode()
    one = bytes.fromhex('cdcccc3d 000000c0')
    two = np.array([1e-5, 3e30], '<f4').tobytes()
    assert to_binary(embedding) == b'2 2\n\xc3\xa9 ' + one + b'b ' + two


def test_what_the_original_tool_writes_is_read():
    """It ends a text line with a space, and a binary vector with a newline."""
    embedding = Embedding(['a', 'b'], np.array([[1, 2], [3, 4]], np.float32))
    assert_equal(from_text(b'2 2\na 1.000000 2.000000 \nb 3.000000 4.000000 \n'), embedding)
    a, b = (row.tobytes() for row in embedding.vectors)
    assert_equal(from_binary(b'2 2\na ' + a + b'\nb ' + b + b'\n'), embedding)


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_a_file_is_whole_or_not_there(tmp_path, suffix, monkeypatch):
    path = tmp_path / f'v{suffix}'
    save(path, some(30))

    def full(self, content):
        with open(self, 'wb') as file:
            file.write(content[:10])
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('pathlib.Path.write_bytes', full)
    with pytest.raises(OSError, match='No space left'):
        save(path, some(40))
    assert_equal(load(path), some(30))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('encode', [to_text, to_binary])
@pytest.mark.parametrize('word', ['', 'New York', 'a\nb'])
def test_words_that_a_format_cannot_hold_are_refused(encode, word):
    with pytest.raises(ValueError) as error:
        encode(Embedding(['a', word], np.ones((2, 3), np.float32)))
    assert (
        str(error.value)
        == f'word 2 is {word!r}; this format holds no empty words, spaces or newlines'
    )


def test_safetensors_holds_any_words(tmp_path):
    embedding = Embedding(['New York', 'a\nb', ''], np.ones((3, 2), np.float32))
    save(tmp_path / 'v.safetensors', embedding)
    assert_equal(load(tmp_path / 'v.safetensors'), embedding)


@pytest.mark.parametrize('encode', [to_text, to_binary, to_safetensors])
def test_words_must_differ_and_have_a_vector_each(encode):
    with pytest.raises(ValueError, match="^words 1 and 3 are both 'a'; each may be there once$"):
        encode(Embedding(['a', 'b', 'a'], np.ones((3, 2), np.float32)))
    for words, shape in ((['a', 'b'], (3, 2)), ([], (0, 2)), (['a'], (1, 0)), (['a'], (1,))):
        with pytest.raises(
            ValueError, match=rf'^{len(words)} words have vectors \[.*\]; wanted are'
        ):
            encode(Embedding(words, np.ones(shape, np.float32)))


FLOATS = np.ones(2, '<f4').tobytes()
DAMAGED = [
    ('.txt', b'', "the first line is b''; wanted are two numbers, words and dimensions"),
    (
        '.txt',
        b'a 1 2\n',
        "the first line is b'a 1 2'; wanted are two numbers, words and dimensions",
    ),
    ('.vec', b'0 2\n', "the first line is b'0 2'; wanted are two numbers, words and dimensions"),
    ('.txt', b'2 2\na 1 2\n', 'the header says 2 words and 1 lines follow'),
    ('.txt', b'2 2\na 1 2\nb 1\n', 'word 2 has 1 numbers; the header says 2'),
    ('.txt', b'2 2\na 1 2\n1 2\n', 'word 2 has 1 numbers; the header says 2'),
    ('.txt', b'1 9000000000000\na 1\n', 'word 1 has 1 numbers; the header says 9000000000000'),
    ('.txt', b'1 2\na 1 x\n', "word 1: could not convert string to float: b'x'"),
    ('.txt', b'1 2\na 1 2\nb 1 2\n', 'the header says 1 words and 5 bytes are left after them'),
    ('.txt', b'2 1\na 1\na 2\n', "words 1 and 2 are both 'a'; each may be there once"),
    ('.txt', b'2 1\na 1\n\xff 2\n', "word 2 is b'\\xff', which is not UTF-8"),
    (
        '.bin',
        b'\x00' * 200,
        f'the first line is {bytes(60)!r}; wanted are two numbers, words and dimensions',
    ),
    (
        '.bin',
        b'2 2\na ' + FLOATS + b'b ' + FLOATS[:-1],
        'the header says 2 words and the bytes end in word 2',
    ),
    (
        '.bin',
        b'9000000000000 300\n',
        'the header says 9000000000000 words and the bytes end in word 1',
    ),
    (
        '.bin',
        b'1 2\na ' + FLOATS + b'rest',
        'the header says 1 words and 4 bytes are left after them',
    ),
    (
        '.bin',
        b'2 2\na ' + FLOATS + b'a ' + FLOATS,
        "words 1 and 2 are both 'a'; each may be there once",
    ),
    ('.bin', b'1 2\n\xc3 ' + FLOATS, "word 1 is b'\\xc3', which is not UTF-8"),
]


@pytest.mark.parametrize(('suffix', 'content', 'message'), DAMAGED)
def test_damage_is_named_in_one_line(tmp_path, suffix, content, message):
    path = tmp_path / f'v{suffix}'
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        load(path)
    assert str(error.value) == f'{path}: {message}'


def test_damaged_safetensors_are_refused(tmp_path):
    from safetensors.numpy import save as packed

    x = np.ones((2, 3), np.float32)
    words = np.frombuffer(b'ab', np.uint8)
    ends = np.array([1, 2])
    path = tmp_path / 'v.safetensors'
    for content, message in (
        (to_safetensors(some())[:-1], ''),
        (
            packed({'vectors': x}),
            "the arrays, with type and rank, are .*'float32', 2.*; wanted are ",
        ),
        (
            packed({'vectors': x, 'words': words, 'ends': ends[:1]}),
            'the ends do not divide 2 bytes into 2 words',
        ),
        (packed({'vectors': x, 'words': words, 'ends': ends[::-1] + 0}), 'the ends do not divide'),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f'^{path}: {message}'):
            load(path)


def test_an_unknown_suffix_and_a_missing_file_are_refused(tmp_path):
    message = "v.pickle ends in '.pickle'; known are .txt, .vec, .bin, .safetensors$"
    with pytest.raises(ValueError, match=message):
        load(tmp_path / 'v.pickle')
    with pytest.raises(ValueError, match=message):
        save(tmp_path / 'v.pickle', some())
    with pytest.raises(FileNotFoundError):
        load(tmp_path / 'v.bin')


@pytest.fixture
def keyed_vectors():
    from gensim.models import KeyedVectors

    logging.getLogger('gensim').setLevel(logging.ERROR)
    return KeyedVectors


def gensims(embedding):
    """The words that gensim's text reader keeps: it splits lines at blanks that are no spaces."""
    keep = [i for i, word in enumerate(embedding.words) if word.strip()]
    return Embedding([embedding.words[i] for i in keep], embedding.vectors[keep])


@pytest.mark.peers
@pytest.mark.parametrize('suffix', ['.txt', '.bin'])
def test_gensim_reads_ours_and_writes_the_same_bytes(tmp_path, suffix, keyed_vectors):
    embedding = gensims(some(3000))
    binary = suffix == '.bin'
    ours = tmp_path / f'ours{suffix}'
    theirs = tmp_path / f'theirs{suffix}'
    save(ours, embedding)
    read = keyed_vectors.load_word2vec_format(str(ours), binary=binary)
    assert_equal(Embedding(read.index_to_key, read.vectors), embedding)
    read.save_word2vec_format(str(theirs), binary=binary)
    assert theirs.read_bytes() == ours.read_bytes()
    assert_equal(load(theirs), embedding)


@pytest.mark.peers
def test_safetensors_are_read_by_the_library(tmp_path):
    from safetensors import safe_open

    save(tmp_path / 'v.safetensors', some())
    with safe_open(str(tmp_path / 'v.safetensors'), 'numpy') as file:
        np.testing.assert_array_equal(
            file.get_tensor('vectors').view(np.uint32), some().vectors.view(np.uint32)
        )
        words = file.get_tensor('words').tobytes()
        ends = file.get_tensor('ends')
    assert words[ends[2] : ends[3]].decode() == some().words[3]
