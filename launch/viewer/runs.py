"""What lies in run directories, read without jax: the basis of every table of runs."""

import datetime
import fcntl
import itertools
import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from launch.cli.overrides import flat
from launch.cli.refusal import Refused


class Run(NamedTuple):
    workdir: pathlib.Path
    experiment: str
    config: dict[str, Any]  # dotted key -> value
    launches: list[dict[str, Any]]  # of the manifest, those that train
    rows: list[dict[str, Any]]  # of metrics.jsonl
    status: str  # 'done', 'running', 'stopped' or, where the last launch says why, what it said

    @property
    def step(self) -> int:
        return self.rows[-1]['step'] if self.rows else 0


def find(folders: Sequence[pathlib.Path]) -> list[Run]:
    """The runs in folders, each a run directory or one that holds some, in the order of their
    names.

    Raises:
      Refused: a folder is none, or holds no run.
    """
    found = {}
    for folder in folders:
        if not folder.is_dir():
            raise Refused(f'{folder} is no directory')
        here = [
            path.parent for path in [*folder.glob('config.json'), *folder.glob('*/config.json')]
        ]
        here += [
            path.with_suffix('') for path in folder.glob('*-????????.log')
        ]  # it may be all that there is
        if not here:
            raise Refused(f'{folder} holds no run')
        found |= {path.resolve(): path for path in sorted(here)}
    return [read(path) for path in found.values()]


def read(workdir: pathlib.Path) -> Run:
    """One run directory; what is missing or torn in it is left out."""
    config, manifest = (_parsed(_text(workdir / f'{name}.json')) for name in ('config', 'manifest'))
    launches = trained(manifest.get('launches', []))
    done = (workdir / 'checkpoints' / str(config.get('steps'))).is_dir()
    ended = launches[-1].get('ended', 'stopped') if launches else 'stopped'
    status = 'running' if _held(workdir) else 'done' if done else ended
    experiment = manifest.get('experiment', workdir.name.rpartition('-')[0] or '?')
    return Run(workdir, experiment, flat(config), launches, _rows(workdir), status)


_LOOKS = r'--mode[= ](evaluate|sample)'


def trained(launches: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the launches that were to train, not to evaluate or sample."""
    return [launch for launch in launches if not re.search(_LOOKS, ' '.join(flags(launch)))]


def flags(launch: dict[str, Any]) -> list[str]:
    """The words of a launch's command line."""
    return launch.get('flags', [])


def _text(path):
    try:
        return path.read_text('utf-8', 'replace')
    except OSError:
        return ''


def _parsed(text):
    """What a JSON object holds; nothing, where it is torn."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


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
    rows = map(_parsed, _text(workdir / 'metrics.jsonl').splitlines())
    return list(
        itertools.takewhile(lambda row: 'step' in row, rows)
    )  # the last line of a killed process is torn


def reason(run: Run) -> str:
    """Why a run is not done, as far as it is known: what the last launch noted, or said last in a
    sweep's log."""
    if run.status not in ('done', 'running', 'stopped'):
        return run.status
    lines = _text(run.workdir.with_name(f'{run.workdir.name}.log')).split('\n')
    said = [line.strip() for line in lines if line.strip()]
    return '' if run.status in ('done', 'running') or not said else said[-1]


def changed(run: Run) -> dict[int, list[str]]:
    """Number of a launch -> the files of the source in which it differs from the launch before it."""
    found = {
        i: (launch.get('source') or {}).get('changed') for i, launch in enumerate(run.launches, 1)
    }
    return {i: files for i, files in found.items() if files}


def differences(runs: Sequence[Run]) -> list[str]:
    """The keys of the configs in which runs of one experiment differ."""
    found = {}
    for experiment in dict.fromkeys(run.experiment for run in runs):
        alike = [run.config for run in runs if run.experiment == experiment and run.config]
        keys = dict.fromkeys(key for config in alike for key in config)
        found |= {
            key: None
            for key in keys
            if len({json.dumps(config.get(key, '-')) for config in alike}) > 1
        }
    return list(found)


def last(run: Run) -> dict[str, float]:
    """The test metrics and scores that a run wrote last: every number but of clocks and of
    training's averages.

    A None is a number that was not finite.
    """
    found = {}
    for row in run.rows:
        found |= {
            name: value
            for name, value in row.items()
            if '/' in name and not name.startswith('time/')
        }
    return found


def seconds(run: Run) -> float:
    """The time that the launches of a run took, as far as its metrics tell."""
    clocks = [row['time/seconds'] for row in run.rows if 'time/seconds' in row]
    ends = [
        a for a, b in itertools.pairwise([*clocks, 0.0]) if b < a
    ]  # a clock that falls is a new launch's
    return sum(ends)


def clock(time: float) -> str:
    """Seconds as h:mm:ss."""
    return str(datetime.timedelta(seconds=round(time)))


def shown(value: Any) -> str:
    """A value of a config as the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value)
