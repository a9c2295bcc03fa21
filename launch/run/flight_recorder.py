"""The flight recorder: what is known of a step at which a run met a number that is not finite."""

import os
import shlex
from collections.abc import Callable
from typing import Any

from launch.run import rebuild, rundir
from launch.run.plan import Plan

# Steps from a checkpoint, past which the first leaf is not looked for; a replay of the step still
# is
FAR = 1000


def command(plan: Plan, step: int) -> str:
    """The line that takes just this step again and shows where a number goes wrong."""
    xla = os.environ.get('XLA_FLAGS', '')
    words = [
        'python',
        '-m',
        'launch.replay',
        str(plan.workdir),
        '--step',
        str(step),
        '--debug_nans',
    ]
    return (f'XLA_FLAGS={shlex.quote(xla)} ' if xla else '') + shlex.join(words)


def record(plan: Plan, error: Any):
    """Writes nonfinite_STEP.json, unless it is there, and raises nothing: what cannot be found out
    is said in it.

    Args:
      error: a genjax.training.train.NonFinite.
    """
    path = plan.workdir / f'nonfinite_{error.step}.json'
    try:
        if not path.exists():
            known = {
                'step': error.step,
                'what': error.what,
                'says': str(error),
                'command': command(plan, error.step),
            }
            known |= _tried('ingredients', lambda: _ingredients(plan, error.step))
            rundir.write(
                path, known
            )  # at once: the search may take a while, and a second signal ends it
            rundir.write(
                path, known | {'leaf': None} | _tried('leaf', lambda: _leaf(plan, error.step))
            )
    except OSError:  # a full disk must not hide why the run ended
        return


def _tried(what: str, find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return find()
    except Exception as error:
        return {f'{what} not found': f'{type(error).__name__}: {" ".join(str(error).split())}'}


def _ingredients(plan, step):
    """The key, as numbers, and a fingerprint of the batch that the step spent."""
    import jax

    from genjax.training import replay
    from genjax.training.digest import digest

    key, batch = replay.ingredients(rebuild.recipe(plan), step)
    key = jax.random.key_data(key).tolist()
    return {'key': key, 'batch': digest(batch), 'batch not finite': replay.not_finite(batch)}


def _leaf(plan, step):
    """The first leaf of the state that turned not finite since the newest checkpoint, and the step
    at which it did."""
    import jax

    from genjax.training import replay

    start = rebuild.before(plan.workdir, step)
    if jax.process_count() > 1 or step - start > FAR:
        return {
            'leaf not found': f'it is not looked for {step - start} steps from a checkpoint, or in several processes'
        }
    with jax.set_mesh(plan.mesh):
        found = replay.turned(rebuild.recipe(plan), rebuild.begun(plan, start)[0], start, step)
    return {'from checkpoint': start} | (
        {'leaf': found[1], 'leaf at step': found[0]} if found else {}
    )
