"""Running the points of a sweep on this machine: worker processes, one or several to a device."""

import collections
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from launch import signals
from launch.points import Point, status, told

ROOT = pathlib.Path(__file__).parent.parent


def started(point, device):
    """The launch of a point, its output in a file beside its run directory; in a session of its own, so that a key
    pressed in the terminal reaches it through us alone."""
    seen = {} if device is None else {'CUDA_VISIBLE_DEVICES': device, 'TPU_VISIBLE_CHIPS': device}
    point.workdir.parent.mkdir(parents=True, exist_ok=True)
    with open(log_of(point), 'a', encoding='utf-8') as log:
        command = [sys.executable, '-m', 'launch', *point.argv]
        output = dict(stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        return subprocess.Popen(command, env=_environment() | seen, start_new_session=True, **output)


def _environment():
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])])
    return dict(os.environ, PYTHONPATH=path)


def run(
    found: Sequence[Point],
    workers: int,
    devices: Sequence[str],
    interrupted: Callable[[], bool],
    start: Callable[[Point, str | None], subprocess.Popen] = started,
) -> dict[int, int]:
    """Launches what is not done, `workers` at a time; returns the exit codes by number of point.

    Args:
      devices: numbers of accelerators, which workers take in turn; without any they share what there is.
      interrupted: once true nothing more is started, and what runs is told to save and leave.
      start: starts a point on a device.
    """
    waiting = collections.deque((i, point) for i, point in enumerate(found) if status(point) != 'done')
    free, running, codes, told_to_stop = collections.deque(range(workers)), {}, {}, False
    while running or (waiting and not interrupted()):
        while waiting and free and not interrupted():
            slot, (i, point) = free.popleft(), waiting.popleft()
            running[i] = slot, point, start(point, devices[slot % len(devices)] if devices else None)
        if interrupted() and not told_to_stop:
            told_to_stop = True
            for _, _, process in running.values():
                process.terminate()
        for i, (slot, point, process) in list(running.items()):
            if process.poll() is not None:
                codes[i] = process.returncode
                free.append(slot)
                del running[i]
                print(
                    f'[{len(codes)}] {point.workdir}  {told(point.texts)}  {outcome(point, process.returncode)}',
                    flush=True,
                )
        time.sleep(0.05)
    return codes


def log_of(point: Point) -> pathlib.Path:
    return point.workdir.with_name(f'{point.workdir.name}.log')


def outcome(point: Point, code: int) -> str:
    """How a launch ended, in a line: what it said last, with what its exit code means where it is not 0."""
    lines = [line for line in log_of(point).read_text('utf-8', 'replace').splitlines() if line.strip()]
    last = lines[-1] if lines else 'it said nothing'
    if code == signals.STOPPED:
        return f'stopped at {status(point)}'
    return last if code == 0 else f'FAILED with {code}: {last}'


def accelerators() -> list[str]:
    """The numbers of this machine's accelerators, found by another process, which lets them go again."""
    code = 'import jax; print(jax.default_backend(), jax.local_device_count())'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    backend, count = done.stdout.split()
    return [] if backend == 'cpu' else [str(i) for i in range(int(count))]
