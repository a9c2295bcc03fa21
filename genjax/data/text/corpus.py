"""A text as one array of word ids, read in one pass: memory has the ids and never the text.

Letters: N places of a corpus, V words.
"""

import array
import collections
import os
import pathlib
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from genjax.data.progress import progress
from genjax.data.text import blocks
from genjax.data.text.sources import file_of, sentences_of
from genjax.data.text.tokenizers import tokens
from genjax.data.text.vocabulary import Vocabulary, rank_words

SEPARATOR = -1  # where there is no word: after each sentence, and as padding
DROPPED = -2  # a word that the vocabulary lacks, until it is taken out
AT_ONCE = 2**14  # words that are looked up together, which takes three quarters of the time
MAX_RUNS = 100  # runs of held-out sentences, at the most
MIN_RUN = 100  # words of one, at the least


class Corpus(NamedTuple):
    """A text in the words of a vocabulary."""

    # [N] int32: 0 to V - 1, and one SEPARATOR after each sentence; no sentence is empty
    ids: np.ndarray
    vocabulary: Vocabulary

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits of the ids, the words and their counts."""
        from genjax.data.resident import fingerprint  # imports jax, which reading does without

        words, counts = self.vocabulary
        letters = np.frombuffer('\n'.join(words).encode(), np.uint8)
        return fingerprint({'ids': self.ids, 'words': letters, 'counts': counts})


def read_corpus(
    source: str | os.PathLike | Iterable[str],
    *,
    min_count: int = 5,
    max_size: int | None = None,
    unknown: str | None = None,
    vocabulary: Vocabulary | None = None,
    tokenize: Callable[[str], Iterable[str]] = tokens,
    data_dir: str = '',
) -> Corpus:
    """Reads a text and makes its vocabulary.

    Args:
      source: a file with one sentence or paragraph a line (UTF-8, plain or .gz, .xz, .zip), or
        `docs` (the docstrings of the packages that genjax requires), `text8`, or `tfds:NAME`, or
        the sentences themselves. In a file, a line of more than 1,000 words between spaces is cut
        after every 1,000, and more than 2,000 characters without a space after every 1,000 or
        fewer, between two words if there are two.
      min_count: words that occur less often are dropped, as word2vec does.
      max_size: V at the most, if not None: the most frequent words stay.
      unknown: a word that stands for those that the vocabulary lacks, which without it are dropped.
        It counts what it stands for, has its place by that count, and is in the vocabulary even at
        0.
      vocabulary: read with this one; min_count and max_size then have no effect.
      tokenize: sentence -> words; str.split for what is parted by spaces already.
      data_dir: folder of text8 and of the sets that TFDS has prepared; '' is TFDS's default.

    Raises:
      ValueError: the source is not UTF-8, has a byte of 0, has no words, or fewer than two that are
        frequent enough; a number is out of range, or the vocabulary given lacks `unknown`.
      OSError: the source cannot be read.
    """
    named = isinstance(source, str | os.PathLike)
    name = source if named else 'the text'
    _require_options(min_count, max_size, unknown, vocabulary)

    file = file_of(os.fspath(source), data_dir) if named else None
    if file is not None and tokenize in blocks.CUTS:
        numbers, words = _number_file(file, tokenize)
    else:
        sentences = sentences_of(os.fspath(source), data_dir) if named else source
        numbers, words = _number_words(sentences, tokenize)
    if not words:
        raise ValueError(f'{name} has no words')

    if vocabulary is None:
        counts = dict(zip(words, np.bincount(numbers)[1:].tolist(), strict=True))
        vocabulary = rank_words(counts, min_count, max_size, unknown)
        if len(vocabulary.words) < 2:
            raise ValueError(
                f'{name} has {len(words):,} different words, {len(vocabulary.words)} of them kept '
                f'at min_count {min_count}; a vocabulary needs at least 2'
            )

    ids = _to_ids(numbers, words, vocabulary.words, unknown)
    if not ids.size:
        raise ValueError(
            f'{name} has none of the {len(vocabulary.words):,} words of the vocabulary given'
        )
    return Corpus(ids, vocabulary)


def _require_options(min_count, max_size, unknown, vocabulary):
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


def _number_words(
    sentences: Iterable[str], tokenize: Callable[[str], Iterable[str]]
) -> tuple[np.ndarray, list[str]]:
    """Numbers words by first appearance: 1, 2, ...

    Returns:
      The text in these numbers, with a 0 after each sentence, and the words in their order.
    """
    number = collections.defaultdict()
    number.default_factory = number.__len__
    number[None] = 0
    numbers = array.array('i')
    words = []  # whose numbers are not looked up yet, and a None after each sentence

    def look_up():
        found = np.fromiter(map(number.__getitem__, words), np.intc, len(words))
        numbers.frombytes(found.tobytes())
        words.clear()

    with progress(sys.stderr, 'reading', 'words') as show:
        for sentence in sentences:
            words += tokenize(sentence)
            words.append(None)
            show(len(numbers) + len(words))
            if len(words) >= AT_ONCE:
                look_up()
        look_up()
    return np.asarray(numbers), list(number)[1:]


def _number_file(
    path: pathlib.Path, tokenize: Callable[[str], Iterable[str]]
) -> tuple[np.ndarray, list[str]]:
    """`_number_words` of a file's lines, many at a time."""
    number = blocks.new_numbers()
    numbers = array.array('i')
    with progress(sys.stderr, 'reading', 'words') as show:
        for block in blocks.number_file(path, tokenize, number, size=blocks.BLOCK):
            numbers.frombytes(block.tobytes())
            show(len(numbers))
    return np.asarray(numbers), [word.decode() for word in number][1:]


def _to_ids(
    numbers: np.ndarray, words: list[str], kept: tuple[str, ...], unknown: str | None
) -> np.ndarray:
    """Numbers by first appearance as ids of the words kept.

    Sentences that lose all of their words lose their separator too.
    """
    place = {word: i for i, word in enumerate(kept)}
    other = DROPPED if unknown is None else place[unknown]
    ids = np.array([SEPARATOR, *(place.get(word, other) for word in words)], np.int32)[numbers]
    ids = ids[ids != DROPPED]
    stays = ids != SEPARATOR
    stays[1:] |= stays[:-1].copy()  # a separator stays after a word
    return ids[stays]


def joined(corpus: Corpus, word: str) -> Corpus:
    """The same text with a word in the place of each separator, as a space between sentences.

    Raises:
      ValueError: the vocabulary lacks the word.
    """
    words = corpus.vocabulary.words
    if word not in words:
        raise ValueError(f'sentences are joined by {word!r}, which the vocabulary does not have')
    return corpus._replace(
        ids=np.where(corpus.ids == SEPARATOR, np.int32(words.index(word)), corpus.ids)
    )


def hold_out(corpus: Corpus, *, words: int) -> tuple[Corpus, Corpus]:
    """Splits a corpus into (train, test), the test sentences in runs spread evenly over the whole.

    There are r = words // max(100, mean length of a sentence) runs, but 1 at the least and 100 at
    the most. Of n words in all, the sentence that begins at word p is held out where r p mod n <
    words. Both parts keep the vocabulary, with its counts of the whole.

    Args:
      words: to hold out, more or less: sentences stay whole.

    Raises:
      ValueError: words is below 1, or leaves no sentence to train on.
    """
    words_up_to = np.cumsum(corpus.ids != SEPARATOR)  # each place
    ends = np.flatnonzero(corpus.ids == SEPARATOR)
    total = int(words_up_to[-1])
    begins = np.concatenate([[0], words_up_to[ends[:-1]]])

    # Of shorter runs a text of long sentences would lose too many, or all.
    run = max(MIN_RUN, total / len(ends))
    runs = int(min(max(words // run, 1), MAX_RUNS))
    out = runs * begins % total < words
    if words < 1 or out.all():
        raise ValueError(
            f'words to hold out are {words:,}; at least 1 of {total:,}, and not every sentence'
        )
    test = np.repeat(out, np.diff(ends, prepend=-1))
    return corpus._replace(ids=corpus.ids[~test]), corpus._replace(ids=corpus.ids[test])
