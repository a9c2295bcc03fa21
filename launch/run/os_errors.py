"""What the operating system refuses while a run goes on, as a full disk or a file that is gone:
said in one line."""

import contextlib
import functools
import logging
import os
import pathlib
import re
import sys
import threading
from collections.abc import Callable

from launch.run import rundir

IO_ERROR = 74  # EX_IOERR of sysexits.h: an error in reading or writing


def in_one_line(
    act: Callable[[], int], workdir: pathlib.Path, out: pathlib.Path | None = None
) -> int:
    """Acts on a run directory; returns the exit code of that.

    Where the operating system refuses something, it is IO_ERROR, after one line.

    Args:
      act: what is done.
      workdir: the run directory.
      out: where else it writes, and nothing then in the run directory.
    """
    _silence_other_threads()
    try:
        return act()
    except Exception as error:
        refused = describe(error)
        if refused is None:
            raise
    line = f'workdir {workdir}: {refused}; {_what_is_left(workdir)}'
    if out is not None:
        line = f'--out {out}: {refused}; the same command goes on from what is there'
    with contextlib.suppress(OSError):  # it may go to a file on the disk that is full
        print(line, file=sys.stderr, flush=True)
    return IO_ERROR


def describe(error: BaseException | None) -> str | None:
    """What the operating system refused, and of which file if that is known; None of another
    error."""
    if isinstance(error, OSError):
        message = str(error.strerror or error)
        return f'{message}: {error.filename}' if error.filename else message
    if isinstance(error, ValueError):
        code = re.search(r"os_error_code='(\d+)'", str(error))  # tensorstore's
        return os.strerror(int(code[1])) if code else None
    return None


def reason(error: BaseException) -> str:
    """An error in a line, for records."""
    first_line = str(error).partition('\n')[0]
    return describe(error) or f'{type(error).__name__}: {first_line}'


def _what_is_left(workdir):
    step = rundir.last_step(workdir)
    if step is None:
        return 'no checkpoint had been written'
    return f'the checkpoint of step {step} stays, and the same command goes on from it'


@functools.cache
def _silence_other_threads():
    """Has threads that save in the background say nothing of what is raised again by who waits for
    them.

    For good: when the run has ended with the first error, others of them are still to meet theirs.
    """
    thread_hook = threading.excepthook
    callback_hook = sys.unraisablehook

    def in_log(record):
        return _is_news(record.exc_info[1] if record.exc_info else None)

    def in_thread(failure):
        if _is_news(failure.exc_value):
            thread_hook(failure)

    def in_callback(failure):
        if _is_news(failure.exc_value):
            callback_hook(failure)

    logging.getLogger('absl').addFilter(in_log)
    threading.excepthook = in_thread
    sys.unraisablehook = in_callback


def _is_news(error):
    # The loop is closed by the first write that fails, and the others of the same checkpoint
    # complain of it.
    return describe(error) is None and str(error) != 'Event loop is closed'
