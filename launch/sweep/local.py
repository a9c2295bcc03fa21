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
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from launch.cli.refusal import Refused
from launch.run import os_errors, signals
from launch.sweep.points import Point, label, log_of, status
from launch.sweep.progress import progress

ROOT = pathlib.Path(__file__).parents[2]
VISIBLE = ('CUDA_VISIBLE_DEVICES', 'TPU_VISIBLE_CHIPS')
# Of a GPU's memory; jax knows both names
FRACTION = ('XLA_CLIENT_MEM_FRACTION', 'XLA_PYTHON_CLIENT_MEM_FRACTION')
AFFINITY = hasattr(os, 'sched_setaffinity')
THREADS = 'NPROC'  # of XLA on a CPU; by default one a core
_SHELL = '$ '  # begins a launch's first line in its log
_TRACEBACK = 'Traceback (most'
POLL = 0.05  # seconds
LONGEST_OUTCOME = 200

Start = Callable[[Point, dict[str, str]], subprocess.Popen]  # with variables of the environment


class Outcome(NamedTuple):
    code: int  # of the process, or that it would have had
    text: str


class Worker(NamedTuple):
    slot: int
    process: subprocess.Popen


def start_launch(point: Point, variables: Mapping[str, str]) -> subprocess.Popen:
    """The launch of a point, its output in a file beside its run directory; in a session of its
    own, so that a key pressed in the terminal reaches it through us alone."""
    point.workdir.parent.mkdir(parents=True, exist_ok=True)
    with open(log_of(point), 'a', encoding='utf-8') as log:
        # Also so that on a disk that fills up there is a block for what the launch says last.
        log.write(f'{_SHELL}python -m launch {shlex.join(point.argv)}\n')
        log.flush()
        return subprocess.Popen(
            [sys.executable, '-m', 'launch', *point.argv],
            env=os.environ | {'PYTHONPATH': _python_path()} | dict(variables),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _python_path():
    path = os.environ.get('PYTHONPATH')
    return f'{ROOT}{os.pathsep}{path}' if path else str(ROOT)


def worker_variables(slot: int, workers: int, devices: Sequence[str]) -> dict[str, str]:
    """What a worker's environment says of its device, and of its share of the memory where several
    have the device."""
    if not devices:
        # XLA cuts its programs for so many threads: a run is to the bit what it is where it has all
        # cores.
        if _divide_cores(workers, devices) and THREADS not in os.environ:
            return {THREADS: str(len(_cores()))}
        return {}
    variables = dict.fromkeys(VISIBLE, devices[slot % len(devices)])
    sharing = len(range(slot % len(devices), workers, len(devices)))
    if sharing > 1 and not any(name in os.environ for name in FRACTION):
        variables[FRACTION[1]] = f'{0.9 / sharing:.3f}'
    return variables


def _divide_cores(workers, devices):
    """Whether workers are kept to cores of their own, since each would use all of them and so
    hinder the others."""
    return AFFINITY and workers > 1 and not devices


def _cores():
    return sorted(os.sched_getaffinity(0))


def run(
    points: Sequence[Point],
    workers: int,
    devices: Sequence[str],
    interrupted: Callable[[], bool],
    start: Start = start_launch,
) -> dict[int, Outcome]:
    """Launches what is not done, `workers` at a time; returns how these ended, by number of point.

    Args:
      devices: numbers of accelerators, which workers take in turn; without any they share what
        there is.
      interrupted: once true nothing more is started, and what runs is asked to save and leave.
    """
    waiting = collections.deque(i for i, point in enumerate(points) if status(point) != 'done')
    free = collections.deque(range(min(workers, len(points))))
    running: dict[int, Worker] = {}
    outcomes: dict[int, Outcome] = {}
    stopping = False
    report = progress(len(waiting))

    def begin(i: int, slot: int) -> None:
        try:
            process = _start(points[i], worker_variables(slot, workers, devices), start)
        except (Refused, OSError) as error:  # of its log, or of more processes
            reason = os_errors.describe(error) or error
            end(i, slot, Outcome(2, f'failed: {reason}'))
            return
        running[i] = Worker(slot, process)
        if _divide_cores(workers, devices):
            cores = _cores()
            with contextlib.suppress(OSError):  # it has ended already
                os.sched_setaffinity(process.pid, cores[slot % len(cores) :: workers])

    def end(i: int, slot: int, outcome: Outcome) -> None:
        free.append(slot)
        outcomes[i] = outcome
        report.ended(f'{points[i].workdir}  {label(points[i].texts)}', outcome.text)

    while running or (waiting and not interrupted()):
        while waiting and free and not interrupted():
            begin(waiting.popleft(), free.popleft())
        if interrupted() and not stopping:
            stopping = True
            for worker in running.values():
                worker.process.terminate()
        ended = [i for i, worker in running.items() if worker.process.poll() is not None]
        for i in ended:
            slot, process = running.pop(i)
            code = _code(process.returncode, stopping)
            end(i, slot, Outcome(code, outcome_text(points[i], code)))
        report.update(len(running))
        time.sleep(POLL)
    return outcomes


def _start(point, variables, start):
    if point.problem:
        raise Refused(point.problem)
    return start(point, variables)


def _code(returned, stopping):
    """The exit code of a worker; one that was asked to leave before it listened had nothing to
    save."""
    return signals.STOPPED if stopping and returned == -signal.SIGTERM else returned


def outcome_text(point: Point, code: int) -> str:
    """How a launch ended, in a line."""
    if code == signals.STOPPED:
        now = status(point)
        return 'stopped before its first checkpoint' if now == 'new' else f'stopped at {now}'
    if code < 0 or code > 128:  # by a shell's way of telling
        return f'killed by signal {-code if code < 0 else code - 128}'
    lines = _log(point)
    last = lines[-1] if lines else ''
    if code == 0:
        result = last.removeprefix(str(point.workdir)).removeprefix(': ')
        return f'done: {result}' if result else 'done'
    error = last_error(lines) if code == 1 else ''  # what Python exits with after a traceback
    reason = error or last or f'exit code {code}, and its log says nothing'
    return f'failed: {reason}'[:LONGEST_OUTCOME]


def _log(point):
    """The output of the last launch of a point, by lines that are not empty."""
    try:
        text = log_of(point).read_text('utf-8', 'replace')
    except OSError:  # the whole folder may be gone
        return []
    lines = [line for line in text.splitlines() if line.strip()]
    of_last_launch = _after_last(_SHELL, lines)
    return lines if of_last_launch is None else of_last_launch


def _after_last(start: str, lines: Sequence[str]) -> list[str] | None:
    """The lines behind the last one that begins so; None where there is none."""
    for i in reversed(range(len(lines))):
        if lines[i].startswith(start):
            return list(lines[i + 1 :])
    return None


def last_error(lines: Sequence[str]) -> str:
    """The line that names the error of the last traceback; more may follow, as jax's remark on
    tracebacks."""
    after = _after_last(_TRACEBACK, lines) or []
    return next((line for line in after if not line.startswith(' ')), '')


@contextlib.contextmanager
def accelerators() -> Iterator[Callable[[], list[str]]]:
    """The numbers of the accelerators that this process may use, found by another one, which lets
    them go again.

    That one begins at once, since it takes seconds; the function that is given waits for it.

    Raises, there:
      Refused: jax finds no device, and why.
    """
    code = 'import jax; print(jax.default_backend(), jax.local_device_count())'
    with subprocess.Popen(
        [sys.executable, '-c', code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield lambda: _numbers(process)
        finally:
            process.kill()  # what it would say is of no use any more


def _numbers(process):
    out, err = process.communicate()
    if process.returncode:
        raise Refused(f'no device was found: {last_error(err.splitlines())}')
    backend, count = out.split()
    if backend == 'cpu':
        return []
    visible = os.environ.get(VISIBLE[backend == 'tpu'])
    numbers = visible.split(',') if visible else [str(i) for i in range(int(count))]
    return numbers[: int(count)]
