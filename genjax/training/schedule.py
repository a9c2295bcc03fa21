"""What happens at which step of a run, and where its compiled calls end."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import jax

from genjax.training.experiment import Probe

STEPS_PER_CALL = {'cpu': 10, 'gpu': 20, 'tpu': 20}  # by backend; benchmarks/trainer.py measures it


class Every(NamedTuple):
    """Steps between two lines of averages, two evaluations, two checkpoints."""

    log: int = 100
    evaluate: int = 1000
    save: int = 1000


class Due(NamedTuple):
    """What is due at a step."""

    log: bool = False
    evaluate: bool = False
    save: bool = False
    probes: frozenset[str] = frozenset()  # their names


class Schedule(NamedTuple):
    steps: int  # of the whole run; at the last one everything is due
    stop: int  # the step that this launch goes to
    steps_per_call: int  # at the most
    every: Every
    probes: Mapping[str, int]  # name -> steps between two looks


def make_schedule(
    probes: Mapping[str, Probe],
    *,
    steps: int,
    until: int | None = None,
    every: Every = Every(),
    steps_per_call: int | None = None,
) -> Schedule:
    """The schedule of a run.

    Args:
      probes: by name.
      steps: of the whole run.
      until: the step to stop at, if that comes before the last.
      every: steps between two events of a kind.
      steps_per_call: by default what was measured for the backend.

    Raises:
      ValueError: one of these numbers of steps is below 1.
    """
    stop = steps if until is None else min(until, steps)
    if steps_per_call is None:
        steps_per_call = STEPS_PER_CALL.get(jax.default_backend(), 1)
    numbers = {'steps': steps, 'until': stop, 'steps_per_call': steps_per_call}
    numbers |= {f'probe {name}': probe.every for name, probe in probes.items()}
    numbers |= every._asdict()
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f'{name} is {number}; at least 1 step is needed')
    intervals = {name: probe.every for name, probe in probes.items()}
    return Schedule(steps, stop, steps_per_call, every, intervals)


def due_at(schedule: Schedule, step: int) -> Due:
    """What is due after `step` steps."""

    def due(interval):
        return step % interval == 0 or step == schedule.steps

    probes = frozenset(name for name, interval in schedule.probes.items() if due(interval))
    every = schedule.every
    return Due(due(every.log), due(every.evaluate), due(every.save), probes)


def pauses_at(schedule: Schedule, step: int) -> bool:
    """Whether the state is wanted at a step, so that the device has to wait there."""
    due = due_at(schedule, step)
    return step == schedule.stop or due.evaluate or due.save or bool(due.probes)


def call_spans(schedule: Schedule, start: int) -> Iterator[tuple[int, int]]:
    """(first step, count) of each call from `start` to the stop; a call ends wherever something is
    due."""
    intervals = [*schedule.every, *schedule.probes.values()]
    return spans(start, schedule.stop, schedule.steps_per_call, intervals)


def spans(start: int, stop: int, most: int, intervals: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(first step, count) of calls of at most `most` steps that cross no interval's multiple."""
    intervals = list(intervals)
    while start < stop:
        multiples = [(start // interval + 1) * interval for interval in intervals]
        end = min([start + most, stop, *multiples])
        yield start, end - start
        start = end
