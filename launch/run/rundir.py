"""The run directory: which one belongs to a config, whether it may be used, and what is written at
its door."""

import hashlib
import json
import os
import pathlib
from typing import Any

from ml_collections import ConfigDict

from launch.cli.overrides import flat
from launch.cli.refusal import Refused, Unusable
from launch.run import source_files
from launch.viewer import runs


def identity(config: ConfigDict) -> dict[str, Any]:
    """The config as JSON holds it, without data_dir: where the data lie changes no result."""
    plain = json.loads(json.dumps(config.to_dict(), sort_keys=True))
    return {key: value for key, value in plain.items() if key != 'data_dir'}


def default(name: str, config: dict[str, Any]) -> pathlib.Path:
    """runs/NAME-HASH, so that the same command finds its own run again."""
    canonical = json.dumps(config, sort_keys=True, separators=(',', ':'))
    return pathlib.Path('runs', f'{name}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}')


def check(workdir: pathlib.Path, name: str, config: dict[str, Any]):
    """Sees, writing nothing, that this experiment with this config may use the directory.

    Raises:
      Unusable: it cannot be made or written, belongs to another run, or holds files of something
        else.
    """
    try:
        _check(workdir, name, config)
    except PermissionError as error:
        raise Unusable(
            f'workdir {workdir} cannot be used: {error.strerror}: {error.filename}', workdir
        ) from None
    except Refused as refusal:
        raise Unusable(str(refusal), workdir) from None


def _check(workdir, name, config):
    there = next(path for path in (workdir, *workdir.absolute().parents) if path.exists())
    if not there.is_dir():
        raise Refused(f'workdir {workdir} cannot be used: {there} is no directory')
    if not os.access(there, os.W_OK | os.X_OK):
        raise Refused(f'workdir {workdir} cannot be used: {there} is not writable')
    held = read(workdir / 'config.json')
    owner = (read(workdir / 'manifest.json') or {}).get('experiment', name)
    if held is None and there == workdir and any(path.name[0] != '.' for path in workdir.iterdir()):
        raise Refused(
            f'workdir {workdir} holds files and no config.json; it takes a run directory or a new one'
        )
    if owner != name:
        raise Refused(f'workdir {workdir} belongs to the experiment {owner}, not to {name}')
    if held is not None and held != config:
        raise Refused(f'workdir {workdir} belongs to another config: {_difference(held, config)}')


def claim(
    workdir: pathlib.Path,
    name: str,
    config: dict[str, Any],
    data: str | None,
    launch: dict[str, Any],
) -> list[str]:
    """Writes config.json on the first launch, and adds this launch to manifest.json.

    Returns the files of the source that differ from those that the run was last trained with.

    Raises:
      Refused: the run began on other data.
    """
    first = {'experiment': name, 'config': config, 'data': data, 'launches': []}
    manifest = read(workdir / 'manifest.json') or first
    if manifest['data'] != data:
        raise Refused(
            f'workdir {workdir} began on the data {manifest["data"]}, and these are {data}'
        )
    workdir.mkdir(parents=True, exist_ok=True)
    if not (workdir / 'config.json').exists():
        write(workdir / 'config.json', config)
    launch = source_files.recorded(launch, runs.trained(manifest['launches']))
    write(workdir / 'manifest.json', manifest | {'launches': [*manifest['launches'], launch]})
    return launch.get('source', {}).get('changed', [])


def last_step(workdir: pathlib.Path) -> int | None:
    """The step of the last whole checkpoint; one that is being written has another name."""
    return max(
        (int(path.name) for path in workdir.glob('checkpoints/*') if path.name.isdecimal()),
        default=None,
    )


def conclude(workdir: pathlib.Path, ended: str):
    """Notes in manifest.json why the newest launch ended before its time."""
    manifest = read(workdir / 'manifest.json')
    manifest['launches'][-1]['ended'] = ended
    write(workdir / 'manifest.json', manifest)


def read(path: pathlib.Path) -> Any:
    """What a JSON file holds, or None where there is no file."""
    try:
        return json.loads(path.read_text('utf-8'))
    except FileNotFoundError:
        return None
    except ValueError:
        raise Refused(f'{path} is not JSON') from None


def write(path: pathlib.Path, value: Any):
    """Writes JSON whole or not at all."""
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_text(json.dumps(value, indent=1) + '\n', 'utf-8')
    partial.replace(path)


def _difference(held: dict[str, Any], config: dict[str, Any]) -> str:
    there, here = flat(held), flat(config)
    keys = sorted(k for k in there | here if there.get(k, ...) != here.get(k, ...))
    say = lambda values, key: json.dumps(values[key]) if key in values else 'absent'
    parts = [f'{key} is {say(there, key)} there and {say(here, key)} here' for key in keys[:3]]
    return ', '.join(parts) + (f', and {len(keys) - 3} more' if len(keys) > 3 else '')
