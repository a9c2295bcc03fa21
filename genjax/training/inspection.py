"""What can be asked of a state outside its run: evaluation, probes, questions, the last checkpoint.

Each answers as the run itself does, with the keys of its seed.
"""

import pathlib

import jax

from genjax.base import State
from genjax.training import checkpoint
from genjax.training.experiment import Experiment, run_keys
from genjax.training.mesh import Mesh, Rules
from genjax.training.observe import observer
from genjax.training.schedule import Due
from genjax.training.state import abstract_state
from genjax.training.values import Values


def evaluate(experiment: Experiment, state: State, *, seed: int, mesh: Mesh) -> dict[str, float]:
    """Means over the whole test set: {'test/loss': ...}."""
    with jax.set_mesh(mesh):
        return observer(experiment, run_keys(seed), mesh)(state, Due(evaluate=True))


def probe(
    experiment: Experiment, state: State, *, seed: int, mesh: Mesh, scores: bool = False
) -> Values:
    """The values of every probe, or of every one that scores."""
    names = [name for name, probe in experiment.probes.items() if probe.scores or not scores]
    with jax.set_mesh(mesh):
        return observer(experiment, run_keys(seed), mesh)(state, Due(probes=frozenset(names)))


def ask(experiment: Experiment, state: State, question: str, *, seed: int, mesh: Mesh) -> Values:
    """The experiment's answer.

    Raises:
      ValueError: it has none; why.
    """
    with jax.set_mesh(mesh):
        return experiment.ask(run_keys(seed).probes, state, question)


def restore(
    experiment: Experiment,
    *,
    mesh: Mesh,
    workdir: pathlib.Path | str,
    rules: Rules = (),
    step: int | None = None,
) -> tuple[int, State]:
    """(step, state) of a checkpoint in a run directory, on this mesh; nothing is written.

    Args:
      experiment: of the run.
      mesh: any devices.
      workdir: the run directory.
      rules: for parts of the state that are split over the mesh.
      step: of the checkpoint; by default the latest intact one's.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it is damaged, or of another state.
    """
    abstract = abstract_state(experiment, mesh=mesh, rules=rules)
    saved, state, _ = checkpoint.read(workdir, abstract, step)
    return saved, state
