"""Pairs of words with a relation: WordNet and BLESS, divided by words, with negatives beside the
hypernyms.

A pair is (x, y, relation). The relation HYPER says that y is a hypernym of x; every other is a
negative.
"""

import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

Pair = tuple[str, str, str]

HYPER = 'hyper'
CACHED = 10_000  # words whose ancestors are remembered


class Link(NamedTuple):
    """One hypernym of one sense of a noun."""

    lemma: str
    hypernym: str
    sense: int  # of the lemma, from 1, the most frequent
    steps: int  # hypernym links between the two


def read_wordnet(path: Path | str) -> list[Link]:
    """Hypernym links from a table with a header line and the columns lemma, hypernym, sense, steps.

    Raises:
      OSError: the file cannot be read.
      ValueError: it is not UTF-8; it, or a line of it, lacks a column; a sense or steps is no
        number of 1 or more.
    """
    links = []
    for number, lemma, hypernym, *counts in _rows(path, 'lemma', 'hypernym', 'sense', 'steps'):
        if not all(re.fullmatch('[1-9][0-9]{0,8}', count) for count in counts):
            raise ValueError(
                f'{path} line {number} has sense {counts[0]!r}, steps {counts[1]!r}; both are 1 or more'
            )
        links.append(Link(lemma, hypernym, *map(int, counts)))
    return links


def read_bless(pairs: Path | str, relations: Path | str) -> list[Pair]:
    """The noun pairs of BLESS (Baroni and Lenci 2011), each once, with their relations.

    Args:
      pairs: a table with the columns word1, word2, label; label 1 says that word2 is a hypernym of
        word1.
      relations: a table with the columns concept, relatum, relation. It names the relation of a
        pair that is no hypernym (coord, mero, random, ...); one that it does not hold, or calls a
        hypernym, is `other`.

    Raises:
      OSError: a file cannot be read.
      ValueError: one is not UTF-8; one, or a line of one, lacks a column; a label is neither 0 nor
        1.
    """
    named = {
        (x, y): relation for _, x, y, relation in _rows(relations, 'concept', 'relatum', 'relation')
    }
    other = lambda x, y: named[x, y] if named.get((x, y), HYPER) != HYPER else 'other'
    labels = {}
    for number, x, y, label in _rows(pairs, 'word1', 'word2', 'label'):
        if label not in ('0', '1'):
            raise ValueError(f'{pairs} line {number} has the label {label!r}; it is 0 or 1')
        labels[x, y] = label
    return [(x, y, HYPER if label == '1' else other(x, y)) for (x, y), label in labels.items()]


def _rows(path, *columns):
    """(line's number, its fields in these columns) of a table, columns parted by tabs; empty lines
    are passed over."""
    try:
        header, *lines = Path(path).read_bytes().decode().split('\n')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not UTF-8 text, at byte {error.start}') from None
    names, rows = header.rstrip('\r').split('\t'), []
    if missing := [name for name in columns if name not in names]:
        raise ValueError(f'{path} has no column {missing[0]}; it needs {", ".join(columns)}')
    for number, line in enumerate(lines, 2):
        fields = line.rstrip('\r').split('\t')
        if line.strip() and len(fields) < len(names):
            raise ValueError(
                f'{path} has a line {number} of too few columns; it needs {", ".join(columns)}'
            )
        rows += [(number, *(fields[names.index(name)] for name in columns))] if line.strip() else []
    return rows


def lexical_split(
    pairs: Iterable[Pair], *, seed: int, fractions: Sequence[float]
) -> tuple[list[Pair], ...]:
    """Divides pairs into parts that have no word in common, so that no part can profit from words
    of another.

    A supervised model otherwise learns which words are hypernyms of many, whatever the other word
    (Levy et al. 2015, "Do Supervised Distributional Methods Really Learn Lexical Inference
    Relations?"). A word's part is a hash of seed and word, so it is the same in every set of pairs:
    a model that was fitted to one part of WordNet may be tested on another part of BLESS. A pair
    whose words lie in two parts is dropped: of a part with a fraction f of the words about f
    squared of the pairs is left.

    Args:
      fractions: of the words in each part.

    Raises:
      ValueError: fractions are not positive with sum 1.
    """
    return _divided(pairs, lambda x, y: (x, y), seed, fractions)


def hyponym_split(
    pairs: Iterable[Pair], *, seed: int, fractions: Sequence[float]
) -> tuple[list[Pair], ...]:
    """Divides pairs by their first word alone: hyponyms are new in every part, hypernyms are not.

    Scores on it, beside those on a lexical split, show how much of them is memory of hypernyms.
    Arguments and errors are those of lexical_split; no pair is dropped.
    """
    return _divided(pairs, lambda x, y: (x,), seed, fractions)


def _divided(pairs, words, seed, fractions):
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f'fractions are {tuple(fractions)}; they must be positive with sum 1')
    ends = list(itertools.accumulate(fractions))[:-1]
    part = lru_cache(CACHED)(lambda word: sum(_hash(seed, word) / 2**64 >= end for end in ends))
    parts = tuple([] for _ in fractions)
    for x, y, relation in pairs:
        first, *rest = {part(word) for word in words(x, y)}
        if not rest:
            parts[first].append((x, y, relation))
    return parts


def ancestors(links: Iterable[Link]) -> Callable[[str], set[str]]:
    """word -> its hypernyms and theirs, up to the root.

    Every sense of the word itself counts, but of a hypernym the first alone: links do not say which
    sense of the hypernym is meant, and over all senses nearly every noun leads to the same
    thousands.
    """
    above, first = defaultdict(set), defaultdict(set)
    for link in links:
        above[link.lemma].add(link.hypernym)
        if link.sense == 1:
            first[link.lemma].add(link.hypernym)

    def of(word):
        found, front = set(), above.get(word, set())
        while front:
            found |= front
            front = set().union(*(first.get(y, ()) for y in front)) - found
        return found

    return of


def with_negatives(
    pairs: Sequence[Pair], *, ancestors: Callable[[str], Collection[str]], seed: int
) -> list[Pair]:
    """Hypernym pairs, and four negatives for each made of words of the same pairs: about a fifth
    are positive.

    For a pair (x, y) these are
      reverse: (y, x);
      coord: x and another hyponym of y;
      swap: x and the hypernym in another pair, so that knowing what hypernyms look like does not
        help;
      random: x and any word.
    Fu et al. 2014 judge the pairs of words in a hierarchy, most of them reversed or unrelated,
    siblings among these. No negative has one word twice or for its second word an ancestor of the
    first: another is drawn, and where there is none, or the pair is there already, it is left out.

    Args:
      pairs: hypernym pairs of one part of a split.
      ancestors: word -> all its hypernyms.
    """
    above = lru_cache(CACHED)(ancestors)
    hyponyms = defaultdict(list)
    for x, y, _ in pairs:
        hyponyms[y].append(x)
    hypernyms, words = (
        [y for _, y, _ in pairs],
        sorted({word for pair in pairs for word in pair[:2]}),
    )
    relations = {(x, y): relation for x, y, relation in pairs}
    for x, y, _ in pairs:
        if x not in above(y):
            relations.setdefault((y, x), 'reverse')
    for x, y, _ in pairs:
        for kind, among in (('coord', hyponyms[y]), ('swap', hypernyms), ('random', words)):
            z = _drawn(among, {x} | above(x), seed, kind, x, y)
            if z is not None:
                relations.setdefault((x, z), kind)
    return [(*pair, relation) for pair, relation in relations.items()]


def _drawn(words: list[str], refused: Collection[str], *salt) -> str | None:
    """The first word not refused from a random place on, around the end."""
    start = _hash(*salt) % len(words)
    return next((word for word in words[start:] + words[:start] if word not in refused), None)


def _hash(*values) -> int:
    """64 bits that depend on the values alone, on every machine."""
    digest = hashlib.blake2b('\t'.join(map(str, values)).encode(), digest_size=8).digest()
    return int.from_bytes(digest)
