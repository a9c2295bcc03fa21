"""What the page says of each experiment, as plain texts and numbers for its template."""

import os
import pathlib
import shlex
import urllib.parse
from collections.abc import Sequence
from typing import NamedTuple

from launch.cli import catalogue
from launch.viewer.curves import Chart, charts
from launch.viewer.groups import groups
from launch.viewer.pictures import Embedded, Picture
from launch.viewer.runs import Run, changed, flags, reason, shown
from launch.viewer.table import Cell, columns, counted, of_group, of_run, status

COLOURS, DASHES = 7, 4  # of page.css


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
    changed: dict[
        int, list[str]
    ]  # number of a launch -> files of the source that were others before

    @property
    def told(self) -> str:
        return ', '.join(filter(None, [self.label, f'seed={self.seed}']))


class Row(NamedTuple):
    """Runs that differ in their seed alone."""

    look: str  # classes of page.css: a colour and a dash
    label: str
    members: list[Member]
    cells: list[Cell]


class Section(NamedTuple):
    """One experiment."""

    name: str
    summary: str
    counts: dict[str, int]  # status -> runs
    common: dict[str, str]  # what all configs have alike
    columns: list[str]
    rows: list[Row]
    last: int  # step of any run
    charts: list[Chart]
    pictures: dict[
        str, list[tuple[Member, Picture, Embedded]]
    ]  # by seed: equal seeds draw from equal noise
    probes: list[str]
    steps: list[int]

    @property
    def looks(self) -> dict[int, tuple[str, str]]:
        """Number of a run -> its classes and label, for its curves."""
        return {run.number: (row.look, run.told) for row in self.rows for run in row.members}


def section(
    name: str,
    runs: Sequence[tuple[int, Run]],
    held: Sequence[tuple[Picture, Embedded]],
    folder: pathlib.Path,
) -> Section:
    """Everything about one experiment's runs.

    Args:
      runs: with the number that each has on the page.
      held: the pictures that the page can hold, of any run.
      folder: where the page will lie.
    """
    plain, numbers = [run for _, run in runs], {run.workdir: number for number, run in runs}
    shape = columns(plain)
    rows = [
        _row(place, group, shape, numbers, folder)
        for place, group in enumerate(groups(plain, shape.settings))
    ]
    members = {member.number: member for row in rows for member in row.members}
    mine = [
        (members[picture.run], picture, image) for picture, image in held if picture.run in members
    ]
    return Section(
        name=name,
        summary=catalogue.summary(name) if name in catalogue.names() else '',
        counts=counted(plain),
        common=_common(plain, shape.settings),
        columns=shape.names,
        rows=rows,
        last=max(run.step for run in plain),
        charts=charts([(number, dict(runs)[number]) for number in members]),
        pictures=_by_seed(mine, list(members)),
        probes=sorted(
            {picture.probe for _, picture, _ in mine},
            key=lambda probe: ('samples' not in probe, probe),
        ),
        steps=sorted({picture.step for _, picture, _ in mine}),
    )


def _row(place, group, shape, numbers, folder):
    label = ', '.join(
        f'{key}={shown(group.config[key])}' for key in shape.settings if key in group.config
    )
    members = [_member(numbers[run.workdir], run, label, shape, folder) for run in group.runs]
    look = f'c{place % COLOURS} d{place // COLOURS % DASHES}'
    return Row(look, label or 'all', members, of_group(group, shape))


def _member(number, run, label, shape, folder):
    seed = shown(run.config.get('seed', '?'))
    cells, manifest, command = of_run(run, shape), _manifest(run, folder), _command(run)
    told = status(run), reason(run), cells, manifest, command, changed(run)
    return Member(number, run.workdir.name, label, seed, *told)


def _common(runs, settings):
    whole = next((run.config for run in runs if run.config), {})
    return {key: shown(value) for key, value in whole.items() if key not in (*settings, 'seed')}


def _manifest(run, folder):
    path = run.workdir / 'manifest.json'
    return urllib.parse.quote(os.path.relpath(path, folder)) if path.exists() else ''


def _command(run):
    """What was launched, without the planned stops on the way."""
    if not run.launches:
        return ''
    newest, words = run.launches[-1], iter(flags(run.launches[-1]))
    kept = [
        word
        for word in words
        if not word.startswith('--until=') and not (word == '--until' and next(words))
    ]
    xla = newest.get('xla_flags', '')
    return (f'XLA_FLAGS={shlex.quote(xla)} ' if xla else '') + shlex.join(
        ['python', '-m', 'launch', *kept]
    )


def _by_seed(pictures, order):
    found = {}
    for member, picture, image in sorted(pictures, key=lambda item: order.index(item[0].number)):
        found.setdefault(member.seed, []).append((member, picture, image))
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))  # 2 before 10
