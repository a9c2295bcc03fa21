"""Test sets of words: how similar people find two words, and analogies.

Words are returned as they are written; how case is folded is up to what compares them with a
vocabulary.
"""

import math
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

Pair = tuple[str, str, float]  # two words and people's score, higher for more alike
Question = tuple[str, str, str, str, str]  # category, a, b, c, d: a is to b as c is to d


class WordSets(NamedTuple):
    similarity: dict[str, list[Pair]]
    analogies: list[Question]


FILES = {
    'men': ('men.tsv',),
    'wordsim353': ('wordsim353_sim.tsv', 'wordsim353_rel.tsv'),
    'simlex999': ('simlex999.tsv',),
    'rg65': ('rg65.tsv',),
}
ANALOGIES = 'questions-words.txt'


def read_sets(folder: str | os.PathLike) -> WordSets:
    """The similarity sets and the analogies in a folder; a file may be missing.

    WordSim-353 is the union of its two halves, similarity and relatedness.

    Args:
      folder: of files as FILES and ANALOGIES name them.

    Raises:
      FileNotFoundError: the folder has none of the files.
      ValueError: as `read_similarity` and `read_analogies`.
    """
    folder = pathlib.Path(folder)

    similarity = {}
    for name, files in FILES.items():
        paths = [folder / file for file in files]
        if all(path.is_file() for path in paths):
            similarity[name] = union(*(read_similarity(path) for path in paths))

    path = folder / ANALOGIES
    analogies = read_analogies(path) if path.is_file() else []

    if not similarity and not analogies:
        known = [file for files in FILES.values() for file in files]
        raise FileNotFoundError(
            f'{folder} holds no word sets; known are {", ".join([*known, ANALOGIES])}'
        )
    return WordSets(similarity, analogies)


def union(*sets: list[Pair]) -> list[Pair]:
    """Sets of pairs as one, without pairs of an earlier set, in either order of the two words."""
    pairs = []
    for other in sets:
        known = {frozenset(pair[:2]) for pair in pairs}
        pairs += [pair for pair in other if frozenset(pair[:2]) not in known]
    return pairs


def read_similarity(path: str | os.PathLike) -> list[Pair]:
    """Word pairs with a score: (word 1, word 2, score), in the file's order and scale.

    A line has two words and then, at once or after other columns, the score: its first number.
    Columns are set apart by tabs, commas, semicolons or spaces. A first line without a number is a
    header; empty lines and lines that begin with # are skipped. This is how MEN (natural form;
    Bruni et al. 2014), SimLex-999 (Hill et al. 2015), WordSim-353 (Finkelstein et al. 2002, and its
    halves by Agirre et al. 2009) and RG-65 (Rubenstein and Goodenough 1965) are distributed.

    Raises:
      OSError: the file cannot be read.
      ValueError: a line is something else, or there is no pair.
    """
    pairs = []
    for number, line in _lines(path):
        fields = _fields(line)
        score = next(filter(math.isfinite, map(_number, fields[2:])), None)
        if score is not None and all(fields[:2]):
            pairs.append((fields[0], fields[1], score))
        elif number > 1:
            raise ValueError(
                f'{path} line {number} is {line[:60]!r}; wanted are two words and a score'
            )
    if not pairs:
        raise ValueError(f'{path} holds no pairs; wanted are lines of two words and a score')
    return pairs


def read_analogies(path: str | os.PathLike) -> list[Question]:
    """Analogy questions in the form of questions-words.txt (Mikolov et al. 2013, arXiv:1301.3781).

    A line `: category` begins a category; each line after it has four words, the first to the
    second as the third to the fourth.

    Raises:
      OSError: the file cannot be read.
      ValueError: a line is something else, or there is no question.
    """
    questions = []
    category = None
    for number, line in _lines(path):
        words = line.split()
        if line.startswith(':'):
            category = line[1:].strip()
        elif category is None or len(words) != 4:
            wanted = 'four words' if category else 'a category, as in ": family"'
            raise ValueError(f'{path} line {number} is {line[:60]!r}; wanted is {wanted}')
        else:
            questions.append((category, *words))
    if not questions:
        raise ValueError(
            f'{path} holds no questions; wanted are categories and lines of four words'
        )
    return questions


def _lines(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """(number, line) of the lines that are no comments and not empty, numbered from 1."""
    try:
        text = pathlib.Path(path).read_text('utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not UTF-8 text, at byte {error.start}') from None
    lines = ((number, line.strip()) for number, line in enumerate(text.split('\n'), 1))
    return ((number, line) for number, line in lines if line and not line.startswith('#'))


def _fields(line: str) -> list[str]:
    separator = next((mark for mark in '\t,;' if mark in line), None)  # None: any run of spaces
    return [field.strip() for field in line.split(separator)]


def _number(field: str) -> float:
    try:
        return float(field)
    except ValueError:
        return math.nan
