"""Experiments by the launcher, as users start them: the first metric, and steps a second."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.accelerator import data
from benchmarks.accelerator.boxes import ROOT
from benchmarks.accelerator.setting import Add, Setting

POLL = 0.05  # seconds
RATES = 2  # lines of metrics after the first

# Of an accelerator: three lines of 100 steps each.
LARGE = {
    'ddpm': '--exp ddpm_cifar --config.unet.dtype=bfloat16 --until 300',
    'flow': '--exp flow_cifar --config.unet.dtype=bfloat16 --until 300',
}
# Three lines of 2 steps each, and one more: the probes of the end are not waited for.
SMALL = {
    'ddpm': '--exp ddpm_digits --config.steps=8 --config.ddpm.steps=6 --config.unet.width=8 '
    '--config.every.log=2',
    'flow': '--exp flow_digits --config.steps=8 --config.unet.width=8 --config.samples=20 '
    '--config.classifier=2 --config.sampler.steps=2 --config.every.log=2',
}


def measure(setting: Setting, add: Add, name: str, start: str) -> None:
    """The stage: one launch, `cold`, with empty caches, or `warm`, with those that cold has left.

    Each launch trains a run of its own from its first step.
    """
    flags = (SMALL if setting.small else LARGE)[name].split()
    if not setting.small:
        flags += ['--data_dir', str(data.wait_for(setting))]
    caches = setting.work / f'caches-{name}'
    note = '' if start == 'cold' or caches.exists() else 'cold: nothing was kept before'
    workdir = setting.work / f'{name}-{start}'
    command = [sys.executable, '-m', 'launch', *flags, '--workdir', str(workdir)]
    add('command', ' '.join(flags))
    rates = []
    lines = follow(command, workdir / 'metrics.jsonl', environment(caches))
    for i, (seconds, row) in enumerate(lines):
        if not i:
            add('first metric', seconds, 's', f'step {row["step"]:.0f} {note}'.strip())
            add('first metric, by its own clock', row['time/seconds'], 's', 'since the loop began')
        elif 'time/steps_per_second' in row:
            rates.append(row['time/steps_per_second'])
        if len(rates) == RATES:  # the launch is not waited for
            break
    if rates:
        add('steps', statistics.mean(rates), 'steps/s', f'{len(rates)} lines of metrics')


def environment(caches: pathlib.Path) -> dict[str, str]:
    """That of a user whose caches lie in a folder."""
    env = {name: value for name, value in os.environ.items() if name != 'JAX_COMPILATION_CACHE_DIR'}
    return env | {'XDG_CACHE_HOME': str(caches)}


def follow(
    command: Sequence[str], record: pathlib.Path, env: Mapping[str, str]
) -> Iterator[tuple[float, dict[str, Any]]]:
    """The lines of a run's record as they come, each with the seconds since the command.

    Raises:
      RuntimeError: the command fails; its last line has been printed by then.
    """
    began = time.perf_counter()
    seen = 0
    with subprocess.Popen(command, cwd=ROOT, env=dict(env)) as process:
        try:
            while True:
                ended = process.poll() is not None
                seconds = time.perf_counter() - began
                lines = whole_lines(record)
                for line in lines[seen:]:
                    yield seconds, json.loads(line)
                seen = len(lines)
                if ended:
                    break
                time.sleep(POLL)
        finally:
            process.kill()  # which does nothing to one that has ended
    if process.returncode:
        raise RuntimeError(f'the launch ended with exit code {process.returncode}, see its log')


def whole_lines(record: pathlib.Path) -> list[str]:
    """The lines of a file that end; none where there is no file."""
    if not record.exists():
        return []
    return [line for line in record.read_text('utf-8').splitlines(True) if line.endswith('\n')]


def rows_of(record: pathlib.Path) -> list[dict[str, Any]]:
    """The rows of a run's record."""
    return [json.loads(line) for line in whole_lines(record)]


def interval_rates(train: Callable[[pathlib.Path], object], workdir: pathlib.Path) -> list[float]:
    """Steps a second of each line of a run but for the first, which compiles.

    Args:
      train: trains in a run directory.
      workdir: that directory.
    """
    train(workdir)
    rows = rows_of(workdir / 'metrics.jsonl')
    return [row['time/steps_per_second'] for row in rows[1:] if 'time/steps_per_second' in row]
