"""What a process that computes is given before jax is imported, and how a program leaves."""

import os
import signal
import sys
from collections.abc import Callable, Sequence

from absl import logging


def prepare() -> None:
    """Sets the compilation cache, where the user has not, and quietens libraries; only programs do this."""
    logging.set_verbosity(logging.ERROR)  # libraries warn of what is no trouble
    # Not in a module: a library that writes into a home folder would surprise.
    os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', os.path.expanduser('~/.cache/genjax/xla'))
    # Small programs too: an initialisation compiles a hundred of them.
    os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
    os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES', '-1')


def leave(main: Callable[[Sequence[str]], int]) -> None:
    """Carries out the command line and exits with its code; a reader of its output that has gone is no error."""
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more
        code = 128 + signal.SIGPIPE  # as a shell tells of who dies of it
    sys.exit(code)
