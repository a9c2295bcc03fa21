"""What a run leaves to look at: metrics.jsonl, TensorBoard events, samples, and a live line."""

import contextlib
import json
import math
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple, TextIO

from genjax.training.progress import make_clock, make_live_line
from genjax.training.samples import SAMPLES, png, write_atomically, write_samples
from genjax.training.tensorboard import open_board
from genjax.training.values import Values, is_number, is_picture


class Report(NamedTuple):
    write: Callable[[int, Values], None]  # (step, values)
    clock: Callable[[int], Values]  # step -> {'time/...': ...}
    show: Callable[[int, Values], None]  # (step, the newest metrics), after each call


@contextlib.contextmanager
def open_report(
    workdir: pathlib.Path | str | None,
    *,
    start: int,
    steps: int,
    stream: TextIO | None = None,
) -> Iterator[Report]:
    """The report of a run that goes on from step `start`.

    What an earlier launch wrote of later steps goes.

    Args:
      workdir: the run directory; None writes no files.
      start: the step of the checkpoint that the run resumes from, 0 for a new run.
      steps: the last step, for the time left.
      stream: where the live line is drawn if it is a terminal, and else written every minute,
        the first after 10 seconds; default standard error.
    """
    clock = make_clock()
    live_line = make_live_line(start, steps, stream or sys.stderr)
    with contextlib.ExitStack() as stack:
        stack.callback(live_line.end)
        sinks = [] if workdir is None else _open_sinks(pathlib.Path(workdir), start, stack)

        def write(step, values):
            pictures = {name: value for name, value in values.items() if is_picture(value)}
            pngs = {name: png(value) for name, value in pictures.items()} if sinks else {}
            for sink in sinks:
                sink(step, values, pngs)
            clock.written(step)

        def show(step, metrics):
            clock.called(step)
            live_line.show(step, metrics)

        yield Report(write, clock.read, show)


def _open_sinks(workdir, start, stack):
    """The places that (step, values, their pictures as PNG files) go to."""
    (workdir / SAMPLES).mkdir(parents=True, exist_ok=True)
    path = workdir / 'metrics.jsonl'
    _keep_until(path, start)
    lines = stack.enter_context(open(path, 'a', encoding='utf-8'))  # noqa: SIM115

    def add_line(step, values, pngs):
        del pngs
        _add_line(lines, step, values)

    def add_samples(step, values, pngs):
        write_samples(workdir, step, values, pngs)

    return [add_line, open_board(workdir, start, stack), add_samples]


def _add_line(lines, step, values):
    """Writes the numbers among the values, if there are any; null where one is not finite."""
    numbers = {name: float(value) for name, value in values.items() if is_number(value)}
    if not numbers:
        return
    row: dict[str, float | None] = {'step': step}
    for name, number in numbers.items():
        row[name] = number if math.isfinite(number) else None  # JSON has no NaN
    lines.write(json.dumps(row) + '\n')
    lines.flush()


def _keep_until(path, step):
    """Drops the lines of steps after the checkpoint: the resumed run writes them again."""
    if not path.exists():
        return
    kept = [line for line in path.read_text('utf-8').splitlines() if _step_of(line) <= step]
    write_atomically(path, ''.join(f'{line}\n' for line in kept).encode())


def _step_of(line):
    try:
        return json.loads(line)['step']
    except ValueError:  # the torn last line of a killed process
        return math.inf
