"""The state of a planned run by the checkpoint and the average that are asked for."""

from genjax.base import State
from genjax.descent import choose_average
from genjax.training import restore
from genjax.training.checkpoint import Unrestorable, best_step, saved_steps
from launch.cli.refusal import Refused, refusing
from launch.run.plan import Plan, best_metric, recipe
from launch.run.states import state_at


def state_of(plan: Plan, checkpoint: str, average: str | None) -> tuple[int, State]:
    """(step, state) of a checkpoint of a planned run, on the plan's mesh.

    Args:
      plan: of the run.
      checkpoint: a step, 'best', the one with the lowest value of the metric by which the run keeps
        it, or 'last', the last that is intact.
      average: of the parameters, as in `choose_average`; None for the run's own.

    Raises:
      Refused: there is no such checkpoint or average, or the checkpoint cannot be used.
    """
    if plan.start is not None and checkpoint == 'last':  # of --init_from: there is no other yet
        step = 0
        state, _ = state_at(plan.workdir, recipe(plan), step)
    else:
        step = _step(plan, checkpoint)
        with refusing(FileNotFoundError, PermissionError, Unrestorable):
            step, state = restore(
                plan.experiment, mesh=plan.mesh, workdir=plan.workdir, rules=plan.rules, step=step
            )
    if average is not None:
        with refusing(ValueError, about=str(plan.workdir)):
            state = choose_average(state, average)
    return step, state


def described(state: State, average: str | None) -> str:
    """Which average of its parameters a state is used by; '' where it keeps none."""
    try:
        choose_average(state, 'none')
    except ValueError:
        return ''
    return "the run's own" if average in (None, 'average') else average


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
