"""How far a long reading or computation of known length is: a line that is drawn anew."""

import datetime
import sys
import time
from collections.abc import Callable

Show = Callable[[int, int], None]  # (done, of how many)


def counting_line(label: str, unit: str) -> Show:
    """A line on the standard error, with the rate and the time left.

    On a terminal it is drawn anew five times a second, and in a log one more is written every
    minute.

    Args:
      label: that it begins with.
      unit: of what is counted, in the plural.
    """
    stream = sys.stderr
    on_terminal = stream.isatty()
    interval = 0.2 if on_terminal else 60.0  # seconds
    began = time.perf_counter()
    last_drawn = began
    first = None  # (done, time) at the first call, by when the program is compiled

    def show(done, total):
        nonlocal last_drawn, first
        now = time.perf_counter()
        if first is None:
            first = done, now
        is_last = on_terminal and done >= total
        if now - last_drawn < interval and not is_last:
            return
        last_drawn = now
        text = f'{label}: {done:,}/{total:,} {unit}'
        if done > first[0] and now > first[1]:
            rate = (done - first[0]) / (now - first[1])
            left = datetime.timedelta(seconds=round((total - done) / rate))
            text += f'  {rate:.3g}/s  {left} left'
        stream.write(f'\r\x1b[K{text}' if on_terminal else f'{text}\n')
        if is_last:
            stream.write('\n')
        stream.flush()

    return show
