"""What a sweep says while it runs: a line for every launch that has ended, and a live one on a
terminal."""

import contextlib
import datetime
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

CLEAR = '\r\x1b[K'  # the line of the terminal


class Progress(NamedTuple):
    ended: Callable[[str, str], None]  # what has ended, and how
    update: Callable[[int], None]  # how many run


def progress(total: int) -> Progress:
    """Reports of `total` launches: on standard output, and live on standard error."""
    start = time.monotonic()
    outcomes: list[str] = []
    live = sys.stderr.isatty()
    live_line = None

    def ended(name: str, outcome: str) -> None:
        outcomes.append(outcome)
        times = _times(start, len(outcomes), total)
        line = f'[{len(outcomes)}/{total}] {name}  {outcome}  ({times})'
        # A sweep whose output has nowhere to go has workers to wait for all the same.
        with contextlib.suppress(OSError):
            print(f'{CLEAR if live else ""}{line}', flush=True)

    def update(running: int) -> None:
        nonlocal live_line
        failed = sum(outcome.startswith(('failed', 'killed')) for outcome in outcomes)
        done = len(outcomes) - failed
        times = _times(start, len(outcomes), total)
        line = f'{done} done, {running} running, {failed} failed, {times}'
        if live and line != live_line:
            live_line = line
            sys.stderr.write(f'{CLEAR}{line}' if running else CLEAR)
            sys.stderr.flush()

    return Progress(ended, update)


def _times(start: float, ended: int, total: int) -> str:
    """The time gone, and the time left if what is to come takes as long as what has ended."""
    gone = time.monotonic() - start
    if not 0 < ended < total:
        return _clock(gone)
    left = gone * (total - ended) / ended
    return f'{_clock(gone)}, about {_clock(left)} left'


def _clock(seconds):
    return str(datetime.timedelta(seconds=round(seconds)))
