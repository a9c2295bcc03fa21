"""Compiling ahead: a program of known shapes is compiled while what it will run on is made."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def compile_ahead(program: Callable, *shapes: Any) -> Callable:
    """A program that a thread compiles from now on; its first call waits for that.

    It is traced at once, by the caller's thread, whose settings it is to have: only the compiler,
    which holds no lock of Python's, runs beside what the caller does next.

    Args:
      program: as jax.jit gives it. One that cannot be lowered, as pmap's inside a function, is
        returned as it is.
      shapes: its arguments, jax.ShapeDtypeStructs with shardings.
    """
    lower = getattr(program, 'lower', None)
    if lower is None:
        return program
    lowered = lower(*shapes)
    with_one_thread = ThreadPoolExecutor(1, 'compiling')
    compiled = with_one_thread.submit(lowered.compile)
    with_one_thread.shutdown(wait=False)

    def call(*args):
        return compiled.result()(*args)

    return call
