"""Runs that differ in their seed alone are one group, with a mean and a standard deviation over the
seeds."""

import json
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from launch.viewer.runs import Run, last


class Spread(NamedTuple):
    mean: float | None  # None: one of the values is missing or was not finite
    deviation: float | None  # of a sample, n - 1; None for fewer than two values
    count: int


class Group(NamedTuple):
    runs: list[Run]  # in the order of their seeds

    @property
    def config(self) -> dict[str, Any]:
        """Dotted key -> value, but for the seed."""
        return unseeded(self.runs[0])


def unseeded(run: Run) -> dict[str, Any]:
    return {key: value for key, value in run.config.items() if key != 'seed'}


def groups(runs: Sequence[Run], keys: Sequence[str]) -> list[Group]:
    """Groups in the order of the values that they have for these keys, numbers before texts."""
    found = {}
    for run in sorted(runs, key=lambda run: _order(run.config.get('seed'))):
        # What left no config behind has nothing in common with anything.
        alike = json.dumps(unseeded(run), sort_keys=True) if run.config else str(run.workdir)
        found.setdefault(alike, []).append(run)
    return sorted(
        map(Group, found.values()),
        key=lambda group: [_order(group.config.get(key)) for key in keys],
    )


def _order(value):
    number = isinstance(value, int | float)
    return (0, value, '') if number else (1, 0, json.dumps(value))


def spread(values: Sequence[float | None]) -> Spread:
    """Mean and standard deviation of a sample."""
    if not values or None in values:
        return Spread(None, None, len(values))
    return Spread(
        statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values)
    )


def final(group: Group) -> dict[str, Spread]:
    """What the group's runs measured last; of those that are done, where any is."""
    runs = [run for run in group.runs if run.status == 'done'] or group.runs
    found = [last(run) for run in runs]
    names = dict.fromkeys(name for values in found for name in values)
    return {name: spread([values.get(name) for values in found]) for name in names}
