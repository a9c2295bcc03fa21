"""A checkpoint is (step, state), kept by orbax: asynchronous, atomic, the latest two and the best.

Beside the state lies the tally: the sums of the logging interval that the checkpoint cuts, so that a resumed
run writes the same averages as one that never stopped.
"""

import math
import pathlib
from typing import Any

import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

FOLDER = 'checkpoints'  # in the run directory


def open_checkpoints(workdir: pathlib.Path | str, best: str) -> ocp.CheckpointManager:
    """Opens the checkpoints of a run directory: a context manager that waits for what is being saved.

    Args:
      workdir: the run directory.
      best: the metric by which one checkpoint is kept beside the latest two; the lowest value wins, and
        a checkpoint saved without one counts as the highest.
    """
    value = lambda metrics: metrics.get(best, math.inf)
    kept = AnyPreservationPolicy([LatestN(2), BestN(get_metric_fn=value, reverse=True, n=1)])
    options = ocp.CheckpointManagerOptions(best_fn=value, best_mode='min', preservation_policy=kept)
    return ocp.CheckpointManager(pathlib.Path(workdir).absolute() / FOLDER, options=options)


def save(manager: ocp.CheckpointManager, step: int, state: Any, tally: dict, metrics: dict[str, float]) -> None:
    """Starts to save in the background; the state's buffers may be donated at once.

    Args:
      tally: plain numbers, written as JSON.
      metrics: what was measured of this state, if anything.
    """
    # In a dictionary, since orbax takes no bare array, which a state may be.
    items = ocp.args.Composite(state=ocp.args.StandardSave({'state': state}), tally=ocp.args.JsonSave(tally))
    if not manager.save(step, args=items, metrics=metrics):
        raise RuntimeError(f'step {step} was not saved in {manager.directory}, which has {manager.all_steps()}')


def restore(manager: ocp.CheckpointManager, abstract: Any) -> tuple[int, Any, dict]:
    """The latest checkpoint's (step, state, tally), laid out as asked, whatever devices wrote it.

    Args:
      abstract: the state as jax.ShapeDtypeStructs with shardings.

    Raises:
      FileNotFoundError: there is none.
    """
    step = manager.latest_step()
    if step is None:
        raise FileNotFoundError(f'no checkpoint in {manager.directory}')
    items = ocp.args.Composite(state=ocp.args.StandardRestore({'state': abstract}), tally=ocp.args.JsonRestore())
    restored = manager.restore(step, args=items)
    return step, restored['state']['state'], restored['tally']
