"""Processes in time boxes: a stage that hangs, crashes or runs out of memory costs its box only."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]

DONE = 'done'


class Box(NamedTuple):
    """A process that was given so many seconds."""

    process: subprocess.Popen
    log: pathlib.Path
    began: float  # time.monotonic()
    seconds: float


def open_box(
    command: Sequence[str], *, seconds: float, log: pathlib.Path, env: Mapping[str, str]
) -> Box:
    """Starts a process in a group of its own, with all that it starts itself.

    Args:
      command: of the process, run in the root of the tree.
      seconds: that it may take.
      log: the file that gets what it prints.
      env: its environment.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('w', encoding='utf-8') as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=file, stderr=file, start_new_session=True
        )
    return Box(process, log, time.monotonic(), seconds)


def look(box: Box) -> str:
    """How the process ended: 'done', or why not; '' while it goes on within its box."""
    code = box.process.poll()
    if code is None:
        return f'stopped: its {box.seconds:.0f} s were over' if passed(box) > box.seconds else ''
    if code == 0:
        return DONE
    return f'failed, {_cause(code)}: {last_line(box.log)}'


def close_box(box: Box) -> None:
    """Ends the process and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(box.process.pid, signal.SIGKILL)
    box.process.wait()


def passed(box: Box) -> float:
    """Seconds since the box was opened."""
    return time.monotonic() - box.began


def last_line(log: pathlib.Path) -> str:
    """The last line of a log that says anything, at most 200 letters of it."""
    lines = log.read_text('utf-8', errors='replace').splitlines()
    said = [line.strip() for line in lines if line.strip()]
    return said[-1][:200] if said else 'it said nothing'


def _cause(code: int) -> str:
    """What an exit code stands for; the system's own way out of a lack of memory is SIGKILL."""
    if code >= 0:
        return f'exit code {code}'
    name = signal.Signals(-code).name
    return f'{name}, as where memory ran out' if -code == signal.SIGKILL else name
