"""A run's metrics beside those of the committed record: equal to the bit, within bounds, or not.

Every number is compared but clocks. Where versions, processor, devices and data are those of the
record, all have to be equal to the bit. Elsewhere rounding differs, and a game of two networks
makes much of that, so two bounds hold:

- the first average of each training metric is within 0.001 of the largest value that it had;
- the last value of each test metric and score is within as much, or within three times the range
  that it had over the record's three seeds.

On other data, such as docstrings of other packages, the second alone holds.
"""

import math
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

TOLERANCE = 1e-3  # of the largest value that a metric had
# A run that is rounded otherwise is at worst as far off as another seed's, and three seeds show
# some of what those do.
RANGES = 3

Value = float | None  # None where it was not finite
Row = Mapping[str, Value]  # 'step', then each metric by name

# Of the record: command, source, environment, finals: {name: one value a seed}, rows
Entry = Mapping[str, Any]

Place = tuple[int, str]  # the step and the name of a number

ABSENT = 'absent'


class Result(NamedTuple):
    """What came of a launch."""

    seconds: float
    failure: str = ''  # how the launch ended, where it did not end well
    rows: Sequence[Row] = ()
    environment: Mapping[str, Any] = {}
    source: Mapping[str, Any] = {}


def without_clocks(rows: Sequence[Row]) -> list[Row]:
    """Rows of metrics without clocks and rates."""
    return [
        {name: value for name, value in row.items() if not name.startswith('time/')} for row in rows
    ]


def final_values(rows: Sequence[Row]) -> dict[str, Value]:
    """The last value of each test metric and score."""
    return {name: value for (_, name), value in _numbers(rows).items() if _is_score(name)}


def verdict(entry: Entry | None, argv: Sequence[str], result: Result) -> str:
    """How a run compares with the record.

    Args:
      entry: of the record; None where it has none.
      argv: flags of the run.
      result: of the run.

    Returns:
      'to the bit', 'within bounds' or 'DIFFERENT: ...' with the first difference; then how the
      environments differ.
    """
    if result.failure:
        return f'DIFFERENT: {result.failure}'
    if entry is None or entry['command'] != shlex.join(argv):
        return 'DIFFERENT: the record has no such command'
    change = first_change(entry['rows'], result.rows)
    if not change:
        return 'to the bit'

    recorded, here = entry['environment'], result.environment
    keys = [key for key in dict.fromkeys([*recorded, *here]) if recorded.get(key) != here.get(key)]
    if set(keys) <= {'data'}:
        # Data that changed with nothing else were changed by the source, which is no excuse.
        difference = change
    else:
        difference = first_outside(entry, result.rows, early='data' not in keys)
    says = f'DIFFERENT: {difference}' if difference else 'within bounds'
    for key in keys:
        says += f'; {key} is {here.get(key) or "none"} here and {recorded.get(key) or "none"} there'
    return says


def first_change(recorded: Sequence[Row], here: Sequence[Row]) -> str:
    """The first number that differs in a bit, or is missing on one side; '' where all are equal."""
    for place, a, b in _pairs(recorded, here):
        if repr(a) != repr(b):
            return _difference(place, a, b)
    return ''


def first_outside(entry: Entry, here: Sequence[Row], early: bool = True) -> str:
    """The first number beyond its bound, or missing on one side; '' where there is none.

    Args:
      entry: of the record.
      here: rows of the run.
      early: whether the first averages of training have bounds too.
    """
    bounds = limits(entry, early)
    for place, a, b in _pairs(entry['rows'], here):
        if _distance(a, b) > bounds.get(place, sys.float_info.max):
            return _difference(place, a, b)
    return ''


def limits(entry: Entry, early: bool = True) -> dict[Place, float]:
    """How far a number may be from the record's, for those that have a bound.

    Args:
      entry: of the record.
      early: whether the first averages of training have bounds too.
    """
    first: dict[str, int] = {}  # name -> step
    last: dict[str, int] = {}
    for step, name in _numbers(entry['rows']):
        first.setdefault(name, step)
        last[name] = step

    bounds = {}
    for name in last:
        if not _is_score(name) and not early:
            continue
        step = last[name] if _is_score(name) else first[name]
        largest = max(abs(row.get(name) or 0.0) for row in entry['rows'])
        over_seeds = _range(entry['finals'].get(name, ()))
        bounds[step, name] = max(TOLERANCE * largest, RANGES * over_seeds)
    return bounds


def _is_score(name: str) -> bool:
    """Whether a metric is one of tests or probes; those of training have no folder."""
    return '/' in name


def _range(values: Sequence[Value]) -> float:
    known = [value for value in values if value is not None]
    return max(known) - min(known) if known else 0.0


def _distance(a: Value | str, b: Value | str) -> float:
    """Between two values; infinite where one alone is a number."""
    if a == b:
        return 0.0
    numbers = isinstance(a, float | int) and isinstance(b, float | int)
    return abs(a - b) if numbers else math.inf


def _numbers(rows: Sequence[Row]) -> dict[Place, Value]:
    """The numbers of rows, in their order."""
    return {
        (row['step'], name): value for row in rows for name, value in row.items() if name != 'step'
    }


def _pairs(
    recorded: Sequence[Row], here: Sequence[Row]
) -> Iterator[tuple[Place, Value | str, Value | str]]:
    """Each number of the record and of the run, in the order of steps."""
    a, b = _numbers(recorded), _numbers(here)
    for place in sorted(a | b, key=lambda place: place[0]):
        yield place, a.get(place, ABSENT), b.get(place, ABSENT)


def _difference(place: Place, recorded: Value | str, here: Value | str) -> str:
    step, name = place
    return f'step {step} {name} is {here} here and {recorded} there'
