"""What a plan is carried out as: trained, evaluated or sampled from. Each returns an exit code."""

import contextlib
import json
import math
import pathlib
import sys
from typing import Any

from genjax.training.checkpoint import Unrestorable
from genjax.training.mesh import by_jit, by_pmap, first
from genjax.training.report import Values, write_curve, write_samples
from genjax.training.tensorboard import write_hparams
from genjax.training.train import Every, NonFinite, ask, evaluate, probe, restore, train
from launch.cli.overrides import flat
from launch.cli.refusal import refusing
from launch.run import distributed, flight_recorder, lock, os_errors, rundir, signals
from launch.run.plan import Plan
from launch.run.provenance import launch_record

MOST = 8  # files that are told of; the manifest has them all


@os_errors.told
def run_training(plan: Plan) -> int:
    """Trains, or goes on, and says where and how it did on the test set.

    Returns 3 if a number was not finite, signals.STOPPED if a signal stopped it before its last
    step.
    """
    with contextlib.ExitStack() as stack:
        interrupted = distributed.agreed(stack.enter_context(signals.heard()))
        distributed.once(lambda: hold(plan, stack))
        try:
            _train(plan, interrupted)
        except NonFinite as error:
            if first():
                lose(plan, error)
            return 3
        except Exception as error:
            with contextlib.suppress(OSError):  # of a disk that is full
                if first():
                    rundir.conclude(plan.workdir, os_errors.reason(error))
            raise
        if first():
            show(plan)
    return ended(plan)


def hold(plan: Plan, stack: contextlib.ExitStack, **record: Any):
    """Takes the run directory for this launch, until the stack ends, and notes it, with what else
    the record is given.

    Raises:
      Refused: it is held by another, or not this run's.
    """
    with refusing(OSError, about=f'workdir {plan.workdir}'):
        stack.enter_context(lock.held(plan.workdir))
    _claim(plan, **record)
    write_hparams(plan.workdir, flat(plan.identity))


def lose(plan: Plan, error: NonFinite):
    """Notes that a run ended with a number that is not finite."""
    rundir.conclude(plan.workdir, str(error))
    print(f'{flight_recorder.command(plan, error.step)}\n{error}', file=sys.stderr)
    flight_recorder.record(plan, error)


def show(plan: Plan):
    """Draws a run's curve, and says where and how it did on the test set."""
    write_curve(plan.workdir)
    print(f'{plan.workdir}{_last_test(plan.workdir / "metrics.jsonl")}')


def ended(plan: Plan) -> int:
    """The exit code of a launch that saved and left."""
    last = plan.flags.until or plan.config.steps
    return 0 if (plan.workdir / 'checkpoints' / str(last)).exists() else signals.STOPPED


def options(plan: Plan) -> dict[str, Any]:
    """What `train` is told but for the seed and the place."""
    flags, config = plan.flags, plan.config
    given = {'best': config.best} if 'best' in config else {}
    given |= {'every': Every(**config.every)} if 'every' in config else {}
    return given | dict(steps=config.steps, until=flags.until, fold=flags.fold)


def _train(plan, interrupted):
    parallel = by_pmap if plan.flags.parallel == 'pmap' else by_jit
    told = dict(seed=plan.config.seed, parallel=parallel, interrupted=interrupted)
    with refusing(Unrestorable):
        train(plan.experiment, **told, **options(plan), **_where(plan))


@os_errors.told
def run_evaluation(plan: Plan) -> int:
    """Prints what the last checkpoint scores, on the whole test set and with the probes that score;
    or its answer."""
    step, state = _restored(plan)
    given = dict(seed=plan.config.seed, mesh=plan.mesh)
    if plan.flags.query:
        with refusing(ValueError):
            values = ask(plan.experiment, state, plan.flags.query, **given)
    else:
        values = {'step': step} | evaluate(plan.experiment, state, **given)
        values |= probe(plan.experiment, state, **given, scores=True)
    if first():
        print(_printed(values))
    return 0


@os_errors.told
def run_sampling(plan: Plan) -> int:
    """Runs every probe on the last checkpoint, and names the files that they wrote."""
    step, state = _restored(plan)
    values = probe(plan.experiment, state, seed=plan.config.seed, mesh=plan.mesh)
    files = write_samples(plan.workdir, step, values)
    if first():
        print('\n'.join(map(str, files)) or f'{plan.flags.exp} has no probe that writes a file')
    return 0


def _claim(plan: Plan, **record):
    data = getattr(plan.experiment.data.train, 'fingerprint', None)
    with refusing(OSError, about=f'workdir {plan.workdir}'):
        changed = rundir.claim(
            plan.workdir, plan.flags.exp, plan.identity, data, launch_record(plan.argv) | record
        )
    if changed:
        told = ', '.join(changed[:MOST]) + (
            f' and {len(changed) - MOST} more' if len(changed) > MOST else ''
        )
        print(
            f'workdir {plan.workdir}: the source is not what it was last trained with: {told}',
            file=sys.stderr,
        )


def _restored(plan: Plan):
    with refusing(FileNotFoundError, Unrestorable):
        step, state = restore(plan.experiment, **_where(plan))
    distributed.once(lambda: _claim(plan))
    return step, state


def _where(plan: Plan) -> dict[str, Any]:
    return {'mesh': plan.mesh, 'rules': plan.rules, 'workdir': plan.workdir}


def _last_test(metrics: pathlib.Path) -> str:
    """What the run measured last, of the test set and by its probes."""
    rows = [json.loads(line) for line in metrics.read_text('utf-8').splitlines()]
    for row in reversed(rows):
        seen = {
            name: value
            for name, value in row.items()
            if '/' in name and not name.startswith('time/')
        }
        values = [
            f'{name} {math.nan if value is None else value:.6g}' for name, value in seen.items()
        ]
        if values:
            return f': {", ".join(values)} at step {row["step"]}'
    return ''


def _printed(values: Values) -> str:
    """Numbers one below the other, then texts and tables under their names."""
    is_long = lambda value: isinstance(value, str | list)
    numbers = [
        [name, f'{float(value):.6g}'] for name, value in values.items() if not is_long(value)
    ]
    long = [f'{name}\n{_block(value)}' for name, value in values.items() if is_long(value)]
    return '\n\n'.join(([_aligned(numbers)] if numbers else []) + long)


def _block(value: str | list[dict[str, Any]]) -> str:
    return (
        value
        if isinstance(value, str)
        else _aligned([list(value[0]), *(list(row.values()) for row in value)])
    )


def _aligned(rows: list[list[Any]]) -> str:
    cells = [
        [f'{cell:.4g}' if isinstance(cell, float) else str(cell) for cell in row] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return '\n'.join('  '.join(map(str.ljust, row, widths)).rstrip() for row in cells)
