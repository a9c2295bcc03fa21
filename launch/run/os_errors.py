"""What the operating system refuses while a run goes on, as a full disk or a file that is gone:
told in one line."""

import contextlib
import functools
import logging
import os
import re
import sys
import threading
from collections.abc import Callable

from launch.run import rundir
from launch.run.plan import Plan

REFUSED = 74  # EX_IOERR of sysexits.h: an error in reading or writing


def told(run: Callable[[Plan], int]) -> Callable[[Plan], int]:
    """A way to carry out a plan that returns REFUSED, after one line, where the operating system
    refused something."""

    @functools.wraps(run)
    def carried_out(plan):
        _hush()
        try:
            return run(plan)
        except Exception as error:
            if (says := refused(error)) is None:
                raise
            line = f'workdir {plan.workdir}: {says}; {_left(plan.workdir)}'
        with contextlib.suppress(OSError):  # it may go to a file on the disk that is full
            print(line, file=sys.stderr, flush=True)
        return REFUSED

    return carried_out


def refused(error: BaseException | None) -> str | None:
    """What the operating system refused, and of which file if that is known; None if it is another
    error."""
    if isinstance(error, OSError):
        return f'{error.strerror or error}' + (f': {error.filename}' if error.filename else '')
    if isinstance(error, ValueError) and (
        code := re.search(r"os_error_code='(\d+)'", str(error))
    ):  # tensorstore's
        return os.strerror(int(code[1]))
    return None


def reason(error: BaseException) -> str:
    """An error in a line, for records."""
    return refused(error) or f'{type(error).__name__}: {str(error).partition(chr(10))[0]}'


def _left(workdir):
    step = rundir.last_step(workdir)
    if step is None:
        return 'no checkpoint had been written'
    return f'the checkpoint of step {step} stays, and the same command goes on from it'


@functools.cache
def _hush():
    """Has threads that save in the background say nothing of what is raised again by who waits for
    them.

    For good: when the run has ended with the first error, others of them are still to meet theirs.
    """
    in_thread, in_callback = threading.excepthook, sys.unraisablehook
    logging.getLogger('absl').addFilter(
        lambda record: _is_news((record.exc_info or (None, None))[1])
    )
    threading.excepthook = lambda failure: (
        in_thread(failure) if _is_news(failure.exc_value) else None
    )
    sys.unraisablehook = lambda failure: (
        in_callback(failure) if _is_news(failure.exc_value) else None
    )


def _is_news(error):
    # The loop is closed by the first write that fails, and the others of the same checkpoint
    # complain of it.
    return refused(error) is None and str(error) != 'Event loop is closed'
