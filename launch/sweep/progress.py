"""What a sweep says while it runs: a line for every point that has ended, and a live one on a
terminal."""

import contextlib
import datetime
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from launch.sweep.points import Point, told


class Progress(NamedTuple):
    ended: Callable[[Point, str], None]  # a point, and how it ended
    show: Callable[[int], None]  # how many run


def progress(total: int) -> Progress:
    """Tells of a sweep of which `total` points are to be launched: on standard output, and live on
    standard error."""
    began, ends, drawn = time.monotonic(), [], [None]
    live = sys.stderr.isatty()

    def ended(point, says):
        ends.append(says)
        line = f'[{len(ends)}/{total}] {point.workdir}  {told(point.texts)}  {says}  ({_clock(began, len(ends), total)})'
        # A sweep whose output has nowhere to go has workers to wait for all the same.
        with contextlib.suppress(OSError):
            print('\r\x1b[K' * live + line, flush=True)

    def show(running):
        failed = sum(says.startswith(('failed', 'killed')) for says in ends)
        line = f'{len(ends) - failed} done, {running} running, {failed} failed, {_clock(began, len(ends), total)}'
        if live and line != drawn[0]:
            drawn[0] = line
            sys.stderr.write(f'\r\x1b[K{line}' if running else '\r\x1b[K')
            sys.stderr.flush()

    return Progress(ended, show)


def _clock(began, ends, total):
    """The time gone, and the time left if what is to come takes as long as what has ended."""
    gone = time.monotonic() - began
    shown = lambda seconds: str(datetime.timedelta(seconds=round(seconds)))
    return shown(gone) + (
        f', about {shown(gone * (total - ends) / ends)} left' if 0 < ends < total else ''
    )
