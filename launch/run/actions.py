"""What is done with a plan that trains; it returns an exit code."""

import contextlib
import json
import math
import pathlib
import sys
from typing import Any

from genjax.training import NonFinite, train
from genjax.training.checkpoint import Unrestorable
from genjax.training.mesh import is_coordinator
from genjax.training.samples import write_curve
from genjax.training.tensorboard import write_hparams
from launch.cli.flat import flat
from launch.cli.refusal import refusing
from launch.run import distributed, flight_recorder, lock, os_errors, rundir, signals
from launch.run.plan import Plan, compiler, recipe, trainer_options
from launch.run.provenance import launch_record

MOST = 8  # changed files that are named; the manifest has them all


def run_training(plan: Plan) -> int:
    """Trains, or goes on, and says where and how it did on the test set.

    Returns 3 if a number was not finite, signals.STOPPED if a signal stopped it before its last
    step.
    """
    return os_errors.in_one_line(lambda: _run_training(plan), plan.workdir)


def _run_training(plan: Plan) -> int:
    with contextlib.ExitStack() as stack:
        interrupted = distributed.agreed(stack.enter_context(signals.stop_requests()))
        distributed.once(lambda: open_run(plan, stack))
        try:
            _train(plan, interrupted)
        except NonFinite as error:
            if is_coordinator():
                record_not_finite(plan, error)
            return 3
        except Exception as error:
            with contextlib.suppress(OSError):  # of a disk that is full
                if is_coordinator():
                    rundir.conclude(plan.workdir, os_errors.reason(error))
            raise
        if is_coordinator():
            print_result(plan)
    return exit_code(plan)


def open_run(plan: Plan, stack: contextlib.ExitStack, **record: Any) -> None:
    """Locks the run directory for this launch, until the stack ends, and notes the launch in it.

    Args:
      record: what else is noted of the launch.

    Raises:
      Refused: another launch has locked it, or it is not this run's.
    """
    with refusing(OSError, about=f'workdir {plan.workdir}'):
        stack.enter_context(lock.locked(plan.workdir))
    claim(plan, **record)
    say_start(plan)
    write_hparams(plan.workdir, flat(plan.identity))


def say_start(plan: Plan) -> None:
    """Says what a run begins with that is another's."""
    if plan.start is not None:
        print(plan.start.said, file=sys.stderr)


def record_not_finite(plan: Plan, error: NonFinite) -> None:
    """Notes and says that a run ended with a number that is not finite."""
    rundir.conclude(plan.workdir, str(error))
    replay = flight_recorder.command(plan.workdir, error.step)
    print(f'{replay}\n{error}', file=sys.stderr)
    flight_recorder.record(plan.workdir, recipe(plan), error)


def print_result(plan: Plan) -> None:
    """Draws a run's curve, and says where and how it did on the test set."""
    write_curve(plan.workdir)
    print(f'{plan.workdir}{_last_test(plan.workdir / "metrics.jsonl")}')


def exit_code(plan: Plan) -> int:
    """Of a launch that saved and left."""
    last = plan.flags.until or plan.config.steps
    return 0 if (plan.workdir / 'checkpoints' / str(last)).exists() else signals.STOPPED


def _train(plan, interrupted):
    with refusing(Unrestorable):
        train(
            plan.experiment,
            seed=plan.config.seed,
            parallel=compiler(plan),
            interrupted=interrupted,
            **trainer_options(plan),
            **_place(plan),
        )


def claim(plan: Plan, **record: Any) -> None:
    """Notes this launch in the run directory, and says which files of the source have changed."""
    data = getattr(plan.experiment.data.train, 'fingerprint', None)
    launch = launch_record(plan.argv) | record
    if plan.start is not None:
        launch['init_from'] = plan.start.record
    with refusing(OSError, about=f'workdir {plan.workdir}'):
        trains = plan.flags.mode == 'train'
        longer = trains and plan.config.steps != plan.identity.get('steps')
        changed = rundir.claim(
            plan.workdir,
            plan.name,
            plan.identity,
            data,
            launch,
            plan.page,
            plan.config.steps if longer else None,
        )
    if changed:
        more = f' and {len(changed) - MOST} more' if len(changed) > MOST else ''
        files = ', '.join(changed[:MOST]) + more
        print(
            f'workdir {plan.workdir}: the source is not what it was last trained with: {files}',
            file=sys.stderr,
        )


def _place(plan: Plan) -> dict[str, Any]:
    return {'mesh': plan.mesh, 'rules': plan.rules, 'workdir': plan.workdir}


def _last_test(metrics: pathlib.Path) -> str:
    """What the run measured last, of the test set and by its probes."""
    rows = [json.loads(line) for line in metrics.read_text('utf-8').splitlines()]
    for row in reversed(rows):
        parts = []
        for name, value in row.items():
            if '/' in name and not name.startswith('time/'):
                parts.append(f'{name} {math.nan if value is None else value:.6g}')
        if parts:
            return f': {", ".join(parts)} at step {row["step"]}'
    return ''
