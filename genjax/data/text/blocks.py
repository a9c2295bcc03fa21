"""Files of text as numbers of words, four megabytes of lines at a time.

Lines of ASCII, which are most of a prepared text, are cut by operations on all of their bytes, and
the words are numbered by Arrow's hash table. The other lines are cut one by one; the words are the
same either way.

Letters: N bytes of a block, W words of it, its line feeds among them.
"""

import collections
import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from genjax.data.text import sources
from genjax.data.text.tokenizers import tokens

BLOCK = 2**22  # bytes of whole lines
SENTENCES = 10  # at once, where lines are read one by one
SEPARATOR_NUMBER = 0  # of a line feed, which ends each sentence

Numbers = dict[bytes, int]  # of words, by first appearance


class Cut(NamedTuple):
    """The words of a block."""

    inside: np.ndarray  # bool [N], whether a byte belongs to a word
    begins: np.ndarray  # bool [N], whether it is the first of one


# Bytes of a block -> those bytes as they are to be read, uint8 [N], and their words
CutBlock = Callable[[bytes], tuple[np.ndarray, Cut]]


def new_numbers() -> Numbers:
    """Gives every new word the next number; a line feed has 0."""
    numbers = collections.defaultdict()
    numbers.default_factory = numbers.__len__
    numbers[b'\n'] = SEPARATOR_NUMBER
    return numbers


def _table(letters: Callable[[str], bool]) -> np.ndarray:
    """Whether each byte is such a letter; bool [256], of ASCII alone."""
    return np.array([code < 128 and letters(chr(code)) for code in range(256)])


ALPHANUMERIC = _table(str.isalnum)
DIGIT = _table(str.isdigit)
NO_SPACE = ~_table(str.isspace)
LOWER = bytes(code + 32 * (65 <= code <= 90) for code in range(256))
LINE_FEED, POINT, APOSTROPHE, LETTER_S = b"\n.'s"


def cut_tokens(block: bytes) -> tuple[np.ndarray, Cut]:
    """The words that `tokens` finds in lines of ASCII.

    Only a byte's neighbours decide what it is, three after it at the most. A line feed is a word of
    its own.
    """
    text = np.frombuffer(block.translate(LOWER), np.uint8)
    inside = ALPHANUMERIC[text]

    points = np.flatnonzero(text == POINT)
    digits = DIGIT[_at(text, points - 1)] & DIGIT[_at(text, points + 1)]
    inside[points[digits]] = True

    quotes = np.flatnonzero(text == APOSTROPHE)
    before, after, second, third = (_at(text, quotes + k) for k in (-1, 1, 2, 3))
    joins_on = ALPHANUMERIC[second] | ((second == APOSTROPHE) & ALPHANUMERIC[third])
    final = (after == LETTER_S) & ~joins_on
    inside[quotes[final | (ALPHANUMERIC[before] & ALPHANUMERIC[after])]] = True
    return text, _cut(text, inside, quotes[final])


def cut_spaces(block: bytes) -> tuple[np.ndarray, Cut]:
    """The words that str.split finds in lines of ASCII; a line feed is a word of its own."""
    text = np.frombuffer(block, np.uint8)
    return text, _cut(text, NO_SPACE[text], np.zeros(0, int))


# The tokenizers whose words in lines of ASCII can be found so
CUTS: dict[Callable, CutBlock] = {tokens: cut_tokens, str.split: cut_spaces}


def _at(text: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The bytes at places; a line feed beyond the ends."""
    outside = (places < 0) | (places >= len(text))
    return np.where(outside, LINE_FEED, text[np.where(outside, 0, places)])


def _cut(text: np.ndarray, inside: np.ndarray, first: np.ndarray) -> Cut:
    """The runs of bytes inside words; also at `first` and around line feeds one begins."""
    feeds = text == LINE_FEED
    begins = inside | feeds
    begins[1:] &= ~inside[:-1] | feeds[1:]
    begins[first] = True
    return Cut(inside | feeds, begins)


def number_file(
    path: pathlib.Path,
    tokenize: Callable[[str], Iterable[str]],
    numbers: Numbers,
    *,
    size: int,
) -> Iterator[np.ndarray]:
    """The numbers of a file's words, with a 0 after each sentence, int32 [.] a block.

    Args:
      path: as of `sources.lines`, whose long lines are cut here as there.
      tokenize: one of `CUTS`.
      numbers: of words so far, which grows.
      size: bytes read at once.

    Raises:
      ValueError, OSError: as `sources.lines`.
    """
    for lines in sources.blocks(path, size):
        if isinstance(lines, sources.Lines):
            yield number_lines(lines, path, tokenize, numbers)
        else:
            while sentences := list(itertools.islice(lines, SENTENCES)):
                yield np.array(_numbers_of(sentences, tokenize, numbers), np.int32)


def number_lines(
    lines: sources.Lines,
    path: pathlib.Path,
    tokenize: Callable[[str], Iterable[str]],
    numbers: Numbers,
) -> np.ndarray:
    """The numbers of the words of a block, int32 [W]."""
    text, (inside, begins) = CUTS[tokenize](lines.text)
    bounds = np.append(0, np.flatnonzero(text == LINE_FEED) + 1)
    single = _lines_to_read_alone(lines.text, bounds)
    for i in single:
        # Of such a line nothing but the line feed is left here, which ends its last sentence.
        inside[bounds[i] : bounds[i + 1] - 1] = False
        begins[bounds[i] : bounds[i + 1] - 1] = False

    begins = np.flatnonzero(begins)
    offsets = begins - np.cumsum(~inside, dtype=np.int32)[begins]
    letters = (text * inside).tobytes().translate(None, b'\0')  # no other byte is 0 here
    block = _number_words(letters, offsets, numbers)
    if not len(single):
        return block

    ends = np.flatnonzero(block == SEPARATOR_NUMBER)[single]
    rest = []
    for i in single:
        line = lines.text[bounds[i] : bounds[i + 1]]
        sentences = sources.cut_line(line, path, lines.number + int(i))
        rest.append(_numbers_of(sentences, tokenize, numbers)[:-1])
    places = np.repeat(ends, [len(line) for line in rest])
    return np.insert(block, places, np.concatenate(rest).astype(np.int32))


def _lines_to_read_alone(block: bytes, bounds: np.ndarray) -> np.ndarray:
    """The lines that are not of ASCII, have a byte of 0, or are so long that they are cut."""
    text = np.frombuffer(block, np.uint8)
    places = np.flatnonzero((text >= 128) | (text == 0))
    single = np.unique(np.searchsorted(bounds, places, side='right') - 1)
    long = np.flatnonzero(np.diff(bounds) > sources.STRETCH)
    cut = [
        i
        for i in np.setdiff1d(long, single)
        if sources.is_cut(block[bounds[i] : bounds[i + 1]].decode('ascii'))
    ]
    return np.union1d(single, cut).astype(int)


def _numbers_of(
    sentences: Iterable[str], tokenize: Callable[[str], Iterable[str]], numbers: Numbers
) -> list[int]:
    """The numbers of words, with a 0 after each sentence."""
    found = []
    for sentence in sentences:
        found += [numbers[word.encode()] for word in tokenize(sentence)]
        found.append(SEPARATOR_NUMBER)
    return found


def _number_words(letters: bytes, offsets: np.ndarray, numbers: Numbers) -> np.ndarray:
    """The numbers of words that stand without gaps.

    Args:
      letters: of all words.
      offsets: where each word begins, [W].
      numbers: of words so far, which grows.

    Returns:
      int32 [W].
    """
    import pyarrow

    offsets = np.append(offsets, len(letters)).astype(np.int32)
    buffers = [None, pyarrow.py_buffer(offsets), pyarrow.py_buffer(letters)]
    words = pyarrow.BinaryArray.from_buffers(pyarrow.binary(), len(offsets) - 1, buffers)
    encoded = words.dictionary_encode()
    known = np.fromiter(map(numbers.__getitem__, encoded.dictionary.to_pylist()), np.int32)
    return known[encoded.indices.to_numpy()]
