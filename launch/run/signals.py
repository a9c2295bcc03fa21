"""A run that is asked to stop saves, and leaves with a code that tells a scheduler to go on."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator

STOPPED = 75  # EX_TEMPFAIL of sysexits.h: try again later


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Gives a function that tells whether SIGTERM or SIGINT has come; the second of them ends the
    process at once."""
    received = []

    def note(number, frame):
        del frame
        if received:
            os._exit(128 + number)
        received.append(number)
        # Not print: a signal may come in the middle of one.
        os.write(sys.stderr.fileno(), b'\nsaving; a second signal leaves at once\n')

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
