"""The state of a run as a checkpoint has it, opened for reading: nothing is written in the run."""

import pathlib
from typing import NamedTuple

from genjax.base import State
from launch.run import rebuild
from launch.run.choosing import state_of
from launch.run.plan import Plan

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
