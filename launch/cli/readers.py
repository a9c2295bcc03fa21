"""Readers of the values of flags: (the flag as it was given, its text) -> its value.

What they do not take they refuse by a ValueError of one line.
"""

import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

from genjax.home import expanded

MOST_VALUES = 10_000  # of a range
RANGE = re.compile(r'(-?\d{1,10}):(-?\d{1,10})')
Reader = Callable[[str, str], Any]


def text(name: str, text: str) -> str:
    """As it is."""
    del name
    return text


def path(name: str, text: str) -> pathlib.Path:
    """A path, with the home folder of whoever is named in it."""
    try:
        return expanded(text).expanduser()
    except FileNotFoundError as error:
        raise ValueError(f'{name} is {text}; {error}') from None
    except RuntimeError:
        raise ValueError(f'{name} is {text}; nobody here has that home folder') from None


def source(name: str, text: str) -> str:
    """The path of a run or a file in one form, so that the same weights make the same run."""
    given = path(name, text)
    here = pathlib.Path.cwd()
    inside = given.is_absolute() and given.is_relative_to(here)
    normal = os.path.normpath(given.relative_to(here) if inside else given)
    return normal.removesuffix(':last')


def count(name: str, text: str) -> int:
    """A whole number, 1 or more."""
    if not _is_positive(text):
        raise ValueError(f'{name} is {text}; it takes a whole number, 1 or more')
    return int(text)


def whole(least: int, most: int) -> Reader:
    """A reader of a whole number from `least` to `most`."""

    def read(name: str, text: str) -> int:
        # More digits than `most` has are not read, for reading them can take long.
        too_long = len(text) > len(str(most))
        if not text.isdecimal() or (not too_long and int(text) < least):
            raise ValueError(f'{name} is {text}; it takes a whole number, {least} or more')
        if too_long or int(text) > most:
            raise ValueError(f'{name} is {text}; it takes {least} to {most}')
        return int(text)

    return read


def count_to(most: int) -> Reader:
    """A reader of a whole number from 1 to `most`."""

    def read(name: str, text: str) -> int:
        number = count(name, text)
        if number > most:
            raise ValueError(f'{name} is {text}; it takes 1 to {most}')
        return number

    return read


def _is_positive(text: str) -> bool:
    """Whether it is a whole number, 1 or more, of so many digits as anything here may have."""
    return text.isdecimal() and len(text) < 20 and int(text) > 0


def one_of(*allowed: str) -> Reader:
    """A reader of one of some words."""

    def read(name: str, text: str) -> str:
        if text not in allowed:
            raise ValueError(f'{name} is {text}; it takes {" or ".join(allowed)}')
        return text

    return read


def is_one_of(*allowed: str, true: str) -> Reader:
    """A reader of a flag that is on where it has one of the values."""
    read_word = one_of(*allowed)

    def read(name: str, text: str) -> bool:
        return read_word(name, text) == true

    return read


def axes(name: str, text: str) -> dict[str, int]:
    """'data=4,model=2' -> the devices along each axis."""
    pairs = [part.split('=') for part in text.split(',')]
    known = all(len(pair) == 2 and pair[0] in ('data', 'model') for pair in pairs)
    if not known or len(dict(pairs)) < len(pairs) or not all(_is_positive(n) for _, n in pairs):
        raise ValueError(f'{name} is {text}; it takes data=N or data=N,model=M')
    return {axis: int(n) for axis, n in pairs}


def checkpoint(name: str, text: str) -> str:
    """A step, 'best' or 'last'."""
    if text not in ('best', 'last') and not _is_positive(text):
        raise ValueError(f'{name} is {text}; it takes a step, best or last')
    return text


def seed(name: str, text: str) -> int:
    """A whole number of 32 bits."""
    if not text.isdecimal() or len(text) > 10 or int(text) >= 2**32:
        raise ValueError(f'{name} is {text}; it takes 0 to {2**32 - 1}')
    return int(text)


def labels(name: str, text: str) -> tuple[int, ...] | None:
    """'0,1,7' -> labels; None for 'all'."""
    if text == 'all':
        return None
    if not re.fullmatch(r'\d{1,9}(,\d{1,9})*', text):
        raise ValueError(f'{name} is {text}; it takes all, a label or several, as 3 or 0,1,7')
    return tuple(map(int, text.split(',')))


def seeds(name: str, text: str) -> tuple[int, ...]:
    """'a,b,c' or 'a:b' -> different seeds, at least one."""
    counted = whole_range(text, name)
    parts = text.split(',')
    if counted is None and not all(re.fullmatch(r'\d{1,10}', part) for part in parts):
        raise ValueError(f'{name} is {text}; it takes a,b,c or a:b, as 0:4 for 0, 1, 2, 3')
    numbers = tuple(map(int, parts)) if counted is None else tuple(counted)
    if not numbers:
        raise ValueError(f'{name} is {text}, which is no seed')
    if len(set(numbers)) < len(numbers):
        raise ValueError(f'{name} is {text}, which has a value twice')
    return numbers


def whole_range(text: str, name: str, given: str | None = None) -> range | None:
    """The numbers of 'a:b', from a to b - 1; None where the text is no range.

    Args:
      name: of the flag that has it, and what was `given` to that, if it is more than the range.

    Raises:
      ValueError: they are more than MOST_VALUES.
    """
    ends = RANGE.fullmatch(text)
    if ends is None:
        return None
    numbers = range(*map(int, ends.groups()))
    if len(numbers) > MOST_VALUES:
        raise ValueError(
            f'{name} is {given or text}, {len(numbers)} values; {MOST_VALUES} are the most'
        )
    return numbers
