"""What a launch ran on: enough to say later why two runs of one config differ."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from collections.abc import Sequence
from typing import Any

import jax

from launch.cli import catalogue
from launch.cli.flags import parse
from launch.run import source_files
from launch.run.processor import cores, processor

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


def launch_record(argv: Sequence[str]) -> dict[str, Any]:
    """One entry of the manifest's launches: time, flags, versions, source, devices, XLA's flags."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    exp = parse(argv).exp
    files = source_files.files(catalogue.name_of(exp), catalogue.page(exp))
    commit = source(pathlib.Path(__file__).parent)
    return {
        'time': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
        'flags': list(argv),
        'versions': {'python': platform.python_version()} | versions,
        'source': commit | {'digest': source_files.digest(files), 'files': files},
        'devices': devices(),
        'xla_flags': os.environ.get('XLA_FLAGS', ''),
    }


def source(folder: pathlib.Path) -> dict[str, Any]:
    """The commit of the source tree, and whether it was changed since; null without git."""
    commit = _git(folder, 'rev-parse', 'HEAD')
    changes = _git(folder, 'status', '--porcelain')
    return {'commit': commit, 'dirty': None if changes is None else changes != ''}


def devices() -> dict[str, Any]:
    """Kind, number and platform of all devices; of a CPU also what its programs depend on."""
    device = jax.devices()[0]
    record = {
        'kind': device.device_kind,
        'count': jax.device_count(),
        'platform': device.platform,
    }
    if device.platform == 'cpu':
        # Its programs depend on its instructions, and how they are cut on the number of cores.
        record |= {'processor': processor(), 'cores': cores()}
    return record


def _git(folder: pathlib.Path, *args: str) -> str | None:
    command = ['git', '-C', str(folder), *args]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
