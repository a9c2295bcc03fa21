"""Steps of a run taken again, and compared with what it left."""

import json
import math
import pathlib
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from genjax.training import NonFinite, replay
from launch.cli.refusal import Refused
from launch.run import rundir
from launch.run.comparison import (
    Difference,
    compare_data_and_settings,
    compare_environments,
    compare_lines,
    compare_states,
    rounds_otherwise,
)
from launch.run.plan import Plan, recipe
from launch.run.provenance import launch_record
from launch.run.states import state_at
from launch.viewer.reading import read_run
from launch.viewer.runs import Run

TOLERANCE = 1e-3


class Request(NamedTuple):
    """What a command line asks for."""

    workdir: pathlib.Path
    steps: int | None = None
    start: int = 0
    step: int | None = None
    debug_nans: bool = False


def from_step(asked: Request) -> int:
    """The step from which they are taken."""
    if asked.step:
        return rundir.checkpoint_before(asked.workdir, asked.step)
    return asked.start


def compare(plan: Plan, asked: Request) -> int:
    """Takes steps of a run again and prints whether they come out as they did.

    Returns 0 where they do, 1 where they differ.

    Raises:
      Refused: the run left nothing to compare with.
    """
    run = read_run(plan.workdir)
    saved = rundir.checkpoints(plan.workdir)
    lines = [row['step'] for row in run.rows]
    stop = _stop(plan, asked, lines, saved)
    span = f'steps {asked.start + 1} to {stop}'
    environment = compare_environments(run.launches, launch_record(plan.argv))
    environment |= compare_data_and_settings(plan)
    tolerance = TOLERANCE if rounds_otherwise(environment) else 0.0

    compared = {'lines': 0, 'checkpoints': 0}
    differences: list[Difference] = []
    for kind, new in _compared(plan, asked.start, stop, run, saved):
        compared[kind] += 1
        differences += new
        for difference in new:
            if not (tolerance and difference.size <= tolerance):  # a NaN is not within it
                return _print(plan, f'different: {difference}', environment, 1)
    if not any(compared.values()):
        later = min((step for step in [*lines, *saved] if step > stop), default=None)
        after = f'; the next is of step {later}' if later else ''
        raise Refused(f'{plan.workdir} left nothing of {span} to compare with{after}')
    extent = (
        f'{span}, by {compared["lines"]} of its lines of metrics'
        f' and {compared["checkpoints"]} of its checkpoints'
    )
    if not differences:
        return _print(plan, f'equal to the bit: {extent}', environment, 0)
    most = max(differences, key=lambda difference: difference.size)
    return _print(plan, f'within {tolerance} of it: {extent}; the most is {most}', environment, 0)


def _stop(plan: Plan, asked: Request, lines: Sequence[int], saved: Sequence[int]) -> int:
    """The step to go to."""
    if asked.start and asked.start not in saved:
        there = saved or 'of no step'
        raise Refused(f'--from is {asked.start}; {plan.workdir} has the checkpoints {there}')
    if asked.steps:
        return min(asked.start + asked.steps, plan.config.steps)
    candidates = [*saved, *lines] if asked.start else [*lines, *saved]
    later = [step for step in candidates if step > asked.start]
    if not later:
        raise Refused(f'{plan.workdir} left nothing to compare with after step {asked.start}')
    return later[0]


def _compared(
    plan: Plan, start: int, stop: int, run: Run, saved: Sequence[int]
) -> Iterator[tuple[str, Sequence[Difference]]]:
    """('lines' or 'checkpoints', how it differs) of each that the run left and that comes out
    again, in order."""
    again = recipe(plan)
    rows = {row['step']: row for row in run.rows}
    saved_here = {step for step in saved if start < step <= stop}
    state, tally = state_at(plan.workdir, again, start)
    try:
        with jax.set_mesh(plan.mesh):
            for step, line, state_here in replay.lines(
                again, state, tally, start, saved_here | {stop}
            ):
                if line and step <= run.step:
                    yield 'lines', compare_lines(step, rows.get(step, {}), line)
                if step in saved_here:
                    state_there, _ = state_at(plan.workdir, again, step)
                    yield 'checkpoints', compare_states(step, state_there, state_here)
    except NonFinite as error:
        if run.launches[-1].get('ended') == str(error):  # as it did then
            yield 'lines', []
        else:
            yield 'lines', [Difference(error.step, error.what, 'not finite here', math.inf)]


def _print(plan: Plan, text: str, environment: Mapping[str, str], code: int) -> int:
    differs = ''.join(f'; {key} {difference}' for key, difference in environment.items())
    print(f'{plan.workdir}: {text}{differs}')
    return code


def one_step(plan: Plan, asked: Request) -> int:
    """Takes one step of a run again and prints its metrics and what is not finite.

    Returns 3 if something is not finite that was before the step, else 0.

    Raises:
      Refused: the run has no such step.
    """
    again = recipe(plan)
    step = asked.step
    if step > again.steps:
        raise Refused(f'--step is {step}; it takes 1 to {again.steps}, the steps of the config')
    start = from_step(asked)
    key, batch = replay.step_inputs(again, step)

    with jax.set_mesh(plan.mesh):
        saved, _ = state_at(plan.workdir, again, start)
        state = replay.go_on(again, saved, start, step - 1)

        def update():
            return jax.jit(again.experiment.algorithm.update)(key, state, batch)

        if asked.debug_nans:
            _print_where(update)
        after, metrics = update()

    values = {name: float(value) for name, value in metrics.items()}
    before = replay.not_finite(state)
    bad = [f'batch/{name}' for name in replay.not_finite(batch)] + replay.not_finite(after)
    more = f' and {len(bad) - 3} more' if len(bad) > 3 else ''
    names = ', '.join(bad[:3]) + more or 'no leaf'
    print(f'{plan.workdir}: step {step}: {json.dumps(values)}; not finite: {names}')
    is_new = set(bad) - set(before) or not all(map(math.isfinite, values.values()))
    return 3 if is_new else 0


def _print_where(update: Callable[[], Any]):
    """Prints the traceback of the first NaN, or else of the first infinity."""
    for checked in (jax.debug_nans, jax.debug_infs):
        try:
            with checked(True):
                update()
        except FloatingPointError:
            traceback.print_exc()
            return
