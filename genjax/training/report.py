"""What a run leaves to look at: metrics.jsonl, TensorBoard events, pictures, and a live line of
progress."""

import contextlib
import datetime
import io
import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TextIO

import numpy as np
from PIL import Image

from genjax.base import Embedding
from genjax.training.tensorboard import is_number, is_picture, open_board, table

SAMPLES = 'samples'  # in the run directory

# name -> number | picture [H, W, C] | film [T, H, W, C] | text | table (list of dicts) | Embedding
# | bytes of a file, whose name ends in the file's suffix
Values = dict[str, Any]


class Report(NamedTuple):
    write: Callable[[int, Values], None]
    clock: Callable[
        [int], Values
    ]  # step -> {'time/...': seconds since the beginning, and a rate where one is known}
    show: Callable[
        [int, Values], None
    ]  # (step, the newest metrics), after each call: the live line


@contextlib.contextmanager
def open_report(
    workdir: pathlib.Path | str | None, *, start: int, steps: int, stream: TextIO | None = None
) -> Iterator[Report]:
    """The report of a run that goes on from step `start`; what an earlier launch wrote of later
    steps goes.

    Args:
      workdir: the run directory; None writes no files.
      start: the step of the checkpoint that the run resumes from, 0 for a new run.
      steps: the last step, for the time left.
      stream: where the live line is drawn if it is a terminal, and else written every minute;
        default standard error.
    """
    clock, called, restart = _clock()
    draw, end = _live_line(start, steps, stream or sys.stderr)
    with contextlib.ExitStack() as stack:
        stack.callback(end)
        sinks = [] if workdir is None else _sinks(pathlib.Path(workdir), start, stack)

        def write(step, values):
            pngs = {
                name: png(value) for name, value in values.items() if sinks and is_picture(value)
            }
            for sink in sinks:
                sink(step, values, pngs)
            restart(step)

        def show(step, metrics):
            called(step)
            draw(step, metrics)

        yield Report(write, clock, show)


def _sinks(workdir, start, stack):
    """The places that (step, values, their pictures as PNG files) go to."""
    (workdir / SAMPLES).mkdir(parents=True, exist_ok=True)
    _keep_until(workdir / 'metrics.jsonl', start)
    lines = stack.enter_context(open(workdir / 'metrics.jsonl', 'a', encoding='utf-8'))  # noqa: SIM115
    return [
        lambda step, values, pngs: _add_line(lines, step, values),
        open_board(workdir, start, stack),
        lambda step, values, pngs: write_samples(workdir, step, values, pngs),
    ]


def _add_line(lines, step, values):
    numbers = {name: float(value) for name, value in values.items() if is_number(value)}
    if numbers:
        finite = {
            name: value if math.isfinite(value) else None for name, value in numbers.items()
        }  # JSON has no NaN
        lines.write(json.dumps({'step': step, **finite}) + '\n')
        lines.flush()


def write_samples(
    workdir: pathlib.Path | str, step: int, values: Values, pngs: Mapping[str, bytes] = {}
) -> list[pathlib.Path]:
    """Writes every picture, film, text, table and file among the values to samples/, named by step;
    returns them.

    Args:
      pngs: pictures by name that were encoded already.
    """
    folder = pathlib.Path(workdir) / SAMPLES
    folder.mkdir(parents=True, exist_ok=True)
    written = {n: v for n, v in values.items() if not is_number(v) and not isinstance(v, Embedding)}
    return [
        _write_sample(folder, name, step, value, pngs.get(name)) for name, value in written.items()
    ]


def _keep_until(path, step):
    """Drops the lines of steps after the checkpoint: the resumed run writes them again."""
    if not path.exists():
        return
    kept = [line for line in path.read_text('utf-8').splitlines() if _step_of(line) <= step]
    _atomically(path, ''.join(f'{line}\n' for line in kept).encode())


def _step_of(line):
    try:
        return json.loads(line)['step']
    except ValueError:  # the torn last line of a killed process
        return float('inf')


def _atomically(path, content):
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_bytes(content)
    os.replace(partial, path)


def _write_sample(folder, name, step, value, encoded):
    """Writes one value, of a picture its encoded form where there is one; returns the path."""
    stem, suffix = f'{name.replace("/", "_")}_{step:08d}', 'txt'
    if is_picture(value):
        content, suffix = (encoded or png(value), 'png') if value.ndim == 3 else (gif(value), 'gif')
    elif isinstance(value, bytes):
        own = pathlib.Path(name.replace('/', '_'))
        stem, suffix, content = f'{own.stem}_{step:08d}', own.suffix[1:], value
    elif isinstance(value, str):
        content = value.encode()
    else:
        content, suffix = table(value, '\t').encode(), 'tsv'
    path = folder / f'{stem}.{suffix}'
    _atomically(path, content)
    return path


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 pixels [H, W, C], or of the last of [T, H, W, C]."""
    file = io.BytesIO()
    Image.fromarray((pixels if pixels.ndim == 3 else pixels[-1]).squeeze()).save(file, 'png')
    return file.getvalue()


def gif(pixels: np.ndarray) -> bytes:
    """A GIF file of uint8 pixels [T, H, W, C], which rests on its last frame."""
    file, frames = io.BytesIO(), [Image.fromarray(frame.squeeze()) for frame in pixels]
    rest = [60] * (len(frames) - 1) + [2000]  # milliseconds
    frames[0].save(file, 'gif', save_all=True, append_images=frames[1:], duration=rest, loop=0)
    return file.getvalue()


def write_curve(workdir: pathlib.Path | str) -> None:
    """Draws the losses that metrics.jsonl has, training and test, against the step:
    samples/loss.png."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # a figure of its own: pyplot keeps a list of all

    rows = [
        json.loads(line)
        for line in (pathlib.Path(workdir) / 'metrics.jsonl').read_text('utf-8').splitlines()
    ]
    figure = Figure((7, 4.5), 100, layout='tight')
    axes = figure.add_subplot(xlabel='step', ylabel='loss')
    for name, style in (('loss', '-'), ('test/loss', 'o--')):
        points = [(row['step'], row[name]) for row in rows if row.get(name) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), style, label=name, markersize=4)
    if axes.lines:
        axes.legend()
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        _atomically(
            pathlib.Path(workdir) / SAMPLES / 'loss.png',
            png(np.asarray(canvas.buffer_rgba())[..., :3]),
        )


def _clock():
    """clock(step), called(step) and restart(step), of which the last two are told of each call and
    of each write.

    The seconds are since the beginning, compiling included. The rate is of the steps since the last
    write or, before there is one, since the first call ended: by then the program is compiled. Of
    no steps there is no rate.
    """
    began = time.perf_counter()
    mark = None  # (step, time) since which steps are counted

    def clock(step):
        now = time.perf_counter()
        rate = _rate(mark, step, now)
        known = {} if rate is None else {'time/steps_per_second': rate}
        return {'time/seconds': now - began} | known

    def called(step):
        if mark is None:
            restart(step)

    def restart(step):
        nonlocal mark
        mark = step, time.perf_counter()

    return clock, called, restart


def _rate(mark, step, now):
    """Steps a second since a mark (step, time); None where there were none."""
    if mark is None or step <= mark[0] or now <= mark[1]:
        return None
    return (step - mark[0]) / (now - mark[1])


def _live_line(start, steps, stream):
    """show(step, metrics) and end(): a line drawn anew five times a second; in a log one more every
    minute.

    Rate and time left are of the steps since the first call ended, evaluations and probes between
    them included, since they come again; compiling, which is over then, is not.
    """
    began = time.perf_counter()
    watched = stream.isatty()
    again, line = (
        (0.2, '\r\x1b[K{}') if watched else (60, '{}\n')
    )  # over the line of a run that this one is part of
    drawn = -math.inf if watched else began
    first = None  # (step, time) at which the first call ended
    if watched:
        stream.write(line.format(f'step {start:,}/{steps:,}  compiling'))
        stream.flush()

    def show(step, metrics):
        nonlocal drawn, first
        now = time.perf_counter()
        if first is None:
            first = step, now
        if now - drawn < again and (step < steps or not watched):
            return
        drawn = now
        name = 'loss' if 'loss' in metrics else next(iter(metrics))
        done = f'step {step:,}/{steps:,} {step / steps:4.0%}'
        stream.write(
            line.format(
                f'{done}{_told(_rate(first, step, now), steps - step)}  {name} {metrics[name]:.4g}'
            )
        )
        stream.flush()

    return show, lambda: stream.write('\n' if watched else '')


def _told(rate, remaining):
    """A rate in steps a second, and the time that the remaining steps take; nothing where none is
    known."""
    if rate is None:
        return ''
    return f'  {rate:.3g} steps/s  {datetime.timedelta(seconds=round(remaining / rate))} left'
