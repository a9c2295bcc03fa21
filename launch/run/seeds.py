"""Runs that differ in their seed alone, trained as one program in one process: --seeds.

Each keeps a run directory as if it had been launched alone, and can be gone on with alone or
together.
"""

import contextlib
import os
from collections.abc import Callable, Sequence

from genjax.training import NonFinite, Unlike, require_alike, train_seeds
from genjax.training.checkpoint import Unrestorable
from launch.cli import environment
from launch.cli.flags import pairs, parse
from launch.cli.refusal import Refused, refusing
from launch.run import actions, distributed, os_errors, rundir, signals
from launch.run.plan import Plan, trainer_options


def plans(argv: Sequence[str], plan: Callable[[Sequence[str], set[str]], Plan]) -> list[Plan]:
    """Each run of a command line with --seeds.

    Args:
      argv: the command line.
      plan: (argv, traced_before) -> the plan of one.

    Raises:
      Refused: one of them cannot be launched.
    """
    if distributed.is_one_of_several(os.environ):
        raise Refused('--seeds trains in one process, and this is one of several')
    shared = [f'{name}={text}' for name, text in pairs(argv) if name != '--seeds']
    traced: set[str] = set()
    return [plan([*shared, f'--config.seed={seed}'], traced) for seed in parse(argv).seeds]


def train(argv: Sequence[str], plan: Callable[[Sequence[str], set[str]], Plan]) -> int:
    """Trains, or goes on with, all runs of a command line.

    Args:
      argv: the command line.
      plan: as in `plans`.

    Returns signals.STOPPED if a signal stopped them, else 3 if a number of one was not finite.
    """
    all_plans = plans(argv, plan)
    environment.warn_without_cache()
    return os_errors.in_one_line(lambda: _train(all_plans), all_plans[0].workdir)


def _train(plans: Sequence[Plan]) -> int:
    first = plans[0]
    experiments = [plan.experiment for plan in plans]
    with refusing(Unlike):
        require_alike(experiments, mesh=first.mesh, rules=first.rules)
    not_finite: set[int] = set()
    with contextlib.ExitStack() as stack:
        interrupted = stack.enter_context(signals.stop_requests())
        for plan in plans:
            actions.open_run(plan, stack, together=len(plans))
        try:
            _train_together(plans, interrupted, not_finite)
        except Exception as error:
            with contextlib.suppress(OSError):  # of a disk that is full
                for plan in plans:
                    rundir.conclude(plan.workdir, os_errors.reason(error))
            raise
        finite = [plan for i, plan in enumerate(plans) if i not in not_finite]
        for plan in finite:
            actions.print_result(plan)
    codes = [actions.exit_code(plan) for plan in finite]
    return max([3 if not_finite else 0, *codes])


def _train_together(
    plans: Sequence[Plan], interrupted: Callable[[], bool], not_finite: set[int]
) -> None:
    """Trains the plans, and adds the numbers of those that met a number that is not finite."""

    def lost(i: int, error: NonFinite):
        not_finite.add(i)
        actions.record_not_finite(plans[i], error)

    first = plans[0]
    with refusing(Unrestorable):
        train_seeds(
            [plan.experiment for plan in plans],
            seeds=[plan.config.seed for plan in plans],
            workdirs=[plan.workdir for plan in plans],
            interrupted=interrupted,
            lost=lost,
            mesh=first.mesh,
            rules=first.rules,
            **trainer_options(first),
        )
