"""What a launch ran on: enough to say later why two runs of one config differ."""

import contextlib
import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from collections.abc import Sequence
from typing import Any

from launch.cli.flags import parse
from launch.run import source_files

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


def launch_record(argv: Sequence[str]) -> dict[str, Any]:
    """One entry of the manifest's launches: time, flags, versions, source, devices, compiler flags."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    files = source_files.files(parse(argv).exp)
    return {
        'time': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
        'flags': list(argv),
        'versions': {'python': platform.python_version()} | versions,
        'source': source(pathlib.Path(__file__).parent)
        | {'digest': source_files.digest(files), 'files': files},
        'devices': devices(),
        'xla_flags': os.environ.get('XLA_FLAGS', ''),
    }


def source(folder: pathlib.Path) -> dict[str, Any]:
    """The commit of the source tree, and whether it was changed since; null without git."""
    commit, changes = _git(folder, 'rev-parse', 'HEAD'), _git(folder, 'status', '--porcelain')
    return {'commit': commit, 'dirty': None if changes is None else changes != ''}


def devices() -> dict[str, Any]:
    import jax

    first, *_ = jax.devices()
    known = {'kind': first.device_kind, 'count': jax.device_count(), 'platform': first.platform}
    # A CPU's programs depend on its instructions, and how they are cut on the number of cores.
    return known | ({'processor': processor(), 'cores': cores()} if first.platform == 'cpu' else {})


def cores() -> int:
    """For how many cores XLA cuts a CPU's programs: those that this process may use, if NPROC says
    nothing else."""
    if os.environ.get('NPROC', '').isdecimal():
        return int(os.environ['NPROC'])
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


def processor() -> str:
    """The name of the processor's model."""
    with contextlib.suppress(OSError):
        lines = pathlib.Path('/proc/cpuinfo').read_text('utf-8').splitlines()
        return next(
            (line.partition(':')[2].strip() for line in lines if line.startswith('model name')), ''
        )
    return platform.processor()


def _git(folder: pathlib.Path, *args: str) -> str | None:
    command = ['git', '-C', str(folder), *args]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
