"""Many points of one experiment: which they are, that all of them can run, and running them on this machine.

A point is a config, and its run directory follows from that; so a sweep that is launched again goes on where it stood.
"""

import collections
import itertools
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from launch import catalogue, signals
from launch.flags import Flags, pairs
from launch.plan import Plan, plan
from launch.refusal import Refused

ROOT = pathlib.Path(__file__).parent.parent
MOST = signals.STOPPED - 1  # failures that an exit code tells
Texts = dict[str, str]  # dotted key of the config -> value


class Point(NamedTuple):
    texts: Texts  # what sets it apart: dotted key -> value
    argv: list[str]  # of its own launch
    workdir: pathlib.Path
    steps: int


def axis(text: str) -> tuple[str, list[str]]:
    """(key, values) of 'key=a,b,c', or of 'key=0:4', which is 0, 1, 2, 3; commas within brackets separate nothing.

    Raises:
      Refused: there is no key or no value, or a value comes twice.
    """
    key, _, listed = text.partition('=')
    numbers = re.fullmatch(r'(-?\d+):(-?\d+)', listed)
    values = [str(i) for i in range(*map(int, numbers.groups()))] if numbers else _split(listed)
    if not key or not all(values) or not values:
        raise Refused(f'--sweep is {text}; it takes key=a,b,c or key=0:4, or own for those of the experiment')
    if len(set(values)) < len(values):
        raise Refused(f'--sweep is {text}, which has a value twice')
    return key, values


def _split(text):
    """The parts between commas that stand in no bracket."""
    parts, depth = [''], 0
    for letter in text:
        depth += (letter in '([{') - (letter in ')]}')
        if letter == ',' and not depth:
            parts.append('')
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def points(flags: Flags) -> list[Texts]:
    """Every combination of the axes, the last one changing fastest; of the experiment's own points where asked.

    Raises:
      Refused: a key that is given twice, or points that the experiment does not have.
    """
    own = getattr(catalogue.load(flags.exp), 'sweep', None)
    if 'own' in flags.sweep and own is None:
        raise Refused(f'--sweep is own, and {flags.exp} has no sweep of its own')
    axes = [axis(text) for text in flags.sweep if text != 'own']
    keys = [*flags.overrides, *(key for key, _ in axes)]
    if twice := [key for key, count in collections.Counter(keys).items() if count > 1]:
        raise Refused(f'{twice[0]} is given twice, by --sweep and --config or by two of --sweep')
    made = [{key: str(value) for key, value in point.items()} for point in own()] if 'own' in flags.sweep else [{}]
    product = itertools.product(*([(key, value) for value in values] for key, values in axes))
    return [point | dict(chosen) for chosen in product for point in made]


def checked(argv: Sequence[str], flags: Flags) -> list[Point]:
    """The points, each of which could be launched as it stands.

    Raises:
      Refused: one cannot, and which; or two are the same run.
    """
    shared = [f'{name}={text}' for name, text in pairs(argv) if name not in ('--sweep', '--workers', '--dry_run')]
    if flags.workdir or flags.mode != 'train':
        raise Refused('--sweep trains, each point in a directory of its own; it takes no --workdir and no --mode')
    found = []
    for i, texts in enumerate(points(flags)):
        words = [*shared, *(f'--config.{key}={value}' for key, value in texts.items())]
        try:
            planned = plan(words)
        except Refused as refusal:
            raise Refused(f'point {i + 1} of the sweep, {told(texts)}: {refusal}') from None
        found.append(Point(texts, words, planned.workdir, _last(planned)))
    if twice := [p for p, count in collections.Counter(p.workdir for p in found).items() if count > 1]:
        raise Refused(f'two points of the sweep are the same run, {twice[0]}')
    return found


def _last(planned: Plan) -> int:
    return planned.flags.until or planned.config.steps


def told(texts: Mapping[str, str]) -> str:
    return ', '.join(f'{key}={value}' for key, value in texts.items()) or 'the config as it is'


def status(point: Point) -> str:
    """'new', 'step N of M' or 'done', by the checkpoints that lie there."""
    steps = [int(path.name) for path in point.workdir.glob('checkpoints/*') if path.name.isdecimal()]
    if not steps:
        return 'new'
    return 'done' if max(steps) >= point.steps else f'step {max(steps)} of {point.steps}'


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


def launch(argv: Sequence[str], flags: Flags) -> int:
    """Carries out a sweep; returns how many of its points failed, at most MOST.

    Where none failed and the sweep or a point was stopped by a signal, it is signals.STOPPED.
    """
    asked = os.environ.get('JAX_PLATFORMS')
    os.environ['JAX_PLATFORMS'] = 'cpu'  # what is only checked here must not hold an accelerator
    try:
        found = checked(argv, flags)
    finally:
        os.environ.pop('JAX_PLATFORMS') if asked is None else os.environ.update(JAX_PLATFORMS=asked)
    if flags.dry_run:
        print(table(found))
        return 0
    devices = accelerators()
    with signals.heard() as interrupted:
        codes = run(found, flags.workers or len(devices) or 1, devices, interrupted)
        stopped = interrupted() or signals.STOPPED in codes.values()
    print(table(found))
    failed = sum(code not in (0, signals.STOPPED) for code in codes.values())
    return signals.STOPPED if stopped and not failed else min(failed, MOST)


def accelerators() -> list[str]:
    """The numbers of this machine's accelerators, found by another process, which lets them go again."""
    code = 'import jax; print(jax.default_backend(), jax.local_device_count())'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    backend, count = done.stdout.split()
    return [] if backend == 'cpu' else [str(i) for i in range(int(count))]


def table(found: Sequence[Point]) -> str:
    """A line a point: its status, its directory, what sets it apart."""
    rows = [(status(point), str(point.workdir), told(point.texts)) for point in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return '\n'.join('  '.join(map(str.ljust, row, widths)).rstrip() for row in rows)
