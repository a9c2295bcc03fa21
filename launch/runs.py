"""What lies in run directories, read without jax: the basis of every table of runs."""

import fcntl
import itertools
import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from launch import rundir
from launch.overrides import flat
from launch.refusal import Refused


class Run(NamedTuple):
    workdir: pathlib.Path
    experiment: str
    config: dict[str, Any]  # dotted key -> value
    launches: list[dict[str, Any]]  # of the manifest
    rows: list[dict[str, Any]]  # of metrics.jsonl
    status: str  # 'done', 'running', 'stopped' or, where the last launch says why, what it said

    @property
    def step(self) -> int:
        return self.rows[-1]['step'] if self.rows else 0


def find(folders: Sequence[pathlib.Path]) -> list[Run]:
    """The runs in folders, each a run directory or one that holds some, in the order of their names.

    Raises:
      Refused: a folder is none, or holds no run.
    """
    found = {}
    for folder in folders:
        if not folder.is_dir():
            raise Refused(f'{folder} is no directory')
        here = [path.parent for path in sorted([*folder.glob('config.json'), *folder.glob('*/config.json')])]
        if not here:
            raise Refused(f'{folder} holds no run')
        found |= {path.resolve(): path for path in here}
    return [read(path) for path in found.values()]


def read(workdir: pathlib.Path) -> Run:
    """One run directory; what is missing or torn in it is left out."""
    config = rundir.read(workdir / 'config.json') or {}
    manifest = rundir.read(workdir / 'manifest.json') or {}
    launches = manifest.get('launches', [])
    done = (workdir / 'checkpoints' / str(config.get('steps'))).is_dir()
    ended = launches[-1].get('ended', 'stopped') if launches else 'stopped'
    status = 'running' if _held(workdir) else 'done' if done else ended
    return Run(workdir, manifest.get('experiment', '?'), flat(config), launches, _rows(workdir), status)


def _held(workdir):
    """Whether a launch holds the directory; the lock is tried, and let go of again at once."""
    try:
        with open(workdir / '.lock', encoding='utf-8') as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def _rows(workdir):
    rows = []
    try:
        lines = (workdir / 'metrics.jsonl').read_text('utf-8').splitlines()
    except FileNotFoundError:
        return rows
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:  # the torn last line of a killed process
            break
    return rows


def differences(runs: Sequence[Run]) -> list[str]:
    """The keys of the configs in which runs of one experiment differ."""
    found = {}
    for experiment in dict.fromkeys(run.experiment for run in runs):
        alike = [run.config for run in runs if run.experiment == experiment]
        keys = dict.fromkeys(key for config in alike for key in config)
        found |= {key: None for key in keys if len({json.dumps(config.get(key, '-')) for config in alike}) > 1}
    return list(found)


def last(run: Run) -> dict[str, float]:
    """The test metrics and scores that a run wrote last: every number but of clocks and of training's averages."""
    found = {}
    for row in run.rows:
        found |= {name: value for name, value in row.items() if '/' in name and not name.startswith('time/')}
    return found


def seconds(run: Run) -> float:
    """The time that the launches of a run took, as far as its metrics tell."""
    clocks = [row['time/seconds'] for row in run.rows if 'time/seconds' in row]
    ends = [a for a, b in itertools.pairwise([*clocks, 0.0]) if b < a]  # a clock that falls is a new launch's
    return sum(ends)
