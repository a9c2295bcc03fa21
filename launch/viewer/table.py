"""The cells of the page's table: one row a run, and one for the runs that differ in their seed
alone."""

import collections
from collections.abc import Sequence
from typing import Any, NamedTuple

from launch.viewer.groups import Group, Spread, final
from launch.viewer.runs import Run, clock, differences, last, reason, seconds, shown

STATUSES = ('done', 'running', 'stopped', 'failed')


class Cell(NamedTuple):
    text: str
    order: float | None = None  # by which a number is sorted; None for a text
    title: str = ''


class Columns(NamedTuple):
    settings: list[str]  # keys in which the configs differ, but for the seed
    metrics: list[str]

    @property
    def names(self) -> list[str]:
        return ['status', *self.settings, 'seed', *self.metrics, 'step', 'time', 'device', 'commit']


def columns(runs: Sequence[Run]) -> Columns:
    """The columns of a table of one experiment's runs."""
    settings = [key for key in differences(runs) if key != 'seed']
    return Columns(settings, list(dict.fromkeys(metric for run in runs for metric in last(run))))


def status(run: Run) -> str:
    return run.status if run.status in STATUSES else 'failed'


def counted(runs: Sequence[Run]) -> dict[str, int]:
    """How many runs have each status, in the order of STATUSES."""
    counts = collections.Counter(map(status, runs))
    return {name: counts[name] for name in STATUSES if counts[name]}


def of_run(run: Run, columns: Columns) -> list[Cell]:
    """A run's own row."""
    values, took = last(run), seconds(run)
    newest = run.launches[-1] if run.launches else {}
    devices, source = newest.get('devices', {}), newest.get('source', {})
    changed = 'with changes that were not committed' if source.get('dirty') else ''
    return [
        Cell(status(run), title=reason(run)),
        *(_setting(run.config, key) for key in [*columns.settings, 'seed']),
        *(_spread(Spread(values.get(metric), None, 1)) for metric in columns.metrics),
        Cell(f'{run.step:,}', run.step),
        Cell(clock(took), took),
        Cell(
            f'{devices["count"]} x {devices["kind"]}' if {'count', 'kind'} <= devices.keys() else ''
        ),
        Cell((source.get('commit') or '')[:7] + ('*' if changed else ''), title=changed),
    ]


def of_group(group: Group, columns: Columns) -> list[Cell]:
    """Means and standard deviations over a group's runs."""
    values, took = final(group), sum(map(seconds, group.runs)) / len(group.runs)
    return [
        Cell(', '.join(f'{count} {name}' for name, count in counted(group.runs).items())),
        *(_setting(group.config, key) for key in columns.settings),
        Cell(f'{len(group.runs)} seeds'),
        *(_spread(values.get(metric, Spread(None, None, 0))) for metric in columns.metrics),
        Cell(''),
        Cell(clock(took), took, 'the mean over the seeds'),
        Cell(''),
        Cell(''),
    ]


def _setting(config: dict[str, Any], key: str) -> Cell:
    value = config.get(key, '')
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(shown(value), float(value) if number else None)


def _spread(value: Spread) -> Cell:
    """Mean and deviation; a dash where there is no number."""
    if value.mean is None:
        return Cell('–')
    if value.deviation is None:
        return Cell(f'{value.mean:.4g}', value.mean)
    told = f'{value.mean:.4g} ± {value.deviation:.2g}'
    return Cell(told, value.mean, f'mean and standard deviation over {value.count} seeds')
