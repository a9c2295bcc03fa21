"""A note of what files were drawn from, so that nothing of something else is mixed with them."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from genjax.training import checkpoint
from launch.cli.refusal import Refused
from launch.run import rundir
from launch.run.plan import Plan

NAME = '.samples.json'  # in a folder of samples; hidden, so that its readers find images alone


def make_note(plan: Plan, step: int, **more: Any) -> dict[str, Any]:
    """What files that are drawn from a run follow from.

    Args:
      plan: of the run, with the config that is asked for.
      step: of the checkpoint.
      more: what else they follow from.
    """
    start = plan.start  # of --init_from, before there is a checkpoint
    seal = checkpoint.seal(plan.workdir, step) if start is None else start.record['digest']
    note = {
        'experiment': plan.name,
        'run': str(plan.workdir.absolute()),
        'step': step,
        'checkpoint': seal,
        'average': plan.flags.average or 'average',
        'config': rundir.identity(plan.config),
    }
    return json.loads(json.dumps(note | more))  # as it is read again


def check(place: pathlib.Path, path: pathlib.Path, note: Mapping[str, Any]) -> None:
    """Sees that what is drawn may go where --out says: there is nothing, or a note of the same.

    Args:
      place: --out, the folder or the file that the note is of.
      path: of the note.
      note: as `make_note` makes it.

    Raises:
      Refused: there are files without a note, or with another.
    """
    there = rundir.read(path)
    if there is None:
        if place.is_dir() and any(not file.name.startswith('.') for file in place.iterdir()):
            raise Refused(f'--out is {place}, which holds files and no {path.name}')
        if place.is_file():
            raise Refused(f'--out is {place}, which is there already, without {path.name}')
        return
    there = {key: value for key, value in there.items() if key != 'run'}
    here = {key: value for key, value in note.items() if key != 'run'}  # it may have been moved
    if there != here:
        difference = rundir.difference(there, here)
        raise Refused(f'--out is {place}, which holds samples of something else: {difference}')


def claim(place: pathlib.Path, path: pathlib.Path, note: Mapping[str, Any]) -> None:
    """`check`, and then the note is written, where there is none."""
    check(place, path, note)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        rundir.write(path, note)
