"""Text as numbers: a corpus is one array of word ids, read in one pass, of which memory holds ids
and never the text.

Letters: N places of a corpus, V words.
"""

import array
import collections
import contextlib
import math
import os
import pathlib
import re
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TextIO

import numpy as np
import regex

from genjax.data.resident import fingerprint
from genjax.data.text.sources import sentences_of

SEPARATOR = -1  # where there is no word: after each sentence, and as padding
DROPPED = -2  # a word that the vocabulary lacks, until it is taken out
RUNS, RUN = 100, 100  # runs of sentences held out, at the most; words of one, at the least
SPACE = '\N{LOWER ONE EIGHTH BLOCK}'  # white space among characters, as sentencepiece writes it


class Vocabulary(NamedTuple):
    """Words by falling count, those of one count in the order of their characters: a word's id is
    its place."""

    words: tuple[str, ...]  # V different ones
    counts: np.ndarray  # [V] int64, in the text that the vocabulary was made from


class Corpus(NamedTuple):
    """A text in the words of a vocabulary."""

    ids: (
        np.ndarray
    )  # [N] int32: 0 to V - 1, and one SEPARATOR after each sentence; no sentence is empty
    vocabulary: Vocabulary

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits told by the ids, the words and their counts."""
        words, counts = self.vocabulary
        letters = np.frombuffer('\n'.join(words).encode(), np.uint8)
        return fingerprint({'ids': self.ids, 'words': letters, 'counts': counts})


# An apostrophe joins letters and digits unless it begins a final 's; a point joins two digits.
LETTERS = r'[^\W_]'  # and digits
FINAL_S = rf"'s(?!'?{LETTERS})"
PLAIN_TOKEN = re.compile(rf"{LETTERS}+(?:(?:(?!{FINAL_S})'|(?<=\d)\.(?=\d)){LETTERS}+)*|{FINAL_S}")

# The same in every script; of ASCII it gives the same. \B is where UAX 29 has no boundary of words:
# before a mark, a joiner or a further letter, but not between two ideographs. Only letters that it
# joins are joined by an apostrophe. Numerals that are no digits (m², H₂O, 1½) join as letters do,
# where UAX 29 parts them.
INNER = r'\B[a-z0-9"[^\x00-\x7F\p{Word_Break=ExtendNumLet}]]'
BEGIN = r'[\p{L}\p{N}]'
LETTER = rf'[[{BEGIN}&&[\p{{Word_Break=ALetter}}\p{{Word_Break=Hebrew_Letter}}\p{{Word_Break=Numeric}}]]\p{{No}}]'
JOINED = rf'{LETTER}(?:{INNER}|\p{{No}}|(?<=\p{{No}}){LETTER})*+'
WHOLE_S = rf"'s(?!{INNER}|\p{{No}}|'{BEGIN})"
TOKEN = regex.compile(
    rf"{JOINED}(?:(?:(?!{WHOLE_S})'|(?<=\d)\.(?=\d)){JOINED})*+|{BEGIN}(?:{INNER})*+|{WHOLE_S}",
    regex.VERSION1 | regex.WORD,
)
GRAPHEME = regex.compile(r'\X')

# ASCII, the letters of Latin, Greek and Cyrillic that are one character each, and punctuation
# around words: here both patterns agree and nothing is to be composed, and the first one is three
# times as fast.
PLAIN = re.compile(
    '[\0-\x7f\xa0\xab\xbb\xc0-\xd6\xd8-\xf6\xf8-\u012f\u0131-\u024f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03ce'
    '\u0400-\u0481\u048a-\u052f\u2013\u2014\u2019\u201c-\u201e\u2026]*'
)
# Soft hyphens, marks of direction and word joiners: not seen, and no part of a word's spelling.
INVISIBLE = re.compile('[\xad\u061c\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]')


def tokens(text: str) -> list[str]:
    """The words of a text in lower case and in Unicode's composed form (NFC); what lies between
    them is dropped.

    A word is a run of letters and digits with their combining marks and joiners, between two
    boundaries of Unicode's default segmentation (UAX 29, as the package regex has it). It has a
    letter or a digit at its beginning. Rules that part or join differently:

    - Hyphens, underscores and other connectors part words, and so do an ASCII colon, comma or a point, but for a point
      between digits (1.5).
    - An apostrophe within a word stays (don't, o'brien), and the right single quotation mark is one, but a final 's is
      a word of its own (king, 's).
    - Numerals such as ², ₂ and ½ join letters and digits (H₂O).
    - Soft hyphens, marks of direction and word joiners are left out.

    A text that is already so, its words parted by spaces, comes out as text.split() would part it.
    UAX 29 has no
    dictionary: in Chinese, in Japanese but for katakana, in Thai, Lao, Khmer and Burmese each
    character is a word; read such a text with str.split once a segmenter for its language has
    parted it. Lower case is str.lower, of no language (the Turkish capital I with a dot becomes i
    and a mark, in one word).
    """
    if text.isascii() or PLAIN.fullmatch(text):
        return PLAIN_TOKEN.findall(text.lower().replace('\N{RIGHT SINGLE QUOTATION MARK}', "'"))
    composed = unicodedata.normalize('NFC', INVISIBLE.sub('', text))
    lower = unicodedata.normalize('NFC', composed.lower())
    return TOKEN.findall(lower.replace('\N{RIGHT SINGLE QUOTATION MARK}', "'"))


def characters(text: str) -> list[str]:
    """The characters of a text as a reader counts them, a letter with its marks: grapheme clusters
    (UAX 29), after NFC.

    Their case stays. White space between them, however much, is one `SPACE`; none is at the ends.
    """
    spaced = ' '.join(unicodedata.normalize('NFC', text).split())
    shown = spaced.replace(' ', SPACE)
    return list(shown) if spaced.isascii() else GRAPHEME.findall(shown)


class Tokenizer(NamedTuple):
    """How a text is cut into words, and words are written as a text."""

    split: Callable[[str], list[str]]
    join: Callable[[Iterable[str]], str]


def _written(words: Iterable[str]) -> str:
    return ''.join(words).replace(SPACE, ' ')


TOKENIZERS = {
    'words': Tokenizer(tokens, ' '.join),
    'characters': Tokenizer(characters, _written),
    'spaces': Tokenizer(str.split, ' '.join),
}


def tokenizer_of(name: str) -> Tokenizer:
    """The tokenizer of a name in `TOKENIZERS`.

    Raises:
      ValueError: there is none of that name.
    """
    if name not in TOKENIZERS:
        raise ValueError(f'tokenizer is {name!r}; known are {", ".join(TOKENIZERS)}')
    return TOKENIZERS[name]


def read_corpus(
    source: str | os.PathLike | Iterable[str],
    *,
    min_count: int = 5,  # words that occur less often are dropped, as word2vec does
    max_size: int | None = None,  # V at the most: the most frequent words stay
    unknown: str
    | None = None,  # a word that stands for those that the vocabulary lacks, which else are dropped
    vocabulary: Vocabulary
    | None = None,  # read with this one; min_count and max_size then have no say
    tokenize: Callable[
        [str], Iterable[str]
    ] = tokens,  # str.split for what is parted by spaces already
    data_dir: str = '',
) -> Corpus:
    """Reads a text and makes its vocabulary.

    Args:
      source: a file with one sentence or paragraph a line (UTF-8, plain or .gz, .xz, .zip), or
        `docs` (the docstrings of the packages that genjax requires), `text8`, or `tfds:NAME`, or
        the sentences themselves. In a file, a line of more than 1,000 words between spaces is cut
        after every 1,000, and more than 2,000 characters without a space after every 1,000 or
        fewer, between two words if there are two.
      unknown: it counts what it stands for, has its place by that count, and is in the vocabulary
        even at 0.
      data_dir: folder of text8 and of the sets that TFDS has prepared; '' is TFDS's default.

    Raises:
      ValueError: the source is not UTF-8, has a byte of 0, has no words, or fewer than two that are
        frequent enough; a number is out of range, or the vocabulary given lacks `unknown`.
      OSError: the source cannot be read.
    """
    name = source if isinstance(source, str | os.PathLike) else 'the text'
    _refuse(min_count, max_size, unknown, vocabulary)
    sentences = source if name is not source else sentences_of(os.fspath(source), data_dir)
    numbers, words = _numbered(sentences, tokenize)
    if not words:
        raise ValueError(f'{name} has no words')
    if vocabulary is None:
        counts = dict(zip(words, np.bincount(numbers)[1:].tolist(), strict=True))
        vocabulary = _ranked(counts, min_count, max_size, unknown)
        if len(vocabulary.words) < 2:
            found = f'{len(words):,} different words, {len(vocabulary.words)} of them kept at min_count {min_count}'
            raise ValueError(f'{name} has {found}; a vocabulary needs at least 2')
    ids = _renumbered(numbers, words, vocabulary.words, unknown)
    if not ids.size:
        raise ValueError(
            f'{name} has none of the {len(vocabulary.words):,} words of the vocabulary given'
        )
    return Corpus(ids, vocabulary)


def _refuse(min_count, max_size, unknown, vocabulary):
    if min_count < 1:
        raise ValueError(f'min_count is {min_count}; it must be at least 1')
    if max_size is not None and max_size < 2:
        raise ValueError(f'max_size is {max_size}; a vocabulary needs at least 2 words')
    if vocabulary is not None and len(vocabulary.words) < 2:
        raise ValueError(
            f'the vocabulary given has {len(vocabulary.words)} words; at least 2 are needed'
        )
    if vocabulary is not None and unknown is not None and unknown not in vocabulary.words:
        raise ValueError(f'unknown is {unknown!r}, which the vocabulary given does not have')


def _numbered(
    sentences: Iterable[str], tokenize: Callable[[str], Iterable[str]]
) -> tuple[np.ndarray, list[str]]:
    """The words by first appearance, and the text in their numbers: 1, 2, ..., with a 0 after each
    sentence."""
    number = collections.defaultdict()
    number.default_factory = number.__len__
    number[None] = 0
    numbers = array.array('i')
    with _live_line(sys.stderr) as show:
        for sentence in sentences:
            numbers.extend(map(number.__getitem__, tokenize(sentence)))
            numbers.append(0)
            show(len(numbers))
    return np.asarray(numbers), list(number)[1:]


def _ranked(
    counts: dict[str, int], min_count: int, max_size: int | None, unknown: str | None
) -> Vocabulary:
    ranked = sorted(
        (-count, word) for word, count in counts.items() if count >= min_count and word != unknown
    )
    if unknown is not None:
        ranked = ranked[: max_size and max_size - 1]
        rest = sum(counts.values()) + sum(minus for minus, _ in ranked)
        ranked = sorted([*ranked, (-rest, unknown)])
    ranked = ranked[:max_size]
    return Vocabulary(
        tuple(word for _, word in ranked), np.array([-minus for minus, _ in ranked], np.int64)
    )


def _renumbered(
    numbers: np.ndarray, words: list[str], kept: tuple[str, ...], unknown: str | None
) -> np.ndarray:
    """Numbers by first appearance as ids; sentences that lose all of their words lose their
    separator too."""
    place = {word: i for i, word in enumerate(kept)}
    other = DROPPED if unknown is None else place[unknown]
    ids = np.array([SEPARATOR, *(place.get(word, other) for word in words)], np.int32)[numbers]
    ids = ids[ids != DROPPED]
    word = ids != SEPARATOR
    word[1:] |= word[:-1].copy()  # a separator stays after a word
    return ids[word]


@contextlib.contextmanager
def _live_line(stream: TextIO) -> Iterator[Callable[[int], None]]:
    """show(words read): a line drawn anew five times a second, and nothing where no one watches."""
    if not stream.isatty():
        yield lambda count: None
        return
    began, drawn = time.perf_counter(), [-math.inf]

    def show(count):
        now = time.perf_counter()
        if now - drawn[0] >= 0.2:
            drawn[0] = now
            stream.write(f'\r\x1b[Kreading  {count:,} words  {count / (now - began):.3g} words/s')
            stream.flush()

    try:
        yield show
    finally:
        stream.write('\n')


def held_out(corpus: Corpus, *, words: int) -> tuple[Corpus, Corpus]:
    """Parts a corpus into (train, test); the test part is taken from evenly over the whole, in runs
    of sentences.

    There are r = words // max(100, mean length of a sentence) runs, but 1 at the least and 100 at
    the most. Of n words in all, the sentence that begins at word p is held out where r p mod n <
    words. Both parts keep the vocabulary, with its counts of the whole.

    Args:
      words: to hold out, more or less: sentences stay whole.

    Raises:
      ValueError: words is below 1, or leaves no sentence to train on.
    """
    before = np.cumsum(corpus.ids != SEPARATOR)  # the words up to each place
    ends = np.flatnonzero(corpus.ids == SEPARATOR)
    total = int(before[-1])
    begins = np.concatenate([[0], before[ends[:-1]]])
    # Of shorter ones a text of long sentences would lose too many, or all.
    run = max(RUN, total / len(ends))
    runs = int(min(max(words // run, 1), RUNS))
    out = runs * begins % total < words
    if words < 1 or out.all():
        raise ValueError(
            f'words to hold out are {words:,}; at least 1 of {total:,}, and not every sentence'
        )
    test = np.repeat(out, np.diff(ends, prepend=-1))
    return corpus._replace(ids=corpus.ids[~test]), corpus._replace(ids=corpus.ids[test])


ESCAPED = (
    r'# \\ is a backslash, \n a line feed'  # the first line of a file in which words are written so
)
ESCAPES = {'\\': r'\\', '\n': r'\n'}


def write_vocabulary(path: str | os.PathLike, vocabulary: Vocabulary) -> None:
    r"""Writes a line `word<TAB>count` for each word, in UTF-8; the file appears whole or not at all.

    Where a word has a line feed, which would end its line, the file begins with the line `ESCAPED`, and line feeds and
    backslashes are written as \n and \\. All other files have every word as it is.
    """
    path = pathlib.Path(path)
    words = vocabulary.words
    first = ''
    if any('\n' in word for word in words):
        words = [''.join(ESCAPES.get(letter, letter) for letter in word) for word in words]
        first = f'{ESCAPED}\n'
    lines = [f'{word}\t{count}\n' for word, count in zip(words, vocabulary.counts, strict=True)]
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_bytes((first + ''.join(lines)).encode())
    partial.replace(path)


def read_vocabulary(path: str | os.PathLike) -> Vocabulary:
    """The vocabulary that such a file holds.

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
    meant = {written: letter for letter, written in ESCAPES.items()}
    counts = {}
    for number, line in enumerate(lines[escaped:], 1 + escaped):
        word, tab, count = line.rpartition('\t')
        if escaped:
            word = re.sub(r'\\[\\n]', lambda found: meant[found[0]], word)
        if not tab or not re.fullmatch('[0-9]{1,18}', count) or word in counts:
            raise ValueError(
                f'{path}, line {number} is {line!r}; each line must be a new word, a tab and its count'
            )
        counts[word] = int(count)
    return Vocabulary(tuple(counts), np.fromiter(counts.values(), np.int64))
