"""Pairs of words with a relation, as files have them: WordNet and BLESS.

A pair is (x, y, relation). The relation HYPER says that y is a hypernym of x; every other is a
negative.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

Pair = tuple[str, str, str]

HYPER = 'hyper'


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
    for number, fields in _rows(path, 'lemma', 'hypernym', 'sense', 'steps'):
        lemma, hypernym, sense, steps = fields
        if not (_is_count(sense) and _is_count(steps)):
            raise ValueError(
                f'{path} line {number} has sense {sense!r}, steps {steps!r}; both are 1 or more'
            )
        links.append(Link(lemma, hypernym, int(sense), int(steps)))
    return links


def _is_count(field: str) -> bool:
    return re.fullmatch('[1-9][0-9]{0,8}', field) is not None


def read_bless(pairs: Path | str, relations: Path | str) -> list[Pair]:
    """The noun pairs of BLESS (Baroni and Lenci 2011), each once, with their relations.

    Args:
      pairs: a table with the columns word1, word2, label; label 1 says that word2 is a hypernym of
        word1.
      relations: a table with the columns concept, relatum, relation. It names the relation of a
        pair that is no hypernym (coord, mero, random, ...); one that it does not have, or calls a
        hypernym, is `other`.

    Raises:
      OSError: a file cannot be read.
      ValueError: one is not UTF-8; one, or a line of one, lacks a column; a label is neither 0 nor
        1.
    """
    negatives = {}
    for _, (x, y, relation) in _rows(relations, 'concept', 'relatum', 'relation'):
        negatives[x, y] = 'other' if relation == HYPER else relation

    labels = {}
    for number, (x, y, label) in _rows(pairs, 'word1', 'word2', 'label'):
        if label not in ('0', '1'):
            raise ValueError(f'{pairs} line {number} has the label {label!r}; it is 0 or 1')
        labels[x, y] = label

    return [
        (x, y, HYPER if label == '1' else negatives.get((x, y), 'other'))
        for (x, y), label in labels.items()
    ]


def _rows(path: Path | str, *columns: str) -> list[tuple[int, list[str]]]:
    """(number, fields) of the lines of a table, of these columns; empty lines are skipped.

    Columns are separated by tabs and named in the first line.
    """
    try:
        header, *lines = Path(path).read_bytes().decode().split('\n')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not UTF-8 text, at byte {error.start}') from None

    names = header.rstrip('\r').split('\t')
    missing = [name for name in columns if name not in names]
    if missing:
        raise ValueError(f'{path} has no column {missing[0]}; it needs {", ".join(columns)}')
    places = [names.index(name) for name in columns]

    rows = []
    for number, line in enumerate(lines, 2):
        if not line.strip():
            continue
        fields = line.rstrip('\r').split('\t')
        if len(fields) < len(names):
            raise ValueError(
                f'{path} has a line {number} of too few columns; it needs {", ".join(columns)}'
            )
        rows.append((number, [fields[place] for place in places]))
    return rows


def ancestors(links: Iterable[Link]) -> Callable[[str], set[str]]:
    """word -> its hypernyms and theirs, up to the root.

    Every sense of the word itself counts, but of a hypernym the first alone: links do not say which
    sense of the hypernym is meant, and over all senses nearly every noun leads to the same
    thousands.
    """
    hypernyms = defaultdict(set)
    first_hypernyms = defaultdict(set)  # of the first sense
    for link in links:
        hypernyms[link.lemma].add(link.hypernym)
        if link.sense == 1:
            first_hypernyms[link.lemma].add(link.hypernym)

    def ancestors_of(word):
        visited = set()
        front = hypernyms.get(word, set())
        while front:
            visited |= front
            front = set().union(*(first_hypernyms.get(y, ()) for y in front)) - visited
        return visited

    return ancestors_of
