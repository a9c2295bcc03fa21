"""The processor that a CPU's programs are compiled for."""

import contextlib
import os
import pathlib
import platform

POOL = 'XLAEigen'  # in the names of the threads that XLA cuts a CPU's programs for


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


def share_cores() -> None:
    """Has the idle threads of XLA leave a core to those that compute, where they are more than the
    cores that this process may use, as in a sweep's worker. No number changes.

    A thread of XLA's pool looks out for work a while before it sleeps. As a batch thread it takes
    the core from no other when it wakes, and any other that wakes takes it from that one.
    """
    if not hasattr(os, 'SCHED_BATCH') or cores() <= len(os.sched_getaffinity(0)):
        return
    for thread in pathlib.Path('/proc/self/task').iterdir():
        with contextlib.suppress(OSError):  # it has ended
            if POOL in (thread / 'comm').read_text('utf-8'):
                os.sched_setscheduler(int(thread.name), os.SCHED_BATCH, os.sched_param(0))
