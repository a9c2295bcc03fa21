"""Sub-words: the character n-grams of words, hashed into buckets.

Bojanowski et al. 2017, "Enriching word vectors with subword information" (arXiv:1607.04606),
section 3.2. A word stands between < and >, so that `where` has the 3-grams <wh, whe, her, ere, re>.
N-grams, order and hashes are those of the authors' program and of gensim.

Letters: V words, S n-grams or sub-words of all of them, K buckets, U of them used, N bytes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

FNV_BASIS = 2166136261
FNV_PRIME = 16777619
BYTES_A_CHARACTER = 4  # of UTF-8, at the most
MAX_BUCKETS = 2**31 - 1


class Ngrams(NamedTuple):
    """The n-grams of words: those of the first word, by where they begin and then by length; those
    of the second; and so on."""

    words: np.ndarray  # int32 [S], the place of the word
    hashes: np.ndarray  # uint32 [S]


class Subwords(NamedTuple):
    """The sub-words of V words: of each word itself, and then its n-grams.

    A word's own number is its place. A bucket that some word uses has the next free number from V
    on, so that buckets without any n-gram take no room.
    """

    numbers: np.ndarray  # int32 [S], 0 to V + U - 1, those of the first word, of the second, ...
    counts: np.ndarray  # int32 [V], 1 or more
    used: np.ndarray  # int64 [U], the buckets that are used, in their order
    shortest: int
    longest: int
    buckets: int


def ngrams(words: Sequence[str], *, shortest: int, longest: int) -> Ngrams:
    """The n-grams of words with their hashes, all words at a time.

    Args:
      words: V of them.
      shortest: characters of an n-gram, at the least; < and > count, but are none alone.
      longest: at the most; 0 for no n-grams.

    Raises:
      ValueError: shortest is below 1, or longest below 0.
    """
    if shortest < 1 or longest < 0:
        raise ValueError(
            f'n-grams of {shortest} to {longest} characters; the shortest has at least 1, and the '
            'longest 0 stands for none'
        )
    encoded = [f'<{word}>'.encode() for word in words]
    lengths = np.array([len(word) for word in encoded], np.int64)
    text = np.frombuffer(b''.join(encoded), np.uint8)
    word_of = np.repeat(np.arange(len(words), dtype=np.int32), lengths)
    end_of = np.cumsum(lengths)[word_of]
    is_first = (text & 0xC0) != 0x80  # byte of a character
    starts = np.flatnonzero(is_first)
    at_left_edge = starts == (end_of - lengths[word_of])[starts]
    # Of each byte of the program's hash the sign is extended, unlike FNV-1a's
    extended = text.astype(np.int8).astype(np.uint32)

    hashes = np.full(len(starts), FNV_BASIS, np.uint32)
    characters = np.zeros(len(starts), np.int64)
    found = []
    for offset in range(BYTES_A_CHARACTER * longest):
        at = starts + offset
        live = np.flatnonzero((at < end_of[starts]) & (characters < longest))
        if not len(live):
            break
        at = at[live]
        hashes[live] = (hashes[live] ^ extended[at]) * np.uint32(FNV_PRIME)
        at_right_edge = at + 1 == end_of[starts[live]]
        whole = at_right_edge | is_first[np.minimum(at + 1, len(text) - 1)]
        characters[live] += whole
        alone = (characters[live] == 1) & (at_left_edge[live] | at_right_edge)
        ends = live[whole & (characters[live] >= shortest) & ~alone]
        found.append((ends, characters[ends], hashes[ends]))

    if not found:
        return Ngrams(np.zeros(0, np.int32), np.zeros(0, np.uint32))
    places, sizes, hashes = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((sizes, places))
    return Ngrams(word_of[starts[places[order]]], hashes[order])


def subwords(words: Sequence[str], *, shortest: int, longest: int, buckets: int) -> Subwords:
    """The sub-words of a vocabulary.

    Args:
      words: V of them.
      shortest, longest: characters of an n-gram, as of `ngrams`.
      buckets: K, into which n-grams are hashed; 2,000,000 in the paper.

    Raises:
      ValueError: a number is out of range.
    """
    if not 1 <= buckets <= MAX_BUCKETS:
        raise ValueError(f'buckets is {buckets}; it takes 1 to {MAX_BUCKETS}')
    found = ngrams(words, shortest=shortest, longest=longest)
    used, numbers = np.unique(found.hashes % np.int64(buckets), return_inverse=True)
    size = len(words)
    own = np.arange(size, dtype=np.int32)
    # Each word's own number before those of its n-grams
    begins = np.searchsorted(found.words, own)
    numbers = np.insert((size + numbers).astype(np.int32), begins, own)
    counts = 1 + np.bincount(found.words, minlength=size).astype(np.int32)
    return Subwords(numbers, counts, used, shortest, longest, buckets)


def known_ngrams(word: str, subwords: Subwords) -> np.ndarray:
    """The numbers of the n-grams of any word whose buckets are used, int32; it may be none.

    In fastText other buckets have vectors of chance, which no training has changed.
    """
    found = ngrams([word], shortest=subwords.shortest, longest=subwords.longest)
    buckets = found.hashes % np.int64(subwords.buckets)
    places = np.searchsorted(subwords.used, buckets)
    is_used = np.isin(buckets, subwords.used)
    return (len(subwords.counts) + places[is_used]).astype(np.int32)
