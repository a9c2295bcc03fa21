"""What a program is at, said while it takes long: nobody should wonder whether it hangs.

Code says what it does, `with doing('compiling'):`, which costs nothing and writes nothing. Only a
program that called `show_waits` says it to its user.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple, TextIO

EVERY = 0.5  # seconds between two looks
FIRST = 5.0  # seconds of one thing until a log has a line of it; the next after twice as many


class Doing(NamedTuple):
    what: str
    began: float


# One stack and one line: they are the process's, as its standard error is.
_stack: list[Doing] = []
_lock = threading.Lock()
_erase = None  # rids a terminal of the line that is drawn there; None where there is none


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Says what is done inside, as 'compiling'; '' where that says itself how far it is."""
    global _erase
    entry = Doing(what, time.perf_counter())
    _stack.append(entry)
    try:
        yield
    finally:
        with _lock:
            _stack.remove(entry)
            if _erase is not None:
                _erase()
                _erase = None


def show_waits(stream: TextIO, every: float = EVERY) -> None:
    """From now on says what is done, and for how many seconds already.

    On a terminal it is a line that is drawn anew; a log gets a line after 5, 10, 20, ... seconds of
    one thing.

    Args:
      stream: the terminal or log.
      every: seconds between two looks.
    """
    look = _on_terminal(stream) if stream.isatty() else _in_log(stream)

    def watch():
        # The program ends when it ends, and its stream may have gone before.
        with contextlib.suppress(OSError, ValueError):
            while True:
                time.sleep(every)
                with _lock:
                    look(_stack[-1] if _stack else None)

    threading.Thread(target=watch, name='waiting', daemon=True).start()


def _on_terminal(stream):
    def erase():
        stream.write('\r\x1b[K')
        stream.flush()

    def look(entry):
        global _erase
        if entry is None or not entry.what:
            return
        stream.write(f'\r\x1b[K{_line(entry)}')
        stream.flush()
        _erase = erase

    return look


def _in_log(stream):
    current = None
    due = FIRST

    def look(entry):
        nonlocal current, due
        if entry is not current:
            current = entry
            due = FIRST
        if entry is None or not entry.what or time.perf_counter() - entry.began < due:
            return
        due *= 2
        stream.write(f'{_line(entry)}\n')
        stream.flush()

    return look


def _line(entry):
    return f'{entry.what}  {time.perf_counter() - entry.began:.0f} s'
