"""python -m launch.replay RUN: takes steps of a run again, and says whether they come out as they
did.

RUN            a run directory, in which nothing is written
--steps K      so many steps; by default up to the first line of metrics.jsonl
--from STEP    from this checkpoint of the run on, by default to the next one, or else to the next line of metrics.jsonl
--step S       takes one step, the S-th, from where the newest checkpoint before it leads, and prints its metrics
--debug_nans   with --step: shows where in the program the first NaN, or else the first infinity, arises

Exit codes: 0 equal to the bit, or within 0.001 of each number and of the norm of each leaf of the
state where versions, devices, XLA's flags or --parallel, --mesh and --fold are others; 1 different;
2 refused, or there is nothing to compare with; 3 with --step, something is not finite that was
before.
"""

import json
import math
import pathlib
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from launch.cli import environment
from launch.cli.refusal import Refused
from launch.run import provenance, rebuild
from launch.run.comparison import Difference, environments, excused, of_lines, of_states
from launch.run.plan import Plan
from launch.viewer import runs

TOLERANCE = 1e-3
COUNTS = {'--steps': 'steps', '--from': 'start', '--step': 'step'}


class Asked(NamedTuple):
    workdir: pathlib.Path
    steps: int | None = None
    start: int = 0
    step: int | None = None
    debug_nans: bool = False


def main(argv: Sequence[str]) -> int:
    """Carries out one command line and returns its exit code."""
    if '--help' in argv or '-h' in argv:
        print(__doc__)
        return 0
    try:
        asked = _read(argv)
        plan = rebuild.planned(asked.workdir)
        environment.tell_of_cache()
        return _one_step(plan, asked) if asked.step else _compared(plan, asked)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2


def _read(argv):
    values, words = {}, iter(argv)
    for word in words:
        name, equals, text = word.partition('=')
        if word == '--debug_nans':
            values['debug_nans'] = True
        elif name in COUNTS:
            text = text if equals else next(words, '')
            if not text.isdecimal() or len(text) > 10 or not int(text):
                raise Refused(f'{name} is {text}; it takes a whole number, 1 or more')
            values[COUNTS[name]] = int(text)
        elif word.startswith('-') or 'workdir' in values:
            raise Refused(
                f'{word} is no flag; there are: RUN, {", ".join(COUNTS)}, --debug_nans, --help'
            )
        else:
            values['workdir'] = pathlib.Path(word)
    if 'workdir' not in values:
        raise Refused('RUN is missing; it takes a run directory')
    if 'step' in values and values.keys() & {'steps', 'start'}:
        raise Refused('--step takes one step, and --steps and --from compare several')
    if 'debug_nans' in values and 'step' not in values:
        raise Refused('--debug_nans is given without --step')
    return Asked(**values)


def _compared(plan: Plan, asked: Asked) -> int:
    run, marks = runs.read(plan.workdir), rebuild.saved(plan.workdir)
    stop = _stop(plan, asked, [row['step'] for row in run.rows], marks)
    span = f'steps {asked.start + 1} to {stop}'
    environment = environments(run.launches, provenance.launch_record(plan.argv)) | rebuild.changes(
        plan
    )
    tolerance = TOLERANCE if excused(environment) else 0.0
    found = {'lines': 0, 'checkpoints': 0}
    differences: list[Difference] = []
    for kind, some in _gone_through(plan, asked.start, stop, run, marks):
        found[kind] += 1
        differences += some
        if beyond := [one for one in differences if not tolerance or not one.size <= tolerance]:
            return _say(plan, f'different: {beyond[0]}', environment, 1)
    if not sum(found.values()):
        later = min(
            (step for step in [*(row['step'] for row in run.rows), *marks] if step > stop),
            default=None,
        )
        after = f'; the next is of step {later}' if later else ''
        raise Refused(f'{plan.workdir} left nothing of {span} to compare with{after}')
    told = f'{span}, by {found["lines"]} of its lines of metrics and {found["checkpoints"]} of its checkpoints'
    if not differences:
        return _say(plan, f'equal to the bit: {told}', environment, 0)
    most = max(differences, key=lambda one: one.size)
    return _say(plan, f'within {tolerance} of it: {told}; the most is {most}', environment, 0)


def _stop(plan: Plan, asked: Asked, lines: Sequence[int], marks: Sequence[int]) -> int:
    """The step to go to."""
    if asked.start and asked.start not in marks:
        raise Refused(
            f'--from is {asked.start}; {plan.workdir} has the checkpoints {marks or "of no step"}'
        )
    if asked.steps:
        return min(asked.start + asked.steps, plan.config.steps)
    wanted = (marks, lines) if asked.start else (lines, marks)
    left = [step for steps in wanted for step in steps if step > asked.start]
    if not left:
        raise Refused(f'{plan.workdir} left nothing to compare with after step {asked.start}')
    return left[0]


def _gone_through(
    plan: Plan, start: int, stop: int, run: runs.Run, marks: Sequence[int]
) -> Iterator[tuple[str, Sequence[Difference]]]:
    """('lines' or 'checkpoints', how it differs) of each that the run left and that comes out
    again, in order."""
    import jax

    from genjax.training import replay
    from genjax.training.train import NonFinite

    rows, marks = (
        {row['step']: row for row in run.rows},
        {step for step in marks if start < step <= stop},
    )
    state, tally = rebuild.begun(plan, start)
    try:
        with jax.set_mesh(plan.mesh):
            for step, line, here in replay.lines(
                rebuild.recipe(plan), state, tally, start, marks | {stop}
            ):
                if line and step <= run.step:
                    yield 'lines', of_lines(step, rows.get(step, {}), line)
                if step in marks:
                    yield 'checkpoints', of_states(step, rebuild.begun(plan, step)[0], here)
    except NonFinite as error:
        as_then = run.launches[-1].get('ended') == str(error)
        yield (
            'lines',
            [] if as_then else [Difference(error.step, error.what, 'not finite here', math.inf)],
        )


def _say(plan: Plan, text: str, environment: Mapping[str, str], code: int) -> int:
    print(
        f'{plan.workdir}: {text}' + ''.join(f'; {key} {says}' for key, says in environment.items())
    )
    return code


def _one_step(plan: Plan, asked: Asked) -> int:
    import jax

    from genjax.training import replay

    made, step = rebuild.recipe(plan), asked.step
    if step > made.steps:
        raise Refused(f'--step is {step}; it takes 1 to {made.steps}, the steps of the config')
    start = rebuild.before(plan.workdir, step)
    key, batch = replay.ingredients(made, step)
    with jax.set_mesh(plan.mesh):
        state = replay.gone(made, rebuild.begun(plan, start)[0], start, step - 1)
        update = lambda: jax.jit(made.experiment.algorithm.update)(key, state, batch)
        if asked.debug_nans:
            _show_where(update)
        after, metrics = update()
    values, before, now = (
        {name: float(x) for name, x in metrics.items()},
        replay.not_finite(state),
        replay.not_finite(after),
    )
    bad = [f'batch/{name}' for name in replay.not_finite(batch)] + now
    told = ', '.join(bad[:3]) + (f' and {len(bad) - 3} more' if len(bad) > 3 else '')
    print(f'{plan.workdir}: step {step}: {json.dumps(values)}; not finite: {told or "no leaf"}')
    return 3 if set(bad) - set(before) or not all(map(math.isfinite, values.values())) else 0


def _show_where(act):
    import jax

    for watched in (jax.debug_nans, jax.debug_infs):
        try:
            with watched(True):
                act()
        except FloatingPointError:
            traceback.print_exc()
            return


if __name__ == '__main__':
    environment.prepare()
    environment.leave(main)
