"""Nested groups of values by dotted keys."""

from collections.abc import Mapping
from typing import Any


def flat(tree: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    """Dotted key -> value, for every value that is no group."""
    leaves = {}
    for name, value in tree.items():
        key = f'{prefix}{name}'
        if isinstance(value, Mapping):
            leaves |= flat(value, f'{key}.')
        else:
            leaves[key] = value
    return leaves
