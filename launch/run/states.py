"""The state of a run at a step that it left a checkpoint of."""

import pathlib

from genjax.base import State
from genjax.training import replay
from genjax.training.observe import Tally
from genjax.training.replay import Recipe
from launch.cli.refusal import refusing


def state_at(workdir: pathlib.Path, recipe: Recipe, step: int) -> tuple[State, Tally]:
    """The state, and the tally of metrics since the last line; at step 0 those it begins with.

    Raises:
      Refused: the checkpoint cannot be used.
    """
    with refusing(ValueError, FileNotFoundError, about=f'checkpoint {step} of {workdir}'):
        return replay.state_at(recipe, workdir, step)
