"""The command lines of the smaller programs: names, and flags that stand in a table."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from launch.cli import readers
from launch.cli.readers import Reader
from launch.cli.refusal import Refused, nearest, refusing


class Option(NamedTuple):
    """A flag of a program.

    Attributes:
      field: what its value is called.
      read: (the flag, its text) -> its value; None of a flag that takes no text and is True.
    """

    field: str
    read: Reader | None = readers.text


def parsed(
    argv: Sequence[str], options: Mapping[str, Option]
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """(the words that are no flags, the values of the flags by their fields) of a command line.

    Args:
      argv: its words, where a flag stands as `--flag value` or `--flag=value`.
      options: the flags, as they are given.

    Raises:
      Refused: an unknown flag, one that is given twice, a value that is missing or not allowed.
    """
    names: list[str] = []
    values: dict[str, Any] = {}
    words = iter(argv)
    for word in words:
        if not word.startswith('-'):
            names.append(word)
            continue
        flag, equals, text = word.partition('=')
        if flag not in options:
            raise Refused(f'{flag} is no flag; {nearest(flag, [*options, "--help"])}')
        field, read = options[flag]
        if field in values:
            raise Refused(f'{flag} is given twice')
        if read is None:
            if equals:
                raise Refused(f'{flag} takes no value, and {text} is given')
            values[field] = True
            continue
        if not equals:
            text = next(words, '')
        if not text:
            raise Refused(f'{flag} needs a value')
        with refusing(ValueError):
            values[field] = read(flag, text)
    return tuple(names), values


def only(names: Sequence[str], what: str, takes: str) -> str:
    """The one name of a command line that takes one.

    Args:
      names: that are given.
      what: it is called in the usage, as RUN.
      takes: what it may be.

    Raises:
      Refused: there is none, or more than one.
    """
    if not names:
        raise Refused(f'{what} is missing; it takes {takes}')
    if len(names) > 1:
        raise Refused(f'{what} is {", ".join(names)}; it takes {takes}')
    return names[0]
