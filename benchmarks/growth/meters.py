"""What a process has cost so far: its processor's time, and its memory at the peak."""

import contextlib
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from genjax.base import Algorithm, Resident
from genjax.training import make_mesh
from genjax.training.feed import feed_args, first_batch
from genjax.training.loop import fold_steps
from genjax.training.mesh import by_jit, placement, put, replicated
from genjax.training.schedule import STEPS_PER_CALL

GIB = 2**30
STATUS = pathlib.Path('/proc/self/status')  # Linux
RESET_PEAK = pathlib.Path('/proc/self/clear_refs')
AT_LEAST = 0.5  # seconds, of the calls that are averaged
MOST_CALLS = 20


def _resident_bytes(name: str) -> int:
    """VmRSS, the memory at hand, or VmHWM, its peak."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(f'{name}:'):
            return int(line.split()[1]) * 1024
    raise OSError(f'{STATUS} has no {name}')


@contextlib.contextmanager
def memory(measures: dict[str, float]) -> Iterator[None]:
    """Puts the peak of what is done within, above what was in memory before, under 'memory', GiB.

    The peak that the kernel keeps for a process begins with what its parent had, and with imports;
    so it is set back first.
    """
    RESET_PEAK.write_text('5')
    before = _resident_bytes('VmRSS')
    yield
    measures['memory'] = (_resident_bytes('VmHWM') - before) / GIB


def seconds(function: Callable[[], object]) -> float:
    """Processor seconds of a call: the median of some, after a first one, which compiles."""
    jax.block_until_ready(function())
    times = []
    while sum(times) < AT_LEAST and len(times) < MOST_CALLS:
        start = time.process_time()
        jax.block_until_ready(function())
        times.append(time.process_time() - start)
    return statistics.median(times)


def compiled(function: Callable, *args: Any) -> tuple[Callable, float]:
    """A program, and the GiB that XLA gives its arguments, results and temporaries."""
    program = jax.jit(function).lower(*args).compile()
    sizes = program.memory_analysis()
    total = sizes.argument_size_in_bytes + sizes.output_size_in_bytes + sizes.temp_size_in_bytes
    return program, total / GIB


def training_seconds(algorithm: Algorithm, feed: Resident, steps: int) -> tuple[float, float]:
    """Processor seconds of tracing and compiling the trainer's call, and of so many steps in calls.

    The program is compiled once for all calls: called with a state on other devices than its own
    result is on, it raises an error in place of being compiled again. Logging and evaluation are
    left out.
    """
    mesh = make_mesh(jax.devices()[:1])
    call = STEPS_PER_CALL['cpu']
    with jax.set_mesh(mesh):
        key = put(jax.random.key(0), replicated(mesh))
        state = jax.jit(algorithm.init)(key, first_batch(feed))
        shardings = placement(mesh, (), state)
        state = jax.tree.map(put, state, shardings)
        args = feed_args(feed, mesh, call, 0)(call)

        start = time.process_time()
        run = by_jit(fold_steps(algorithm, feed, call), mesh, shardings)
        program = run.lower(key, state, args, np.int32(0), np.int32(call)).compile()
        compiling = time.process_time() - start

        start = time.process_time()
        for step in range(0, steps, call):
            count = np.int32(min(call, steps - step))
            state, _ = program(key, state, args, np.int32(step), count)
        jax.block_until_ready(state)
    return compiling, time.process_time() - start
