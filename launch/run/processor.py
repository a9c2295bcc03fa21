"""The processor that a CPU's programs are compiled for."""

import contextlib
import os
import pathlib
import platform


def cores() -> int:
    """For how many cores XLA cuts a CPU's programs: those that this process may use, if NPROC says
    nothing else."""
    if os.environ.get('NPROC', '').isdecimal():
        return int(os.environ['NPROC'])
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


def processor() -> str:
    """The name of the processor's model."""
    with contextlib.suppress(OSError):
        lines = pathlib.Path('/proc/cpuinfo').read_text('utf-8').splitlines()
        names = (line.partition(':')[2].strip() for line in lines if line.startswith('model name'))
        return next(names, '')
    return platform.processor()
