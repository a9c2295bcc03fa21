"""What a subject is: what is varied, who is measured, and how each cost should grow."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Measure(NamedTuple):
    """A cost."""

    unit: str
    expected: float | None  # the slope that it should have at the most; None where none is known


class Options(NamedTuple):
    """What all sides of a subject are told."""

    small: bool  # a problem of seconds, for tests
    data: pathlib.Path | None  # folder of data sets
    scratch: pathlib.Path  # of one run, for files that several points read


# (size, options) -> {measure: cost}
Side = Callable[[float, Options], dict[str, float]]


class Subject(NamedTuple):
    """A family of curves."""

    varied: str  # what a size counts
    sizes: Sequence[float]
    small: Sequence[float]  # sizes of seconds
    sides: Mapping[str, Side]  # genjax's and its peers'
    measures: Mapping[str, Measure]
    environment: Mapping[str, str] = {}  # variables of a point's process
