"""Vocabularies: how one is made from the counts of a text, and the file that it is kept in.

Letters: V words.
"""

import os
import pathlib
import re
from typing import NamedTuple

import numpy as np

# The first line of a file in which words are written with ESCAPES
ESCAPED = r'# \\ is a backslash, \n a line feed'
ESCAPES = {'\\': r'\\', '\n': r'\n'}


class Vocabulary(NamedTuple):
    """Words by falling count, those of one count in the order of their characters.

    A word's id is its place.
    """

    words: tuple[str, ...]  # V different ones
    counts: np.ndarray  # [V] int64, in the text that the vocabulary was made from


def rank_words(
    counts: dict[str, int], min_count: int, max_size: int | None, unknown: str | None
) -> Vocabulary:
    """The vocabulary of a text.

    Args:
      counts: of all its words.
      min_count: words that occur less often are left out.
      max_size: V at the most, if not None: the most frequent words stay.
      unknown: a word that counts what is left out, and has its place by that count; None for none.
    """
    ranked = sorted(
        (-count, word) for word, count in counts.items() if count >= min_count and word != unknown
    )
    if unknown is not None:
        ranked = ranked[: max_size and max_size - 1]
        rest = sum(counts.values()) + sum(minus for minus, _ in ranked)
        ranked = sorted([*ranked, (-rest, unknown)])
    ranked = ranked[:max_size]
    words = tuple(word for _, word in ranked)
    return Vocabulary(words, np.array([-minus for minus, _ in ranked], np.int64))


def write_vocabulary(path: str | os.PathLike, vocabulary: Vocabulary) -> None:
    r"""Writes a line `word<TAB>count` for each word, in UTF-8.

    The file appears whole or not at all. Where a word has a line feed, which would end its line,
    the file begins with the line `ESCAPED`, and line feeds and backslashes are written as \n and
    \\. All other files have every word as it is.
    """
    path = pathlib.Path(path)
    words = vocabulary.words
    header = ''
    if any('\n' in word for word in words):
        words = [_escape(word) for word in words]
        header = f'{ESCAPED}\n'
    lines = [f'{word}\t{count}\n' for word, count in zip(words, vocabulary.counts, strict=True)]
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_bytes((header + ''.join(lines)).encode())
    partial.replace(path)


def read_vocabulary(path: str | os.PathLike) -> Vocabulary:
    """The vocabulary in a file of `write_vocabulary`.

    Raises:
      ValueError: the file is not UTF-8, a line is not `word<TAB>count`, or a word is there twice.
      OSError: the file cannot be read.
    """
    try:
        text = pathlib.Path(path).read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not UTF-8: byte {error.start:,} begins no character') from None

    lines = text.removesuffix('\n').split('\n')
    escaped = lines[0] == ESCAPED
    counts = {}
    for number, line in enumerate(lines[escaped:], 1 + escaped):
        word, tab, count = line.rpartition('\t')
        if escaped:
            word = _unescape(word)
        if not tab or not re.fullmatch('[0-9]{1,18}', count) or word in counts:
            raise ValueError(
                f'{path}, line {number} is {line!r}; '
                'each line must be a new word, a tab and its count'
            )
        counts[word] = int(count)
    return Vocabulary(tuple(counts), np.fromiter(counts.values(), np.int64))


def _escape(word: str) -> str:
    return ''.join(ESCAPES.get(letter, letter) for letter in word)


def _unescape(word: str) -> str:
    letters = {written: letter for letter, written in ESCAPES.items()}
    return re.sub(r'\\[\\n]', lambda match: letters[match[0]], word)
