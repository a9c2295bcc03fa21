"""What a process that computes is given before jax is imported, and how a program leaves."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence

import absl.logging

from genjax.home import cache_folder, is_writable, why_no_cache
from launch.cli.refusal import Refused

COMPILED = 'JAX_COMPILATION_CACHE_DIR'


def prepare() -> None:
    """Sets the compilation cache, where the user has not, and quietens libraries.

    Only programs call it: a library that writes into a home folder would surprise.
    """
    absl.logging.set_verbosity(absl.logging.ERROR)  # libraries warn of what is no trouble
    logging.getLogger('matplotlib').setLevel(logging.ERROR)  # it makes do without a home
    if _cache_is_writable():
        os.environ.setdefault(COMPILED, str(cache_folder() / 'xla'))
    # Small programs too: an initialisation compiles a hundred of them.
    os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
    os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES', '-1')


def warn_without_cache() -> None:
    """Says, before anything is compiled, that programs are kept nowhere, and what to set."""
    if COMPILED not in os.environ and not _cache_is_writable():
        print(f'compiled programs are not kept: {why_no_cache()}', file=sys.stderr)


def _cache_is_writable():
    folder = cache_folder()
    return folder is not None and is_writable(folder / 'xla')


def answer(
    argv: Sequence[str], usage: str | None, carry_out: Callable[[Sequence[str]], int]
) -> int:
    """Carries out a command line, or says the usage where that is asked for.

    Args:
      argv: the words.
      usage: of the program.
      carry_out: argv -> the exit code.

    Returns:
      The exit code; that of a refusal, which is a line on the standard error, is 2.
    """
    if '--help' in argv or '-h' in argv:
        print(usage)
        return 0
    try:
        return carry_out(argv)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2


def run_program(main: Callable[[Sequence[str]], int]) -> None:
    """Carries out the command line of this process, and exits with the code of `main`.

    That the reader of the output has gone, as `head` does, is no error.
    """
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + signal.SIGPIPE  # as a shell tells of a process that died of it
    sys.exit(code)
