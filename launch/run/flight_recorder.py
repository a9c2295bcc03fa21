"""The flight recorder: what is known of a step at which a run met a number that is not finite."""

import os
import pathlib
import shlex
from collections.abc import Callable
from typing import Any

import jax

from genjax.training import NonFinite, replay
from genjax.training.digest import digest
from genjax.training.replay import Recipe
from launch.run import rundir
from launch.run.states import state_at

# Steps from a checkpoint, past which the first leaf is not searched for; the step itself can still
# be replayed
FAR = 1000


def command(workdir: pathlib.Path, step: int) -> str:
    """The line that takes just this step again and shows where a number goes wrong."""
    words = ['python', '-m', 'launch.replay', str(workdir), '--step', str(step), '--debug_nans']
    xla = os.environ.get('XLA_FLAGS', '')
    setting = f'XLA_FLAGS={shlex.quote(xla)} ' if xla else ''
    return setting + shlex.join(words)


def record(workdir: pathlib.Path, recipe: Recipe, error: NonFinite) -> None:
    """Writes nonfinite_STEP.json, unless it is there, and raises nothing: what cannot be found out
    is said in it.

    Args:
      workdir: of the run.
      recipe: what the run follows from.
      error: what it met.
    """
    path = workdir / f'nonfinite_{error.step}.json'
    try:
        if path.exists():
            return
        known = {
            'step': error.step,
            'what': error.what,
            'says': str(error),
            'command': command(workdir, error.step),
        }
        known |= _attempt('ingredients', lambda: _ingredients(recipe, error.step))
        # At once: the search may take a while, and a second signal ends it.
        rundir.write(path, known)
        known |= {'leaf': None}
        known |= _attempt('leaf', lambda: _first_leaf(workdir, recipe, error.step))
        rundir.write(path, known)
    except OSError:  # a full disk must not hide why the run ended
        return


def _attempt(what: str, search: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return search()
    except Exception as error:
        message = ' '.join(str(error).split())
        return {f'{what} not found': f'{type(error).__name__}: {message}'}


def _ingredients(recipe, step):
    """The key, as numbers, and a fingerprint of the batch that the step spent."""
    key, batch = replay.step_inputs(recipe, step)
    return {
        'key': jax.random.key_data(key).tolist(),
        'batch': digest(batch),
        'batch not finite': replay.not_finite(batch),
    }


def _first_leaf(workdir, recipe, step):
    """The first leaf of the state that turned not finite since the newest checkpoint, and the step
    at which it did."""
    start = rundir.checkpoint_before(workdir, step)
    if jax.process_count() > 1 or step - start > FAR:
        return {
            'leaf not found': f'it is not looked for {step - start} steps from a checkpoint, '
            f'or in several processes'
        }
    with jax.set_mesh(recipe.mesh):
        state, _ = state_at(workdir, recipe, start)
        turned = replay.first_not_finite(recipe, state, start, step)
    if turned is None:
        return {'from checkpoint': start}
    leaf_step, leaf = turned
    return {'from checkpoint': start, 'leaf': leaf, 'leaf at step': leaf_step}
