"""Parameters of tests that only `make test-slow` runs."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def slow(*values: Any, id: str | None = None):
    """A parameter, as `pytest.param`, with which a test is slow."""
    return pytest.param(*values, id=id, marks=pytest.mark.slow)


def quick_only(quick: Collection, values: Iterable) -> list:
    """Parameters, one value each, of which all but `quick` are slow.

    Raises:
        ValueError: one of `quick` is no value.
    """
    values = list(values)
    unknown = [value for value in quick if value not in values]
    if unknown:
        raise ValueError(f'quick has {unknown}, of which there are no values')
    return [value if value in quick else slow(value) for value in values]
