"""What the page says of each experiment, as plain texts and numbers for its template."""

import os
import pathlib
import shlex
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from launch.cli import catalogue
from launch.viewer.curves import charts
from launch.viewer.groups import Group, final_metrics, groups
from launch.viewer.pictures import Embedded, Picture
from launch.viewer.plots import plot
from launch.viewer.runs import Run, as_text, command_line, source_changes
from launch.viewer.table import (
    Cell,
    Columns,
    columns,
    group_cells,
    run_cells,
    status,
    status_counts,
)

COLOURS = 7  # of page.css
DASHES = 4
LINES = 10  # that can be told apart in one chart


class Member(NamedTuple):
    """One run."""

    number: int  # on the page
    name: str
    label: str  # what sets it apart, but for the seed
    seed: str
    status: str
    reason: str  # why it is not done
    cells: list[Cell]
    manifest: str  # its address, relative to the page; '' where there is none
    command: str  # that reproduces it; '' where it is not known
    # Number of a launch -> files of the source that were others before
    changed: dict[int, list[str]]

    @property
    def full_label(self) -> str:
        seed = f'seed={self.seed}'
        return f'{self.label}, {seed}' if self.label else seed


class Row(NamedTuple):
    """Runs that differ in their seed alone."""

    style: str  # classes of page.css: a colour and a dash
    shown: bool  # at first
    label: str
    members: list[Member]
    cells: list[Cell]


class Plot(NamedTuple):
    """One chart."""

    name: str  # of the metric
    item: dict[str, Any]  # what Bokeh draws


class Section(NamedTuple):
    """One experiment."""

    name: str
    summary: str
    counts: dict[str, int]  # status -> runs
    common: dict[str, str]  # what all configs have alike
    columns: list[str]
    rows: list[Row]
    order: str  # which rows are shown at first; '' where all are
    plots: list[Plot]
    thinned: bool  # whether the charts have fewer points than the runs
    # By seed: equal seeds draw from equal noise
    pictures: dict[str, list[tuple[Member, Picture, Embedded]]]
    probes: list[str]
    steps: list[int]

    @property
    def has_seeds(self) -> bool:
        return any(len(row.members) > 1 for row in self.rows)

    @property
    def means_first(self) -> bool:
        """Whether charts show means and bands at first: there are more runs than lines can be
        told apart."""
        return sum(len(row.members) for row in self.rows if row.shown) > LINES

    @property
    def key(self) -> list[tuple[str, str, dict[int, str]]]:
        """Of each row its classes, its label, and its runs' numbers with their labels."""
        return [
            (row.style, row.label, {run.number: run.full_label for run in row.members})
            for row in self.rows
        ]


def section(
    name: str,
    numbered: Sequence[tuple[int, Run]],
    embedded: Sequence[tuple[Picture, Embedded]],
    folder: pathlib.Path,
) -> Section:
    """Everything about one experiment's runs.

    Args:
      numbered: runs, with the number that each has on the page.
      embedded: the pictures that the page has, of any run.
      folder: where the page will lie.
    """
    runs = [run for _, run in numbered]
    numbers = {run.workdir: number for number, run in numbered}
    shape = columns(runs)
    all_groups = groups(runs, shape.settings)
    shown, order = _first(all_groups)
    # Those that are shown at first have the first styles, which are the most unlike each other.
    ranked = sorted(range(len(all_groups)), key=lambda place: (place not in shown, place))
    rows = [
        _row(ranked.index(place), place in shown, group, shape, numbers, folder)
        for place, group in enumerate(all_groups)
    ]
    members = {member.number: member for row in rows for member in row.members}
    pictures = [
        (members[picture.run], picture, image)
        for picture, image in embedded
        if picture.run in members
    ]
    by_number = dict(numbered)
    drawn = charts([[(run.number, by_number[run.number]) for run in row.members] for row in rows])
    last = max(run.step for run in runs)
    return Section(
        name=name,
        summary=catalogue.summary(name) if name in catalogue.names() else '',
        counts=status_counts(runs),
        common=_common(runs, shape.settings),
        columns=shape.names,
        rows=rows,
        order=order,
        plots=[Plot(chart.name, plot(chart, last)) for chart in drawn],
        thinned=any(chart.thinned for chart in drawn),
        pictures=_by_seed(pictures, list(members)),
        probes=_probes(pictures),
        steps=sorted({picture.step for _, picture, _ in pictures}),
    )


def _first(all_groups: Sequence[Group]) -> tuple[list[int], str]:
    """The places of at most LINES groups, and why these: those of the lowest test loss."""
    if len(all_groups) <= LINES:
        return list(range(len(all_groups))), ''
    losses = []
    for place, group in enumerate(all_groups):
        loss = final_metrics(group).get('test/loss')
        if loss is not None and loss.mean is not None:
            losses.append((loss.mean, place))
    if not losses:
        return list(range(LINES)), 'the first'
    return sorted(place for _, place in sorted(losses)[:LINES]), 'those of the lowest test/loss'


def _row(
    rank: int,
    shown: bool,
    group: Group,
    shape: Columns,
    numbers: Mapping[pathlib.Path, int],
    folder: pathlib.Path,
) -> Row:
    settings = [key for key in shape.settings if key in group.config]
    label = ', '.join(f'{key}={as_text(group.config[key])}' for key in settings)
    members = [_member(numbers[run.workdir], run, label, shape, folder) for run in group.runs]
    style = f'c{rank % COLOURS} d{rank // COLOURS % DASHES}'
    return Row(style, shown, label or 'all', members, group_cells(group, shape))


def _member(number: int, run: Run, label: str, shape: Columns, folder: pathlib.Path) -> Member:
    return Member(
        number=number,
        name=run.workdir.name,
        label=label,
        seed=as_text(run.config.get('seed', '?')),
        status=status(run),
        reason=run.reason,
        cells=run_cells(run, shape),
        manifest=_manifest(run, folder),
        command=_command(run),
        changed=source_changes(run),
    )


def _common(runs, settings):
    config = next((run.config for run in runs if run.config), {})
    return {key: as_text(value) for key, value in config.items() if key not in (*settings, 'seed')}


def _manifest(run, folder):
    path = run.workdir / 'manifest.json'
    return urllib.parse.quote(os.path.relpath(path, folder)) if path.exists() else ''


def _command(run):
    """What was launched, without the planned stops on the way."""
    if not run.launches:
        return ''
    launch = run.launches[-1]
    words = ['python', '-m', 'launch', *_without_stop(command_line(launch))]
    xla = launch.get('xla_flags', '')
    setting = f'XLA_FLAGS={shlex.quote(xla)} ' if xla else ''
    return setting + shlex.join(words)


def _without_stop(words):
    kept = []
    for i, word in enumerate(words):
        is_stop = word == '--until' or word.startswith('--until=')
        is_value_of_stop = i > 0 and words[i - 1] == '--until'
        if not is_stop and not is_value_of_stop:
            kept.append(word)
    return kept


def _by_seed(pictures, numbers):
    """The pictures of each seed, in the order of the runs' numbers; seed 2 before 10."""
    by_seed = {}
    for picture in sorted(pictures, key=lambda picture: numbers.index(picture[0].number)):
        by_seed.setdefault(picture[0].seed, []).append(picture)
    return dict(sorted(by_seed.items(), key=lambda item: (len(item[0]), item[0])))


def _probes(pictures):
    """The probes that drew, those of samples first."""
    probes = {picture.probe for _, picture, _ in pictures}
    return sorted(probes, key=lambda probe: ('samples' not in probe, probe))
