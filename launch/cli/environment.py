"""What a process that computes is given before jax is imported, and how a program leaves."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence

import absl.logging

from genjax.home import cache_folder, is_writable, why_no_cache

COMPILED = 'JAX_COMPILATION_CACHE_DIR'


def prepare() -> None:
    """Sets the compilation cache, where the user has not, and quietens libraries; only programs do
    this."""
    absl.logging.set_verbosity(absl.logging.ERROR)  # libraries warn of what is no trouble
    logging.getLogger('matplotlib').setLevel(logging.ERROR)  # it makes do without a home
    # Not in a module: a library that writes into a home folder would surprise.
    if _keeps():
        os.environ.setdefault(COMPILED, str(cache_folder() / 'xla'))
    # Small programs too: an initialisation compiles a hundred of them.
    os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
    os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES', '-1')


def tell_of_cache() -> None:
    """Says, before anything is compiled, that programs are kept nowhere, and what to set."""
    if COMPILED not in os.environ and not _keeps():
        print(f'compiled programs are not kept: {why_no_cache()}', file=sys.stderr)


def _keeps():
    folder = cache_folder()
    return folder is not None and is_writable(folder / 'xla')


def leave(main: Callable[[Sequence[str]], int]) -> None:
    """Carries out the command line and exits with its code; a reader of its output that has gone is
    no error."""
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # the interpreter flushes once more
        code = 128 + signal.SIGPIPE  # as a shell tells of who dies of it
    sys.exit(code)
