"""Running the points of a sweep on this machine: worker processes, one or several to a device."""

import collections
import contextlib
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from launch.cli.refusal import Refused
from launch.run import os_errors, signals
from launch.sweep.points import Point, status
from launch.sweep.progress import progress

ROOT = pathlib.Path(__file__).parents[2]
VISIBLE = 'CUDA_VISIBLE_DEVICES', 'TPU_VISIBLE_CHIPS'
FRACTION = (
    'XLA_CLIENT_MEM_FRACTION',
    'XLA_PYTHON_CLIENT_MEM_FRACTION',
)  # of a GPU's memory; jax knows both names
_SHELL = '$ '  # begins a launch's first line in its log


class Ended(NamedTuple):
    code: int  # of the process, or that it would have had
    says: str


AFFINITY = hasattr(os, 'sched_setaffinity')
THREADS = 'NPROC'  # of XLA on a CPU; by default one a core
Start = Callable[[Point, dict[str, str]], subprocess.Popen]  # with variables of the environment


def started(point: Point, given: dict[str, str]) -> subprocess.Popen:
    """The launch of a point, its output in a file beside its run directory; in a session of its
    own, so that a key pressed in the terminal reaches it through us alone."""
    point.workdir.parent.mkdir(parents=True, exist_ok=True)
    with open(log_of(point), 'a', encoding='utf-8') as log:
        # Also so that on a disk that fills up there is a block for what the launch says last.
        log.write(f'{_SHELL}python -m launch {shlex.join(point.argv)}\n')
        log.flush()
        command = [sys.executable, '-m', 'launch', *point.argv]
        output = dict(stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        return subprocess.Popen(
            command, env=_environment() | given, start_new_session=True, **output
        )


def _environment():
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])])
    return dict(os.environ, PYTHONPATH=path)


def given(slot: int, workers: int, devices: Sequence[str]) -> dict[str, str]:
    """What a worker's environment says of its device, and of its share of the memory where several
    have the device."""
    if not devices:
        # XLA cuts its programs for so many threads: a run is to the bit what it is where it has all
        # cores.
        return (
            {THREADS: str(len(_own()))}
            if _dealt(workers, devices) and THREADS not in os.environ
            else {}
        )
    sharing = len(range(slot % len(devices), workers, len(devices)))
    seen = dict.fromkeys(VISIBLE, devices[slot % len(devices)])
    if sharing > 1 and not any(name in os.environ for name in FRACTION):
        seen[FRACTION[1]] = f'{0.9 / sharing:.3f}'
    return seen


def _dealt(workers, devices):
    """Whether workers are kept to cores of their own, since each would use all of them and so
    hinder the others."""
    return AFFINITY and workers > 1 and not devices


def _own():
    return sorted(os.sched_getaffinity(0))


def run(
    found: Sequence[Point],
    workers: int,
    devices: Sequence[str],
    interrupted: Callable[[], bool],
    start: Start = started,
) -> dict[int, Ended]:
    """Launches what is not done, `workers` at a time; returns how these ended, by number of point.

    Args:
      devices: numbers of accelerators, which workers take in turn; without any they share what
        there is.
      interrupted: once true nothing more is started, and what runs is told to save and leave.
    """
    waiting = collections.deque(i for i, point in enumerate(found) if status(point) != 'done')
    free, running, ends, stopping = (
        collections.deque(range(min(workers, len(found)))),
        {},
        {},
        False,
    )
    tell = progress(len(waiting))

    def begin(i, slot):
        try:
            running[i] = slot, _begun(found[i], given(slot, workers, devices), start)
            if _dealt(workers, devices):
                with contextlib.suppress(OSError):  # it has ended, and will be told of
                    os.sched_setaffinity(running[i][1].pid, _own()[slot % len(_own()) :: workers])
        except (
            Refused,
            OSError,
        ) as error:  # its log cannot be written, or no more processes can be had
            end(i, slot, 2, f'failed: {os_errors.refused(error) or error}')

    def end(i, slot, code, says):
        free.append(slot)
        ends[i] = Ended(code, says)
        tell.ended(found[i], says)

    while running or (waiting and not interrupted()):
        while waiting and free and not interrupted():
            begin(waiting.popleft(), free.popleft())
        if interrupted() and not stopping:
            stopping = _told_to_leave(running)
        for i in [i for i, (_, process) in running.items() if process.poll() is not None]:
            slot, process = running.pop(i)
            code = _code(process.returncode, stopping)
            end(i, slot, code, outcome(found[i], code))
        tell.show(len(running))
        time.sleep(0.05)
    return ends


def _begun(point, environment, start):
    if point.trouble:
        raise Refused(point.trouble)
    return start(point, environment)


def _told_to_leave(running):
    for _, process in running.values():
        process.terminate()
    return True


def _code(returned, stopping):
    """The exit code of a worker; one that was told to leave before it listened had nothing to save."""
    return signals.STOPPED if stopping and returned == -signal.SIGTERM else returned


def log_of(point: Point) -> pathlib.Path:
    return point.workdir.with_name(f'{point.workdir.name}.log')


def outcome(point: Point, code: int) -> str:
    """How a launch ended, in a line."""
    if code == signals.STOPPED:
        now = status(point)
        return 'stopped before its first checkpoint' if now == 'new' else f'stopped at {now}'
    if code < 0 or code > 128:  # by a shell's way of telling
        return f'killed by signal {-code if code < 0 else code - 128}'
    lines = _log(point)
    said = lines[-1] if lines else ''
    if code == 0:
        return f'done: {said.removeprefix(str(point.workdir)).removeprefix(": ")}'.removesuffix(
            ': '
        )
    error = code == 1 and last_error(lines)  # what Python exits with after a traceback
    return f'failed: {error or said or f"exit code {code}, and its log says nothing"}'[:200]


def _log(point):
    """What the last launch of a point said, by lines that are not empty."""
    try:
        lines = [
            line
            for line in log_of(point).read_text('utf-8', 'replace').splitlines()
            if line.strip()
        ]
    except OSError:  # the whole folder may be gone
        return []
    return lines[
        max((i + 1 for i, line in enumerate(lines) if line.startswith(_SHELL)), default=0) :
    ]


def last_error(lines: Sequence[str]) -> str:
    """The line that names the error of the last traceback; more may follow, as jax's remark on
    tracebacks."""
    begin = max(
        (i + 1 for i, line in enumerate(lines) if line.startswith('Traceback (most')),
        default=len(lines),
    )
    return next((line for line in lines[begin:] if not line.startswith(' ')), '')


@contextlib.contextmanager
def accelerators() -> Iterator[Callable[[], list[str]]]:
    """The numbers of the accelerators that this process may use, found by another one, which lets
    them go again.

    That one begins at once, since it takes seconds; the function that is given waits for it.

    Raises, there:
      Refused: jax finds no device, and why.
    """
    code = 'import jax; print(jax.default_backend(), jax.local_device_count())'
    pipes = dict(
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with subprocess.Popen([sys.executable, '-c', code], **pipes) as asked:
        try:
            yield lambda: _numbers(asked)
        finally:
            asked.kill()  # what it would say is of no use any more


def _numbers(asked):
    out, err = asked.communicate()
    if asked.returncode:
        raise Refused(f'no device was found: {last_error(err.splitlines())}')
    backend, count = out.split()
    given = os.environ.get(VISIBLE[backend == 'tpu'])
    every = given.split(',') if given else [str(i) for i in range(int(count))]
    return [] if backend == 'cpu' else every[: int(count)]
