"""What is done with a plan: it is trained, evaluated or sampled from. Each returns an exit code."""

import contextlib
import json
import math
import pathlib
import sys
from typing import Any

from genjax.base import State
from genjax.training import NonFinite, Values, ask, evaluate, probe, restore, train
from genjax.training.checkpoint import Unrestorable
from genjax.training.mesh import is_coordinator
from genjax.training.samples import write_curve, write_samples
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
    _claim(plan, **record)
    write_hparams(plan.workdir, flat(plan.identity))


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


def run_evaluation(plan: Plan) -> int:
    """Prints what the last checkpoint scores, on the whole test set and with the probes that score;
    or its answer."""
    return os_errors.in_one_line(lambda: _run_evaluation(plan), plan.workdir)


def _run_evaluation(plan: Plan) -> int:
    step, state = _restore(plan)
    options = {'seed': plan.config.seed, 'mesh': plan.mesh}
    if plan.flags.query:
        with refusing(ValueError):
            values = ask(plan.experiment, state, plan.flags.query, **options)
    else:
        values = {'step': step}
        values |= evaluate(plan.experiment, state, **options)
        values |= probe(plan.experiment, state, **options, scores=True)
    if is_coordinator():
        print(_formatted(values))
    return 0


def run_sampling(plan: Plan) -> int:
    """Runs every probe on the last checkpoint, and names the files that they wrote."""
    return os_errors.in_one_line(lambda: _run_sampling(plan), plan.workdir)


def _run_sampling(plan: Plan) -> int:
    step, state = _restore(plan)
    values = probe(plan.experiment, state, seed=plan.config.seed, mesh=plan.mesh)
    below = rundir.samples_folder(plan.identity, rundir.identity(plan.config))
    files = write_samples(plan.workdir, step, values, below=below)
    if is_coordinator():
        print('\n'.join(map(str, files)) or f'{plan.name} has no probe that writes a file')
    return 0


def _claim(plan: Plan, **record: Any) -> None:
    """Notes this launch in the run directory, and says which files of the source have changed."""
    data = plan.experiment.data
    fingerprint = getattr(data.train, 'fingerprint', None)
    launch = launch_record(plan.argv) | record
    with refusing(OSError, about=f'workdir {plan.workdir}'):
        changed = rundir.claim(
            plan.workdir, plan.name, plan.identity, fingerprint, launch, plan.page, data.about
        )
    if changed:
        more = f' and {len(changed) - MOST} more' if len(changed) > MOST else ''
        files = ', '.join(changed[:MOST]) + more
        print(
            f'workdir {plan.workdir}: the source is not what it was last trained with: {files}',
            file=sys.stderr,
        )


def _restore(plan: Plan) -> tuple[int, State]:
    """(step, state) of the last checkpoint; the launch is noted."""
    with refusing(FileNotFoundError, Unrestorable):
        step, state = restore(plan.experiment, **_place(plan))
    distributed.once(lambda: _claim(plan))
    return step, state


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


def _formatted(values: Values) -> str:
    """Numbers one below the other, then texts and tables under their names."""
    numbers = []
    blocks = []
    for name, value in values.items():
        if isinstance(value, str | list):
            blocks.append(f'{name}\n{_block(value)}')
        else:
            numbers.append([name, f'{float(value):.6g}'])
    if numbers:
        blocks.insert(0, _aligned(numbers))
    return '\n\n'.join(blocks)


def _block(value: str | list[dict[str, Any]]) -> str:
    """A text as it is, or a table with its head."""
    if isinstance(value, str):
        return value
    head = list(value[0])
    return _aligned([head, *(list(row.values()) for row in value)])


def _aligned(rows: list[list[Any]]) -> str:
    cells = [
        [f'{cell:.4g}' if isinstance(cell, float) else str(cell) for cell in row] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return '\n'.join('  '.join(map(str.ljust, row, widths)).rstrip() for row in cells)
