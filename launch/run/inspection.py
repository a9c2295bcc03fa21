"""What is done with a run that is there: it is evaluated, or its probes draw. Each returns an exit
code."""

import pathlib
import sys
from typing import Any

from genjax.base import State
from genjax.training import Values, ask, evaluate, probe
from genjax.training.mesh import is_coordinator
from genjax.training.samples import write_samples, write_values
from launch.cli.refusal import refusing
from launch.run import actions, choosing, distributed, note, os_errors, rundir
from launch.run.plan import Plan


def run_evaluation(plan: Plan) -> int:
    """Prints what a checkpoint scores, on the whole test set and with the probes that score; or its
    answer."""
    return os_errors.in_one_line(lambda: _run_evaluation(plan), plan.workdir, plan.flags.out)


def _run_evaluation(plan: Plan) -> int:
    step, state = _open(plan)
    options = {'seed': plan.config.seed, 'mesh': plan.mesh}
    average = choosing.described(state, plan.flags.average)
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
        average = choosing.described(state, plan.flags.average)
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


def _open(plan: Plan) -> tuple[int, State]:
    """(step, state) of the checkpoint that is asked for.

    The launch is noted in the run directory, unless what it writes goes elsewhere.
    """
    step, state = choosing.state_of(plan, plan.flags.checkpoint or 'last', plan.flags.average)
    if plan.start is not None:
        if is_coordinator():
            actions.say_start(plan)
        if plan.flags.mode == 'evaluate':  # and there is no run yet
            return step, state
    data = getattr(plan.experiment.data.train, 'fingerprint', None)
    if plan.flags.out is not None:
        rundir.check_data(plan.workdir, data)
    elif rundir.is_writable(plan.workdir):
        distributed.once(lambda: actions.claim(plan))
    else:
        rundir.check_data(plan.workdir, data)
        if is_coordinator():
            print(f'workdir {plan.workdir} is not writable: this is not noted', file=sys.stderr)
    return step, state


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
