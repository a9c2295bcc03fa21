"""Samples of a run by the thousand, in files; returns an exit code."""

import contextlib
import sys

import jax.numpy as jnp

from genjax.training import Generator, generator
from genjax.training.generation import labels_of
from genjax.training.progress import make_live_line
from genjax.training.samples import to_levels
from launch.cli.refusal import Refused, refusing
from launch.run import choosing, lock, note, os_errors, rundir, signals
from launch.run.plan import Plan
from launch.run.sample_files import NPZ, Files, npz_file, numbers_of, png_files


def run(plan: Plan) -> int:
    """Draws the samples that --n asks for, or goes on where that was stopped.

    Returns signals.STOPPED if a signal stopped it.
    """
    return os_errors.in_one_line(lambda: _run(plan), plan.workdir, plan.flags.out)


def _run(plan):
    flags = plan.flags
    rundir.check_data(plan.workdir, getattr(plan.experiment.data.train, 'fingerprint', None))
    with refusing(ValueError, about=plan.name):
        labels = labels_of(plan.experiment, flags.labels)
    step, state = choosing.state_of(plan, flags.checkpoint or 'last', flags.average)
    with refusing(ValueError, about=plan.name):
        drawn = generator(
            plan.experiment,
            state,
            seed=flags.sample_seed,
            mesh=plan.mesh,
            labels=flags.labels,
            batch=flags.sample_batch,
        )
    _require_images(plan.name, drawn)

    own = note.make_note(
        plan,
        step,
        sample_seed=flags.sample_seed,
        sample_batch=flags.sample_batch,
        labels=labels,
    )
    if flags.out.suffix == NPZ:
        files = npz_file(flags.out, flags.n, flags.sample_batch, labels)
        path = flags.out.with_name(f'{flags.out.name}.json')
        own['n'] = flags.n
    else:
        files = png_files(flags.out, flags.n, flags.sample_batch, labels)
        path = flags.out / note.NAME
    note.check(flags.out, path, own)
    with contextlib.ExitStack() as stack:
        stack.enter_context(lock.locked(files.folder))
        note.claim(flags.out, path, own)
        interrupted = stack.enter_context(signals.stop_requests())
        if not _draw(drawn, files, flags.n, interrupted):
            return signals.STOPPED
        files.finish()
    average = choosing.described(state, flags.average)
    by = f', average {average}' if average else ''
    print(f'{flags.out}: {flags.n:,} samples of {plan.workdir} at step {step}{by}')
    return 0


def _draw(drawn: Generator, files: Files, n: int, interrupted) -> bool:
    """Writes the groups that are not there; returns whether all are."""
    groups = range(-(-n // drawn.size))
    missing = [group for group in groups if not files.has(group)]
    if not missing:
        return True
    count = n - sum(len(numbers_of(group, drawn.size, n)) for group in missing)
    line = make_live_line(count, n, sys.stderr, unit='sample')
    for group, samples in drawn.draw(missing):
        files.write(group, to_levels(samples))
        count += len(numbers_of(group, drawn.size, n))
        line.show(count, {})
        if interrupted():
            break
    line.end()
    return count == n


def _require_images(name: str, drawn: Generator) -> None:
    """Sees that samples are images.

    Raises:
      Refused: they are words, points or something else.
    """
    shape, dtype = drawn.example.shape, drawn.example.dtype
    if len(shape) != 3 or shape[2] not in (1, 3) or not jnp.issubdtype(dtype, jnp.floating):
        raise Refused(
            f'--n draws images, [H, W, 1 or 3] in [-1, 1]; a sample of {name} is '
            f'{dtype}{list(shape)}'
        )
