"""Runs that differ in their seed alone are one group, with a mean and a standard deviation over the
seeds."""

import json
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from launch.viewer.runs import Run, last_metrics


class Statistics(NamedTuple):
    """Of one metric over the runs of a group."""

    mean: float | None  # None: one of the values is missing or was not finite
    deviation: float | None  # of a sample, n - 1; None for fewer than two values
    count: int


class Group(NamedTuple):
    runs: list[Run]  # in the order of their seeds

    @property
    def config(self) -> dict[str, Any]:
        """Dotted key -> value, but for the seed."""
        return without_seed(self.runs[0])


def without_seed(run: Run) -> dict[str, Any]:
    """A run's config but for the seed."""
    return {key: value for key, value in run.config.items() if key != 'seed'}


def groups(runs: Sequence[Run], keys: Sequence[str]) -> list[Group]:
    """Groups in the order of the values that they have for these keys, numbers before texts."""
    by_config: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: _order(run.config.get('seed'))):
        # A run without a config has nothing in common with any other.
        config = json.dumps(without_seed(run), sort_keys=True) if run.config else str(run.workdir)
        by_config.setdefault(config, []).append(run)

    def order(group):
        return [_order(group.config.get(key)) for key in keys]

    return sorted(map(Group, by_config.values()), key=order)


def _order(value):
    is_number = isinstance(value, int | float)
    return (0, value, '') if is_number else (1, 0, json.dumps(value))


def summarise(values: Sequence[float | None]) -> Statistics:
    """Mean and standard deviation of a sample."""
    count = len(values)
    if not values or None in values:
        return Statistics(None, None, count)
    deviation = statistics.stdev(values) if count > 1 else None
    return Statistics(statistics.fmean(values), deviation, count)


def final_metrics(group: Group) -> dict[str, Statistics]:
    """What the group's runs measured last; of those that are done, where any is."""
    runs = [run for run in group.runs if run.status == 'done'] or group.runs
    metrics = [last_metrics(run) for run in runs]
    names = dict.fromkeys(name for values in metrics for name in values)
    return {name: summarise([values.get(name) for values in metrics]) for name in names}
