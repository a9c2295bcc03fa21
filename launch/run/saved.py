"""The state of a run as a checkpoint has it, opened for reading: nothing is written in the run."""

import pathlib
from typing import NamedTuple

from genjax.base import State
from genjax.descent import choose_average
from genjax.training import restore
from genjax.training.checkpoint import Unrestorable, best_step, saved_steps
from launch.cli.refusal import Refused, refusing
from launch.run import rebuild
from launch.run.plan import Plan, best_metric

WORDS = ('last', 'best')  # that stand for a step


class Saved(NamedTuple):
    """A run and one of its states."""

    plan: Plan
    step: int
    state: State


def open_saved(run: str, *, average: str | None = None) -> Saved:
    """A run as one of its checkpoints has it, on whatever devices are there.

    Args:
      run: RUN, RUN:STEP, RUN:best or RUN:last, of which RUN is a run directory; by default the last
        intact checkpoint.
      average: of the parameters, as in `choose_average`; None for the run's own.

    Raises:
      Refused: there is no such run, checkpoint or average.
    """
    workdir, checkpoint = parsed(run)
    plan = rebuild.plan(workdir, anywhere=True)
    return Saved(plan, *state_of(plan, checkpoint, average))


def parsed(run: str) -> tuple[pathlib.Path, str]:
    """(run directory, checkpoint) of a text as `open_saved` takes it."""
    workdir, colon, checkpoint = run.rpartition(':')
    if colon and workdir and is_checkpoint(checkpoint) and not pathlib.Path(run).is_dir():
        return pathlib.Path(workdir).expanduser(), checkpoint
    return pathlib.Path(run).expanduser(), 'last'


def is_checkpoint(text: str) -> bool:
    """Whether a text says which checkpoint is meant."""
    return text in WORDS or (text.isdecimal() and len(text) < 20)


def state_of(plan: Plan, checkpoint: str, average: str | None) -> tuple[int, State]:
    """(step, state) of a checkpoint of a planned run, on the plan's mesh.

    Args:
      plan: of the run.
      checkpoint: a step, 'best', the one with the lowest value of the metric by which the run keeps
        it, or 'last', the last that is intact.
      average: as in `open_saved`.

    Raises:
      Refused: there is no such checkpoint or average, or the checkpoint cannot be used.
    """
    step = _step(plan, checkpoint)
    with refusing(FileNotFoundError, PermissionError, Unrestorable):
        step, state = restore(
            plan.experiment, mesh=plan.mesh, workdir=plan.workdir, rules=plan.rules, step=step
        )
    if average is not None:
        with refusing(ValueError, about=str(plan.workdir)):
            state = choose_average(state, average)
    return step, state


def _step(plan: Plan, checkpoint: str) -> int | None:
    """The step of a checkpoint; None for the last that is intact.

    Raises:
      Refused: there is none.
    """
    if checkpoint == 'last':
        return None
    if checkpoint == 'best':
        metric = best_metric(plan.config)
        step = best_step(plan.workdir, metric)
        if step is None:
            raise Refused(f'{plan.workdir} has no checkpoint that was measured by {metric}')
        return step
    there = saved_steps(plan.workdir)
    if int(checkpoint) not in there:
        steps = ', '.join(map(str, there)) or 'none'
        raise Refused(f'{plan.workdir} has no checkpoint {checkpoint}; there are: {steps}')
    return int(checkpoint)
