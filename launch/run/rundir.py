"""The run directory: which one belongs to a config, whether it may be used, and what is written
into it."""

import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ml_collections import ConfigDict

from launch.cli.flat import flat
from launch.cli.refusal import Refused, Unusable
from launch.run import source_files
from launch.viewer.runs import training_launches

SAMPLER = 'sampler'  # the group of settings of what is drawn, and not of what is trained
DATA_DIR = 'data_dir'  # a setting, where the data lie
INIT_FROM = '--init_from'  # beside the settings: what the run began with, where that is not its own
LONGEST_FOLDER = 200  # characters; file systems take 255 bytes


def identity(config: ConfigDict) -> dict[str, Any]:
    """The config as JSON holds it, without data_dir: where the data lie changes no result."""
    plain = json.loads(json.dumps(config.to_dict(), sort_keys=True))
    return {key: value for key, value in plain.items() if key != DATA_DIR}


def begun_from(config: dict[str, Any], init_from: str | None) -> dict[str, Any]:
    """A config as `identity` gives it, with what the run began with: that makes another run."""
    return config if init_from is None else config | {INIT_FROM: init_from}


def default(name: str, config: dict[str, Any]) -> pathlib.Path:
    """runs/NAME-HASH, so that the same command finds its own run again."""
    canonical = json.dumps(config, sort_keys=True, separators=(',', ':'))
    return pathlib.Path('runs', f'{name}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}')


def default_trained(name: str, config: dict[str, Any], own: dict[str, Any]) -> pathlib.Path:
    """The default directory of a run that is evaluated or sampled from.

    It is that of the config; or, where this holds no checkpoint and that one does, of the config
    with the experiment's own sampler.

    Args:
      name: of the experiment.
      config: that is asked for, and `own` the experiment's, both as `identity` gives them.
    """
    exact = default(name, config)
    if not isinstance(own.get(SAMPLER), Mapping) or last_step(exact) is not None:
        return exact
    with_own_sampler = default(name, config | {SAMPLER: own[SAMPLER]})
    return exact if last_step(with_own_sampler) is None else with_own_sampler


def samples_folder(
    there: Mapping[str, Any], here: Mapping[str, Any], average: str | None = None
) -> str:
    """The folder within samples/ for what another sampler than a run's own draws, or another
    average of its parameters; '' for its own.

    Args:
      there: the config of the run, and `here` the one that is asked for, both as `identity` gives
        them. They differ in their samplers alone.
      average: the name of the average; None or 'average' for the run's own.

    Returns:
      What differs, as 'sampler.name=ddim,sampler.steps=5'; the rest of a long one as a digest.
    """
    values = flat(here)
    parts = []
    for key in _differing_keys(flat(there), values):
        if key == INIT_FROM:
            continue
        value = values.get(key, 'absent')
        text = value if isinstance(value, str) else repr(value).replace(' ', '')
        parts.append(f'{key}={quote(text, safe="()[],+")}')
    if average not in (None, 'average'):
        parts.append(f'average={quote(average, safe="")}')
    folder = ','.join(parts)
    if len(folder) <= LONGEST_FOLDER:
        return folder
    return f'{folder[:LONGEST_FOLDER]}-{hashlib.sha256(folder.encode()).hexdigest()[:8]}'


def check(
    workdir: pathlib.Path,
    name: str,
    config: dict[str, Any],
    page: pathlib.Path | None = None,
    *,
    of_samples: bool = False,
) -> None:
    """Sees, writing nothing, that this experiment with this config may use the directory.

    Args:
      name: of the experiment.
      page: its file, if it lies outside of the tree.
      of_samples: whether the run is not trained, but evaluated or sampled from; its sampler may
        then be another, and the directory need not be writable.

    Raises:
      Unusable: it cannot be made or written, belongs to another run, or holds files of something
        else.
    """
    try:
        _check_place(workdir, written=not of_samples)
        _check_owner(workdir, name, page, config, of_samples)
    except PermissionError as error:
        raise Unusable(
            f'workdir {workdir} cannot be used: {error.strerror}: {error.filename}', workdir
        ) from None
    except Refused as refusal:
        raise Unusable(str(refusal), workdir) from None


def is_writable(folder: pathlib.Path) -> bool:
    """Whether files can be made in a folder, or in the one that it would be made in."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _check_place(workdir, written):
    there = next(path for path in (workdir, *workdir.absolute().parents) if path.exists())
    if not there.is_dir():
        raise Refused(f'workdir {workdir} cannot be used: {there} is no directory')
    if written and not is_writable(workdir):
        raise Refused(f'workdir {workdir} cannot be used: {there} is not writable')


def _check_owner(workdir, name, page, config, of_samples):
    written = read(workdir / 'config.json')
    manifest = read(workdir / 'manifest.json') or {'experiment': name}
    if written is None and workdir.exists() and _has_files(workdir):
        raise Refused(
            f'workdir {workdir} holds files and no config.json; '
            f'it takes a run directory or a new one'
        )
    owner = manifest.get('experiment', name)
    if owner != name:
        raise Refused(f'workdir {workdir} belongs to the experiment {owner}, not to {name}')
    if manifest.get('launches'):
        _check_page(workdir, name, manifest.get('page'), page)
    if written is not None and of_samples:
        written = _without_sampler(written)
        config = begun_from(_without_sampler(config), written.get(INIT_FROM))
    if written is not None and written != config:
        raise Refused(f'workdir {workdir} belongs to another config: {difference(written, config)}')


def _without_sampler(config):
    """A config without its group SAMPLER; a setting of that name is none."""
    is_group = isinstance(config.get(SAMPLER), Mapping)
    return {key: value for key, value in config.items() if key != SAMPLER or not is_group}


def _has_files(workdir):
    return any(not path.name.startswith('.') for path in workdir.iterdir())


def _check_page(workdir, name, there, here):
    """Pages of one name may lie in several places, and one that is gone has been moved."""
    if there == (None if here is None else str(here)):
        return
    if there is None or pathlib.Path(there).exists():
        owner = there or f'the experiment {name}'
        raise Refused(f'workdir {workdir} belongs to {owner}, not to {here or name}')


def claim(
    workdir: pathlib.Path,
    name: str,
    config: dict[str, Any],
    data: str | None,
    launch: dict[str, Any],
    facts: Mapping[str, Any] = {},
) -> list[str]:
    """Writes config.json on the first launch, and adds this launch to manifest.json.

    Args:
      name: of the experiment.
      data: the fingerprint of its data.
      launch: the record of this launch.
      facts: what else the manifest says of the run: `page`, the experiment's file, if it lies
        outside of the tree; `about` its data, as the labels and how many images have each; and
        `steps`, where they are more than the config says. None leaves what is there.

    Returns the files of the source that differ from those that the run was last trained with.

    Raises:
      Refused: the run began on other data.
    """
    check_data(workdir, data)
    first = {'experiment': name, 'config': config, 'data': data, 'launches': []}
    manifest = read(workdir / 'manifest.json') or first
    workdir.mkdir(parents=True, exist_ok=True)
    if not (workdir / 'config.json').exists():
        write(workdir / 'config.json', config)
    record = source_files.recorded(launch, training_launches(manifest['launches']))
    manifest['launches'].append(record)
    manifest |= {name: fact for name, fact in facts.items() if fact is not None}
    write(workdir / 'manifest.json', manifest)
    return record.get('source', {}).get('changed', [])


def check_data(workdir: pathlib.Path, data: str | None) -> None:
    """Sees that data are those of the run, if there is one.

    Args:
      workdir: the run directory.
      data: the fingerprint of the data.

    Raises:
      Refused: they are not.
    """
    manifest = read(workdir / 'manifest.json')
    if manifest and manifest['data'] != data:
        raise Refused(
            f'workdir {workdir} began on the data {manifest["data"]}, and these are {data}'
        )


def checkpoints(workdir: pathlib.Path) -> list[int]:
    """The steps of the whole checkpoints; one that is being written has another name."""
    names = [path.name for path in workdir.glob('checkpoints/*')]
    return sorted(int(name) for name in names if name.isdecimal())


def last_step(workdir: pathlib.Path) -> int | None:
    """The step of the last whole checkpoint."""
    return max(checkpoints(workdir), default=None)


def length(workdir: pathlib.Path) -> int | None:
    """How many steps a run was made to have by --steps; None where its config says it."""
    return (read(workdir / 'manifest.json') or {}).get('steps')


def checkpoint_before(workdir: pathlib.Path, step: int) -> int:
    """The step of the newest checkpoint from which a run comes to a step; 0 where there is none."""
    return max((saved for saved in checkpoints(workdir) if saved < step), default=0)


def conclude(workdir: pathlib.Path, ended: str) -> None:
    """Notes in manifest.json why the newest launch ended before its time."""
    manifest = read(workdir / 'manifest.json')
    manifest['launches'][-1]['ended'] = ended
    write(workdir / 'manifest.json', manifest)


def read(path: pathlib.Path) -> Any:
    """The value of a JSON file, or None where there is no file.

    Raises:
      Refused: it is not JSON.
    """
    try:
        return json.loads(path.read_text('utf-8'))
    except FileNotFoundError:
        return None
    except ValueError:
        raise Refused(f'{path} is not JSON') from None


def write(path: pathlib.Path, value: Any) -> None:
    """Writes JSON whole or not at all."""
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_text(json.dumps(value, indent=1) + '\n', 'utf-8')
    partial.replace(path)


def difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Up to three keys in which two configs differ, and how many more there are."""
    there = flat(there)
    here = flat(here)
    keys = _differing_keys(there, here)
    parts = [f'{key} is {_text(there, key)} there and {_text(here, key)} here' for key in keys[:3]]
    more = f', and {len(keys) - 3} more' if len(keys) > 3 else ''
    return ', '.join(parts) + more


def _differing_keys(there, here):
    absent = object()
    return [key for key in sorted(there | here) if there.get(key, absent) != here.get(key, absent)]


def _text(values, key):
    return json.dumps(values[key]) if key in values else 'absent'
