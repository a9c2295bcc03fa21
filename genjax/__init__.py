"""Representation learning and generative models as pure functions: training is a fold.

base, parallel     the types, and what means the same on one device and on many
descent, counting  where a gradient becomes an update, and where a count does
averages           how an average of the parameters forgets
algorithms         how a state begins and how one batch changes it
training           the one trainer
numerics           formulas that several algorithms need
networks           flax modules
weights            parameters by name, in files and as those of other libraries
data               images, text, words and tables as batches
metrics, probes    numbers of arrays, and looks at a state
home               folders in the user's home
compiling          what is compiled for a few runs
waiting            what a program is at, said while it takes long
"""

import os
from typing import Any


def load(run: str | os.PathLike) -> tuple[Any, Any]:
    """(experiment, state) of a run, on whatever devices are there; nothing is written in it.

    Args:
      run: RUN, RUN:STEP or RUN:best, of which RUN is a run directory.

    Raises:
      launch.cli.refusal.Refused: there is no such run or checkpoint.
    """
    # Here and not at the top: this module stays quick and without jax. It is the one place of
    # genjax that imports launch, which knows how a run directory becomes an experiment again.
    from launch.run.saved import open_saved

    saved = open_saved(str(run))
    return saved.plan.experiment, saved.state
