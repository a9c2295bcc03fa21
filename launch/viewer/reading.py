"""Run directories read without jax; what is missing or torn in them is left out."""

import fcntl
import itertools
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from launch.cli.flat import flat
from launch.cli.refusal import Refused
from launch.viewer.runs import Run, training_launches


def find_runs(folders: Sequence[pathlib.Path]) -> list[Run]:
    """The runs in folders, each a run directory or one that holds some, in the order of their
    names.

    Raises:
      Refused: a folder is none, or holds no run.
    """
    workdirs: dict[pathlib.Path, pathlib.Path] = {}  # resolved -> as it was named
    for folder in folders:
        if not folder.is_dir():
            raise Refused(f'{folder} is no directory')
        configs = [*folder.glob('config.json'), *folder.glob('*/config.json')]
        logs = folder.glob('*-????????.log')  # of a run of which there may be nothing else
        here = [path.parent for path in configs] + [path.with_suffix('') for path in logs]
        if not here:
            raise Refused(f'{folder} holds no run')
        workdirs |= {path.resolve(): path for path in sorted(here)}
    return [read_run(path) for path in workdirs.values()]


def read_run(workdir: pathlib.Path) -> Run:
    """One run directory."""
    config = _parsed(_text(workdir / 'config.json'))
    manifest = _parsed(_text(workdir / 'manifest.json'))
    if 'steps' in manifest:  # it was made longer
        config['steps'] = manifest['steps']
    launches = training_launches(manifest.get('launches', []))
    status = _status(workdir, config, launches)
    return Run(
        workdir=workdir,
        experiment=manifest.get('experiment', workdir.name.rpartition('-')[0] or '?'),
        config=flat(config),
        launches=launches,
        rows=_rows(workdir),
        status=status,
        reason=_reason(workdir, status),
    )


def _status(workdir, config, launches):
    if _is_locked(workdir):
        return 'running'
    if (workdir / 'checkpoints' / str(config.get('steps'))).is_dir():
        return 'done'
    return launches[-1].get('ended', 'stopped') if launches else 'stopped'


def _reason(workdir, status):
    """What the last launch noted, or else the last line of a sweep's log."""
    if status in ('done', 'running'):
        return ''
    if status != 'stopped':
        return status
    log = _text(workdir.with_name(f'{workdir.name}.log'))
    lines = [line.strip() for line in log.split('\n') if line.strip()]
    return lines[-1] if lines else ''


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text('utf-8', 'replace')
    except OSError:
        return ''


def _parsed(text: str) -> dict[str, Any]:
    """The JSON object of a text; an empty one, where it is torn."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _is_locked(workdir):
    """Whether a launch has the directory; the lock is tried, and let go of again at once."""
    try:
        with open(workdir / '.lock', encoding='utf-8') as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def _rows(workdir):
    """The lines of metrics.jsonl, up to the first that is torn by the end of its process."""
    rows = map(_parsed, _text(workdir / 'metrics.jsonl').splitlines())
    return list(itertools.takewhile(lambda row: 'step' in row, rows))
