"""What is done with a plan: it is trained, evaluated or sampled from. Each returns an exit code."""

import contextlib
import json
import math
import pathlib
import sys
from typing import Any

from genjax.base import State
from genjax.training import NonFinite, Values, ask, evaluate, probe, train
from genjax.training.checkpoint import Unrestorable
from genjax.training.mesh import is_coordinator
from genjax.training.samples import write_curve, write_samples, write_values
from genjax.training.tensorboard import write_hparams
from launch.cli.flat import flat
from launch.cli.refusal import refusing
from launch.run import distributed, flight_recorder, lock, note, os_errors, rundir, saved, signals
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


def run_evaluation(plan: Plan) -> int:
    """Prints what a checkpoint scores, on the whole test set and with the probes that score; or its
    answer."""
    return os_errors.in_one_line(lambda: _run_evaluation(plan), plan.workdir, plan.flags.out)


def _run_evaluation(plan: Plan) -> int:
    step, state = _open(plan)
    options = {'seed': plan.config.seed, 'mesh': plan.mesh}
    average = saved.described(state, plan.flags.average)
    if plan.flags.query:
        with refusing(ValueError):
            values = ask(plan.experiment, state, plan.flags.query, **options)
    else:
        values = evaluate(plan.experiment, state, **options)
        values |= probe(plan.experiment, state, **options, scores=True)
        values = {'step': step} | ({'average': average} if average else {}) | values
    if is_coordinator():
        print(_formatted(values))
        if plan.flags.out is not None and not plan.flags.query:
            _write_evaluation(plan, step, values)
    return 0


def run_sampling(plan: Plan) -> int:
    """Runs every probe on a checkpoint, and names the files that they wrote."""
    return os_errors.in_one_line(lambda: _run_sampling(plan), plan.workdir, plan.flags.out)


def _run_sampling(plan: Plan) -> int:
    step, state = _open(plan)
    values = probe(plan.experiment, state, seed=plan.config.seed, mesh=plan.mesh)
    if is_coordinator():
        files = _write_pictures(plan, step, values)
        print('\n'.join(map(str, files)) or f'{plan.name} has no probe that writes a file')
        average = saved.described(state, plan.flags.average)
        by = f', average {average}' if average else ''
        print(f'{plan.workdir}: step {step}{by}', file=sys.stderr)
    return 0


def _write_pictures(plan: Plan, step: int, values: Values) -> list[pathlib.Path]:
    """Writes what probes drew to --out or, within the run's samples/, to a folder that tells by
    what sampler and average, if not by the run's own."""
    out = plan.flags.out
    if out is not None:
        note.claim(out, out / note.NAME, note.make_note(plan, step))
        return write_values(out, step, values)
    below = rundir.samples_folder(plan.identity, rundir.identity(plan.config), plan.flags.average)
    return write_samples(plan.workdir, step, values, below=below)


def _write_evaluation(plan: Plan, step: int, values: Values) -> None:
    """Writes what was measured to --out, as JSON."""
    out = plan.flags.out
    note.claim(out, out / note.NAME, note.make_note(plan, step))
    plain = {name: value if _is_text(value) else float(value) for name, value in values.items()}
    rundir.write(out / f'evaluation_{step:08d}.json', plain)


def _claim(plan: Plan, **record: Any) -> None:
    """Notes this launch in the run directory, and says which files of the source have changed."""
    data = plan.experiment.data
    fingerprint = getattr(data.train, 'fingerprint', None)
    launch = launch_record(plan.argv) | record
    if plan.start is not None:
        launch['init_from'] = plan.start.record
    with refusing(OSError, about=f'workdir {plan.workdir}'):
        trains = plan.flags.mode == 'train'
        longer = trains and plan.config.steps != plan.identity.get('steps')
        facts = {
            'about': data.about,
            'page': None if plan.page is None else str(plan.page),
            'steps': plan.config.steps if longer else None,
        }
        changed = rundir.claim(plan.workdir, plan.name, plan.identity, fingerprint, launch, facts)
    if changed:
        more = f' and {len(changed) - MOST} more' if len(changed) > MOST else ''
        files = ', '.join(changed[:MOST]) + more
        print(
            f'workdir {plan.workdir}: the source is not what it was last trained with: {files}',
            file=sys.stderr,
        )


def _open(plan: Plan) -> tuple[int, State]:
    """(step, state) of the checkpoint that is asked for.

    The launch is noted in the run directory, unless what it writes goes elsewhere.
    """
    step, state = saved.state_of(plan, plan.flags.checkpoint or 'last', plan.flags.average)
    if plan.start is not None:
        if is_coordinator():
            say_start(plan)
        if plan.flags.mode == 'evaluate':  # and there is no run yet
            return step, state
    data = getattr(plan.experiment.data.train, 'fingerprint', None)
    if plan.flags.out is not None:
        rundir.check_data(plan.workdir, data)
    elif rundir.is_writable(plan.workdir):
        distributed.once(lambda: _claim(plan))
    else:
        rundir.check_data(plan.workdir, data)
        if is_coordinator():
            print(f'workdir {plan.workdir} is not writable: this is not noted', file=sys.stderr)
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
        if name == 'average':
            numbers.append([name, value])
        elif _is_text(value):
            blocks.append(f'{name}\n{_block(value)}')
        else:
            numbers.append([name, f'{float(value):.6g}'])
    if numbers:
        blocks.insert(0, _aligned(numbers))
    return '\n\n'.join(blocks)


def _is_text(value: Any) -> bool:
    """Whether it is a text or a table, and no number."""
    return isinstance(value, str | list)


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
