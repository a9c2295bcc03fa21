"""How fast a run is and how long it takes yet: the clock of its log, and a live line."""

import datetime
import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, TextIO

from genjax.training.values import Values


class Clock(NamedTuple):
    """Times of a run.

    The seconds are since the beginning, compiling included. The rate is of the steps since the last
    line or, before there is one, since the first call ended: by then the program is compiled. Of no
    steps there is no rate.
    """

    read: Callable[[int], Values]  # step -> {'time/...': seconds, and a rate where one is known}
    called: Callable[[int], None]  # (step) after each call
    written: Callable[[int], None]  # (step) after each line


def make_clock() -> Clock:
    """A clock that begins now."""
    began = time.perf_counter()
    mark = None  # (step, time) since which steps are counted

    def read(step):
        now = time.perf_counter()
        times = {'time/seconds': now - began}
        rate = _rate(mark, step, now)
        if rate is not None:
            times['time/steps_per_second'] = rate
        return times

    def written(step):
        nonlocal mark
        mark = step, time.perf_counter()

    def called(step):
        if mark is None:
            written(step)

    return Clock(read, called, written)


class LiveLine(NamedTuple):
    show: Callable[[int, Mapping[str, float]], None]  # (step, the newest metrics, if there are any)
    end: Callable[[], None]


def make_live_line(start: int, steps: int, stream: TextIO, *, unit: str = 'step') -> LiveLine:
    """A line that is drawn anew five times a second on a terminal, and in a log one more every
    minute, the first after 10 seconds.

    Rate and time left are of the steps since the first call ended, evaluations and probes between
    them included, since they come again; compiling, which is over then, is not.

    Args:
      start: the step that the run goes on from.
      steps: the last step.
      stream: where the line is drawn.
      unit: what is counted.
    """
    began = time.perf_counter()
    on_terminal = stream.isatty()
    interval = 0.2 if on_terminal else 10  # seconds
    line = '\r\x1b[K{}' if on_terminal else '{}\n'
    last_drawn = -math.inf if on_terminal else began
    first_call = None  # (step, time) at which the first call ended
    if on_terminal:
        stream.write(line.format(f'{unit} {start:,}/{steps:,}  compiling'))
        stream.flush()

    def show(step, metrics):
        nonlocal last_drawn, first_call, interval
        now = time.perf_counter()
        if first_call is None:
            first_call = step, now
        is_last = step >= steps and on_terminal
        if now - last_drawn < interval and not is_last:
            return
        last_drawn = now
        interval = 0.2 if on_terminal else 60
        share = f'{unit} {step:,}/{steps:,} {step / steps:4.0%}'
        speed = _speed(_rate(first_call, step, now), steps - step, unit)
        stream.write(line.format(f'{share}{speed}{_newest(metrics)}'))
        stream.flush()

    def end():
        if on_terminal:
            stream.write('\n')

    return LiveLine(show, end)


def _rate(mark, step, now):
    """Steps a second since a mark (step, time); None where there were none."""
    if mark is None:
        return None
    first_step, then = mark
    if step <= first_step or now <= then:
        return None
    return (step - first_step) / (now - then)


def _newest(metrics):
    """The loss, or another metric where there is none."""
    if not metrics:
        return ''
    name = 'loss' if 'loss' in metrics else next(iter(metrics))
    return f'  {name} {metrics[name]:.4g}'


def _speed(rate, remaining, unit):
    """A rate a second, and the time that what remains takes; '' without a rate."""
    if rate is None:
        return ''
    left = datetime.timedelta(seconds=round(remaining / rate))
    return f'  {rate:.3g} {unit}s/s  {left} left'
