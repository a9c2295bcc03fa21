"""The cells of the page's table: one row a run, and one for the runs that differ in their seed
alone."""

import collections
from collections.abc import Sequence
from typing import Any, NamedTuple

from launch.viewer.groups import Group, Statistics, final_metrics
from launch.viewer.runs import Run, as_text, clock, differing_keys, last_metrics, seconds

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
    settings = [key for key in differing_keys(runs) if key != 'seed']
    metrics = dict.fromkeys(metric for run in runs for metric in last_metrics(run))
    return Columns(settings, list(metrics))


def status(run: Run) -> str:
    """One of STATUSES."""
    return run.status if run.status in STATUSES else 'failed'


def status_counts(runs: Sequence[Run]) -> dict[str, int]:
    """How many runs have each status, in the order of STATUSES."""
    counts = collections.Counter(map(status, runs))
    return {name: counts[name] for name in STATUSES if counts[name]}


def run_cells(run: Run, columns: Columns) -> list[Cell]:
    """A run's own row."""
    values = last_metrics(run)
    took = seconds(run)
    launch = run.launches[-1] if run.launches else {}
    return [
        Cell(status(run), title=run.reason),
        *(_setting(run.config, key) for key in [*columns.settings, 'seed']),
        *(_metric(Statistics(values.get(metric), None, 1)) for metric in columns.metrics),
        Cell(f'{run.step:,}', run.step),
        Cell(clock(took), took),
        _device(launch.get('devices', {})),
        _commit(launch.get('source', {})),
    ]


def group_cells(group: Group, columns: Columns) -> list[Cell]:
    """Means and standard deviations over a group's runs."""
    values = final_metrics(group)
    missing = Statistics(None, None, 0)
    took = sum(map(seconds, group.runs)) / len(group.runs)
    counts = status_counts(group.runs)
    return [
        Cell(', '.join(f'{count} {name}' for name, count in counts.items())),
        *(_setting(group.config, key) for key in columns.settings),
        Cell(f'{len(group.runs)} seeds'),
        *(_metric(values.get(metric, missing)) for metric in columns.metrics),
        Cell(''),
        Cell(clock(took), took, 'the mean over the seeds'),
        Cell(''),
        Cell(''),
    ]


def _setting(config: dict[str, Any], key: str) -> Cell:
    value = config.get(key, '')
    text = as_text(value)
    if isinstance(value, float):
        return Cell(as_text(float(f'{value:.6g}')), value, text)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return Cell(text, float(value) if is_number else None)


def _metric(value: Statistics) -> Cell:
    """Mean and deviation; a dash where there is no number."""
    if value.mean is None:
        return Cell('–')
    if value.deviation is None:
        return Cell(f'{value.mean:.4g}', value.mean)
    text = f'{value.mean:.4g} ± {value.deviation:.2g}'
    return Cell(text, value.mean, f'mean and standard deviation over {value.count} seeds')


def _device(devices: dict[str, Any]) -> Cell:
    known = {'count', 'kind'} <= devices.keys()
    return Cell(f'{devices["count"]} x {devices["kind"]}' if known else '')


def _commit(source: dict[str, Any]) -> Cell:
    commit = (source.get('commit') or '')[:7]
    if source.get('dirty'):
        return Cell(f'{commit}*', title='with changes that were not committed')
    return Cell(commit)
