"""A line that says how far a long reading has come."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from genjax.waiting import doing

SHOW_EVERY = 0.2  # seconds, on a terminal
LOG_EVERY = 60  # seconds, in a log, but for the first line
LOG_FIRST = 5  # seconds


@contextlib.contextmanager
def progress(
    stream: TextIO, verb: str, unit: str, total: int | None = None
) -> Iterator[Callable[[int], None]]:
    """show(how many are done), which draws a line anew five times a second on a terminal, and in a
    log one more every minute, the first after 5 seconds.

    Args:
      stream: where the line is drawn.
      verb: what is done, as 'reading'.
      unit: what is counted, as 'words'.
      total: how many there are, where that is known.
    """
    on_terminal = stream.isatty()
    interval = SHOW_EVERY if on_terminal else LOG_FIRST
    line = '\r\x1b[K{}' if on_terminal else '{}\n'
    of_total = '' if total is None else f'/{total:,}'
    start = time.perf_counter()
    last = -math.inf if on_terminal else start

    def show(count):
        nonlocal last, interval
        now = time.perf_counter()
        if now - last < interval and not (on_terminal and count == total):
            return
        last = now
        interval = SHOW_EVERY if on_terminal else LOG_EVERY
        rate = count / (now - start)
        stream.write(line.format(f'{verb}  {count:,}{of_total} {unit}  {rate:.3g} {unit}/s'))
        stream.flush()

    try:
        with doing(''):
            yield show
    finally:
        if on_terminal:
            stream.write('\n')
