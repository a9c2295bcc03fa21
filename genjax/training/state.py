"""The state that a run begins with: checked while it is abstract, then new or from a checkpoint."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from genjax.base import Algorithm, Batch, Key, State
from genjax.training import checkpoint
from genjax.training.contract import form, require_fit, traced
from genjax.training.experiment import Experiment, run_keys
from genjax.training.feed import abstract_batch, as_feed
from genjax.training.mesh import Mesh, Rules, placement, put
from genjax.training.needed import evaluate_needed
from genjax.training.observe import Tally


def check(
    experiment: Experiment,
    *,
    mesh: Mesh,
    rules: Rules = (),
    traced_before: set[str] | None = None,
) -> State:
    """The state that a run would begin with; all is traced, nothing computed or compiled.

    All maps of the algorithm are traced: `update` and `evaluate` as a run would, which then need
    not do so again.

    Args:
      experiment: to be checked.
      mesh: that it would run on.
      rules: for parts of the state that are split over the mesh.
      traced_before: forms of states and batches; an algorithm that has one of them is taken to fit
        as the one did that had it before. What is traced is added.

    Returns:
      jax.ShapeDtypeStructs with shardings.

    Raises:
      ValueError: what algorithm, networks and data find wrong when traced, or what does not fit,
        see `require_fit`; devices that do not divide the batch; a rule that does not fit.
    """
    for name, probe in experiment.probes.items():
        if probe.every < 1:
            raise ValueError(
                f'probe {name} is to look every {probe.every} steps; at least 1 is needed'
            )
    batch = abstract_batch(as_feed(experiment.data.train), mesh)
    test = experiment.data.test
    state = _abstract(experiment.algorithm, batch, mesh, rules)

    known = set() if traced_before is None else traced_before
    own = form(state, batch, *test[:1])
    if own not in known:
        with jax.set_mesh(mesh):
            require_fit(experiment.algorithm, state, batch, test, mesh.size)
        known.add(own)
    return state


def abstract_state(experiment: Experiment, *, mesh: Mesh, rules: Rules = ()) -> State:
    """What `check` gives, without a look at more than `init`."""
    batch = abstract_batch(as_feed(experiment.data.train), mesh)
    return _abstract(experiment.algorithm, batch, mesh, rules)


def _abstract(algorithm, batch, mesh, rules):
    key = run_keys(0).init  # made outside, as a run's is, which then finds `init` traced
    with jax.set_mesh(mesh):
        shapes = traced('init', algorithm.init, key, batch)

    def place(leaf, sharding):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree.map(place, shapes, placement(mesh, rules, shapes))


def begin(
    algorithm: Algorithm,
    key: Key,
    shapes: Batch,
    example: Callable[[], Batch],
    abstract: State,
    checkpoints: ocp.CheckpointManager | None,
) -> tuple[int, State, Tally]:
    """(step, state, tally) of the latest checkpoint, or of a new run.

    Args:
      algorithm: whose `init` begins a new run.
      key: for `init`.
      shapes: of a batch, jax.ShapeDtypeStructs, as `abstract_batch` gives them.
      example: makes a batch, for an `init` that reads it.
      abstract: the state as `check` gives it.
      checkpoints: of the run; None where there are none.
    """
    if checkpoints is not None and checkpoints.latest_step() is not None:
        step, state, tally = checkpoint.restore(checkpoints, abstract)
        return step, state, Tally(**tally)

    state = evaluate_needed(algorithm.init, key, shapes, example)
    return 0, jax.tree.map(place_copy, state, abstract), Tally()


def place_copy(leaf: jax.Array, like: jax.ShapeDtypeStruct) -> jax.Array:
    """A leaf on its devices, copied: the state will be donated, and what `init` was given, or gave
    twice, must outlive that."""
    leaf = jnp.asarray(leaf, like.dtype)
    # On one device first: sent to several, the one that has the leaf would get no copy.
    device = min(leaf.devices(), key=lambda device: device.id)
    own = jax.device_put(leaf, device, may_alias=False)
    return put(own, like.sharding)
