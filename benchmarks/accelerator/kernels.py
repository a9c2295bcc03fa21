"""A profile's kernels by their time, read from the trace that jax.profiler writes."""

import collections
import contextlib
import gzip
import json
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

# Names of kernels that are products or convolutions; `convert` is neither, and `ynn` is a library
# of them for CPUs.
MATRIX = re.compile(r'gemm|nvjet|cutlass|cublas|cudnn|mma|ynn|dot|conv(?!ert)', re.IGNORECASE)
# Of a CPU's operations, those whose time is that of others within them.
OUTER = re.compile(r'while|call|conditional')
SHOWN = 60  # kernels of a table


class Kernel(NamedTuple):
    """All calls of one kernel."""

    name: str
    seconds: float
    calls: int


def profile(call: Callable[[], object]) -> list[Kernel]:
    """The kernels of a call, the longest first.

    Args:
      call: returns when its result is there.
    """
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            call()
        return kernels(read_trace(pathlib.Path(folder)))


def read_trace(folder: pathlib.Path) -> list[dict[str, Any]]:
    """The events of the newest trace that the profiler has left in a folder, however deep.

    It is read from JSON, and where a version of jax writes none from its other file, the planes.
    """
    compressed = sorted(folder.rglob('*.trace.json.gz'))
    if compressed:
        return json.loads(gzip.decompress(compressed[-1].read_bytes()))['traceEvents']
    planes = sorted(folder.rglob('*.xplane.pb'))
    if planes:
        return list(_events_of(jax.profiler.ProfileData.from_file(str(planes[-1]))))
    raise FileNotFoundError(f'the profiler has left no trace in {folder}')


def _events_of(data):
    """The planes of a profile as trace events."""
    for pid, plane in enumerate(data.planes):
        yield {'ph': 'M', 'name': 'process_name', 'pid': pid, 'args': {'name': plane.name}}
        for tid, line in enumerate(plane.lines):
            place = {'pid': pid, 'tid': tid}
            yield {'ph': 'M', 'name': 'thread_name', 'args': {'name': line.name}} | place
            for event in line.events:
                took = {'ph': 'X', 'name': event.name, 'dur': event.duration_ns / 1e3}
                yield took | place | {'args': dict(event.stats)}


def kernels(events: Iterable[Mapping[str, Any]]) -> list[Kernel]:
    """The kernels of trace events, the longest first.

    A GPU's streams count, or else a TPU's line of operations, or else the operations of programs
    that a CPU's threads have taken: a trace shows the same time once more by module, by step and by
    name of the source.
    """
    events = list(events)
    threads = _names(events, 'thread_name', ('pid', 'tid'))
    processes = _names(events, 'process_name', ('pid',))

    def on_device(prefix):
        def chosen(event):
            device = processes.get((event['pid'],), '').startswith('/device')
            return device and threads.get((event['pid'], event['tid']), '').startswith(prefix)

        return chosen

    def on_cpu(event):
        return 'hlo_op' in event.get('args', {}) and not OUTER.match(event['name'])

    timed = [event for event in events if event.get('ph') == 'X']
    for chosen in (on_device('Stream'), on_device('XLA Ops'), on_cpu):
        found = [event for event in timed if chosen(event)]
        if found:
            return _summed(found)
    return []


def _names(events, kind, keys):
    """Names of threads or processes, which the trace has as events too."""
    return {
        tuple(event[key] for key in keys): event['args'].get('name', '')
        for event in events
        if event.get('ph') == 'M' and event.get('name') == kind
    }


def _summed(events):
    microseconds = collections.Counter()
    calls = collections.Counter()
    for event in events:
        microseconds[event['name']] += event.get('dur', 0)
        calls[event['name']] += 1
    return [Kernel(name, 1e-6 * time, calls[name]) for name, time in microseconds.most_common()]


def is_matrix_work(kernel: Kernel) -> bool:
    """Whether it is a product or a convolution, as far as its name says."""
    return bool(MATRIX.search(kernel.name))


def total(kernels: Sequence[Kernel]) -> float:
    """Seconds of all kernels together."""
    return sum(kernel.seconds for kernel in kernels)


def write(kernels: Sequence[Kernel], steps: int, path: pathlib.Path) -> None:
    """Writes kernels a step as JSON, and the longest of them as a table beside it."""
    rows = [
        {
            'ms': 1e3 * kernel.seconds / steps,
            'calls': kernel.calls / steps,
            'matrix': is_matrix_work(kernel),
            'name': kernel.name,
        }
        for kernel in kernels
    ]
    lines = ['| ms a step | calls a step | kernel |', '| --- | --- | --- |']
    lines += [f'| {row["ms"]:.3f} | {row["calls"]:.1f} | `{row["name"]}` |' for row in rows[:SHOWN]]
    path.write_text(json.dumps(rows, indent=1), 'utf-8')
    path.with_suffix('.md').write_text('\n'.join(lines) + '\n', 'utf-8')


def read(path: pathlib.Path) -> list[dict[str, Any]]:
    """The rows that `write` has written; none where there is no such file."""
    with contextlib.suppress(FileNotFoundError):
        return json.loads(path.read_text('utf-8'))
    return []
