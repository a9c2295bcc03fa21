"""Training is a fold: one loop puts batches into a state and lets probes look at it on the way.

A checkpoint is (step, state). The key of a step is fold_in(key(seed), step) and its batch is
data.train[step], so nothing else has to be saved, and a run that was stopped goes on to the bit.
"""

import contextlib
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genjax.base import Algorithm, Data, Key, State
from genjax.training import checkpoint
from genjax.training.contract import form, require_fit, traced
from genjax.training.loop import (
    STEPS_A_CALL,
    abstract_batch,
    as_feed,
    calls,
    feeder,
    first_batch,
    folded,
    spans,
)
from genjax.training.mesh import Compile, Mesh, Rules, by_jit, first, placement, put, replicated
from genjax.training.observe import Look, Probe, Tally, looker, save, watcher
from genjax.training.observe import NonFinite as NonFinite  # what train raises
from genjax.training.report import Values, open_report


class Experiment(NamedTuple):
    algorithm: Algorithm
    data: Data
    probes: dict[str, Probe]
    ask: Callable[[Key, State, str], Values] | None = (
        None  # answers a question in words; ValueError if it cannot
    )


class Every(NamedTuple):
    """Steps between two lines of averages, two evaluations on the whole test set, two checkpoints."""

    log: int = 100
    evaluate: int = 1000
    save: int = 1000


class Keys(NamedTuple):
    steps: Key  # step s spends fold_in(steps, s)
    init: Key
    # The same at every evaluation, as the probes' is: what changes between two is the state
    test: Key
    probes: Key


def train(
    experiment: Experiment,
    *,
    seed: int,  # all randomness of the run follows from it
    steps: int,  # the length of the whole run
    mesh: Mesh,
    rules: Rules = (),  # for parts of the state that are split over the mesh
    workdir: pathlib.Path
    | str
    | None = None,  # the run directory; without one nothing is written or resumed
    until: int
    | None = None,  # stop after this step as a planned interruption would, leaving a checkpoint
    every: Every = Every(),
    # Lower is better; of the steps both evaluated and saved, the best is kept too
    best: str = 'test/loss',
    fold: int
    | None = None,  # steps in one call at the most; by default what was measured for the backend
    parallel: Compile = by_jit,  # or by_pmap
    interrupted: Callable[[], bool] = lambda: (
        False
    ),  # asked after each call; once true, the run saves and returns
) -> State:
    """Folds `steps` batches into a state, or goes on from the last checkpoint in the run directory.

    Raises:
      ValueError: a number of steps below 1, or a batch that the devices do not divide.
      NonFinite: the run went wrong; the checkpoints written before stay.
    """
    way = course(experiment.probes, steps=steps, until=until, every=every, fold=fold)
    abstract = check(experiment, mesh=mesh, rules=rules)
    keys, feed = keys_of(seed), as_feed(experiment.data.train)
    with jax.set_mesh(mesh), contextlib.ExitStack() as stack:
        saved = (
            None
            if workdir is None
            else stack.enter_context(checkpoint.open_checkpoints(workdir, best))
        )
        start, state, tally = begin(
            experiment.algorithm, keys.init, first_batch(feed), abstract, saved
        )
        report = stack.enter_context(
            open_report(workdir if first() else None, start=start, steps=steps)
        )
        watch = watcher(eyes(experiment, keys, mesh), way.due, report)
        run = parallel(
            folded(experiment.algorithm, feed, way.fold),
            mesh,
            jax.tree.map(lambda x: x.sharding, state),
        )
        held = feeder(feed, mesh, way.fold, start)
        pause = lambda step: way.pause(step) or interrupted()
        made = calls(run, put(keys.steps, replicated(mesh)), state, held, way.spans(start), pause)
        for step, rows, state in made:
            tally, seen = watch(tally, step, rows, state)
            ends = state is not None and (step == way.stop or interrupted())
            if ends or (state is not None and 'save' in way.due(step)):
                save(saved, best, step, state, tally, seen)
            if ends:
                break
        return state


class Course(NamedTuple):
    """When a run stops, and what it does on the way."""

    stop: int
    fold: int  # steps in one call at the most
    due: Callable[[int], set[str]]
    pause: Callable[[int], bool]  # whether the state is wanted at a step
    spans: Callable[[int], Any]  # from a step on: (first step, count) of each call


def course(
    probes: dict[str, Probe], *, steps: int, until: int | None, every: Every, fold: int | None
) -> Course:
    """Raises ValueError for a number of steps below 1."""
    stop = steps if until is None else min(until, steps)
    fold = STEPS_A_CALL.get(jax.default_backend(), 1) if fold is None else fold
    looks = {f'probe {name}': probe.every for name, probe in probes.items()} | every._asdict()
    for name, number in (dict(steps=steps, until=stop, fold=fold) | looks).items():
        if number < 1:
            raise ValueError(f'{name} is {number}; at least 1 step is needed')
    due = lambda step: {
        name for name, interval in looks.items() if step % interval == 0 or step == steps
    }
    pause = lambda step: step == stop or bool(due(step) - {'log'})
    return Course(stop, fold, due, pause, lambda start: spans(start, stop, fold, looks.values()))


def keys_of(seed: int) -> Keys:
    """The four keys that all randomness of a run comes from."""
    root = jax.random.key(seed)
    # From the far end of the numbers that steps are folded in from, where no run ever comes.
    return Keys(root, *(jax.random.fold_in(root, 2**32 - 1 - i) for i in range(3)))


def check(
    experiment: Experiment, *, mesh: Mesh, rules: Rules = (), traced_before: set[str] | None = None
) -> State:
    """The state that a run would begin with, as jax.ShapeDtypeStructs with shardings; computes and
    compiles nothing.

    All maps of the algorithm are traced: `update` and `evaluate` as a run would, which then need
      not do so again.

    Args:
      traced_before: forms of states and batches; an algorithm that has one of them is taken to fit
        as the one did that had it before. What is traced is added.

    Raises:
      ValueError: what algorithm, networks and data find wrong when traced, or what does not fit,
        see `require_fit`; devices that do not divide the batch; a rule that does not fit.
    """
    for name, probe in experiment.probes.items():
        if probe.every < 1:
            raise ValueError(
                f'probe {name} is to look every {probe.every} steps; at least 1 is needed'
            )
    batch, test = abstract_batch(as_feed(experiment.data.train), mesh), experiment.data.test
    state = _begun(experiment.algorithm, batch, mesh, rules)
    known = set() if traced_before is None else traced_before
    own = form(state, batch, *test[:1])
    if own not in known:
        with jax.set_mesh(mesh):
            require_fit(experiment.algorithm, state, batch, test, mesh.size)
        known.add(own)
    return state


def abstract_state(experiment: Experiment, *, mesh: Mesh, rules: Rules = ()) -> State:
    """What `check` gives, without a look at more than `init`."""
    return _begun(
        experiment.algorithm, abstract_batch(as_feed(experiment.data.train), mesh), mesh, rules
    )


def _begun(algorithm, batch, mesh, rules):
    with jax.set_mesh(mesh):
        shapes = traced('init', algorithm.init, keys_of(0).init, batch)
    place = lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
    return jax.tree.map(place, shapes, placement(mesh, rules, shapes))


def evaluate(experiment: Experiment, state: State, *, seed: int, mesh: Mesh) -> dict[str, float]:
    """Means over the whole test set, as a run with this seed reports them: {'test/loss': ...}."""
    with jax.set_mesh(mesh):
        return eyes(experiment, keys_of(seed), mesh)(state, {'evaluate'})


def probe(
    experiment: Experiment, state: State, *, seed: int, mesh: Mesh, scores: bool = False
) -> Values:
    """What every probe, or every one that scores, sees in a state, as a run with this seed reports
    it."""
    due = {
        f'probe {name}' for name, probe in experiment.probes.items() if probe.scores or not scores
    }
    with jax.set_mesh(mesh):
        return eyes(experiment, keys_of(seed), mesh)(state, due)


def ask(experiment: Experiment, state: State, question: str, *, seed: int, mesh: Mesh) -> Values:
    """What the experiment answers; ValueError if it cannot."""
    with jax.set_mesh(mesh):
        return experiment.ask(keys_of(seed).probes, state, question)


def restore(
    experiment: Experiment, *, mesh: Mesh, workdir: pathlib.Path | str, rules: Rules = ()
) -> tuple[int, State]:
    """(step, state) of the latest checkpoint in a run directory, on this mesh.

    Raises:
      FileNotFoundError: there is none.
    """
    if not (pathlib.Path(workdir) / checkpoint.FOLDER).is_dir():
        raise FileNotFoundError(f'no checkpoint in {workdir}')
    with checkpoint.open_checkpoints(workdir, '') as saved:
        return checkpoint.restore(saved, abstract_state(experiment, mesh=mesh, rules=rules))[:2]


def eyes(experiment: Experiment, keys: Keys, mesh: Mesh) -> Look:
    """What a run with these keys sees in a state."""
    test_key = put(keys.test, replicated(mesh))
    return looker(
        experiment.algorithm, experiment.data.test, experiment.probes, test_key, keys.probes, mesh
    )


def begin(
    algorithm: Algorithm, key: Key, example: Any, abstract: State, saved: Any
) -> tuple[int, State, Tally]:
    """(step, state, tally) of the latest checkpoint, or of a new run."""
    if saved is not None and saved.latest_step() is not None:
        step, state, tally = checkpoint.restore(saved, abstract)
        return step, state, Tally(**tally)
    # Leaf by leaf and uncompiled: as one program a large network's initialisation takes most of a
    # minute to compile. Copied, since the state will be donated, and what init was given must
    # outlive that.
    place = lambda leaf, like: put(jnp.array(leaf, like.dtype), like.sharding)
    return 0, jax.tree.map(place, algorithm.init(key, example), abstract), Tally()
