"""A run that begins with the weights of another, or of a file: --init_from."""

import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from genjax.base import State
from genjax.training import Experiment, abstract_state
from genjax.training.digest import digest
from genjax.weights.files import find_weights, read_weights
from genjax.weights.states import Comparison, compare, has_fit, weights_of, with_weights
from launch.cli.refusal import Refused, refusing
from launch.run import rundir
from launch.run.plan import Plan
from launch.run.saved import open_saved, parsed

MOST = 8  # names of a list that are said; the manifest has them all
Weights = Mapping[str, np.ndarray]


class Source(NamedTuple):
    """Weights, and where they come from.

    Attributes:
      text: as --init_from has it.
      step: of the run that they are of; None for a file.
      weights: by name, as `genjax.weights.states.weights_of`.
    """

    text: str
    step: int | None
    weights: Weights


class Start(NamedTuple):
    """What a run begins with.

    Attributes:
      record: for the manifest.
      said: what was taken and what was not, in lines.
    """

    record: dict[str, Any]
    said: str


def begin(plan: Plan, *, step: int | None) -> Plan:
    """The plan with a state at step 0 that has the weights of --init_from; without it the same.

    They are read and compared at once for what starts at step 0, and else only where the state at
    step 0 is asked for all the same: a run goes on without what it began with.

    Args:
      step: where it starts; None for the last checkpoint, or step 0 without one.

    Raises:
      Refused: there are no such weights, one does not fit, or a run that has no checkpoint yet
        began with others under this name.
    """
    text = plan.flags.init_from
    if text is None:
        return plan
    if step or (step is None and rundir.last_step(plan.workdir) is not None):
        return plan._replace(
            experiment=_beginning(plan.experiment, lambda: _source(text, plan.workdir).weights)
        )
    source = _source(text, plan.workdir)
    state = abstract_state(plan.experiment, mesh=plan.mesh, rules=plan.rules)
    if not has_fit(state):
        raise Refused(
            f'--init_from is {text}, and {plan.name} has no parameters that gradient descent trains'
        )
    with refusing(ValueError, about=f'--init_from {text}'):
        comparison = compare(state, source.weights)
    return plan._replace(
        experiment=_beginning(plan.experiment, lambda: source.weights),
        start=Start(_record(source, comparison), _said(source, comparison)),
    )


def _beginning(experiment: Experiment, weights: Callable[[], Weights]) -> Experiment:
    """The experiment, whose state begins with weights."""
    algorithm = experiment.algorithm

    def init(key, batch) -> State:
        state = algorithm.init(key, batch)
        form = jax.tree.map(jax.typeof, state)
        # Read where the state is computed, and not where its form alone is asked for.
        return jax.pure_callback(lambda state: with_weights(state, weights()), form, state)

    return experiment._replace(algorithm=algorithm._replace(init=init))


def _source(text: str, workdir: pathlib.Path) -> Source:
    """The weights that a text names; those that a run directory began with, where it tells.

    Raises:
      Refused: there are none, or they are others than the run began with.
    """
    record = _recorded(workdir)
    source = _read(text, None if record is None else record['step'])
    if record is not None and record['digest'] != _digest(source.weights):
        raise Refused(
            f'--init_from is {text}, whose weights are not those that workdir {workdir} began with'
        )
    return source


def _read(text: str, step: int | None) -> Source:
    path, _ = parsed(text)
    file = find_weights(path)
    if file is None:
        if not (path / 'config.json').is_file():
            raise Refused(
                f'--init_from is {text}; it takes a run directory, RUN:STEP, RUN:best, '
                f'FILE.safetensors or a folder with one'
            )
        with refusing(Refused, about='--init_from'):
            saved = open_saved(text if step is None else f'{path}:{step}')
        return Source(text, saved.step, weights_of(saved.state))
    with refusing(OSError, ValueError, about='--init_from'):
        return Source(text, None, read_weights(file))


def _recorded(workdir: pathlib.Path) -> dict[str, Any] | None:
    """What the manifest says that a run began with."""
    manifest = rundir.read(workdir / 'manifest.json') or {'launches': []}
    records = [launch['init_from'] for launch in manifest['launches'] if 'init_from' in launch]
    return records[-1] if records else None


def _record(source: Source, comparison: Comparison) -> dict[str, Any]:
    return {
        'source': source.text,
        'step': source.step,
        'digest': _digest(source.weights),
        'taken': list(comparison.taken),
        'only here': comparison.only_here,
        'only there': comparison.only_there,
    }


def _digest(weights: Weights) -> str:
    leaves = json.dumps(digest(dict(weights)), sort_keys=True)
    return hashlib.blake2b(leaves.encode(), digest_size=16).hexdigest()


def _said(source: Source, comparison: Comparison) -> str:
    """What was taken, by layers, and the names of what was not."""
    at_step = '' if source.step is None else f' at step {source.step}'
    names = [name.removeprefix('params/') for name in comparison.taken]
    layers = dict.fromkeys(name.rpartition('/')[0] or name for name in names)
    total = len(comparison.taken) + len(comparison.only_here)
    lines = [
        f'--init_from {source.text}{at_step}: {len(comparison.taken)} of {total} taken: '
        f'{", ".join(layers)}'
    ]
    rest = {'only here, and new': comparison.only_here, 'only there': comparison.only_there}
    for what, names in rest.items():
        if names:
            more = f' and {len(names) - MOST} more' if len(names) > MOST else ''
            lines.append(f'{what}: {", ".join(names[:MOST])}{more}')
    return '\n'.join(lines)
