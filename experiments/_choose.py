"""What a setting names."""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar('T')


def choose(choices: Mapping[str, T], setting: str, name: str) -> T:
    """choices[name].

    Raises:
      ValueError: the name is none of them.
    """
    if name not in choices:
        raise ValueError(f'{setting} is {name}; it must be one of {", ".join(choices)}')
    return choices[name]
