"""Training is a fold: one loop puts batches into a state and lets probes look at it on the way.

A checkpoint is (step, state). The key of a step is fold_in(key(seed), step) and its batch is data.train[step], so
nothing else has to be saved, and a run that was stopped goes on to the bit.
"""

import contextlib
import math
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax import checkpoint
from genjax.base import Algorithm, Data, Key, State
from genjax.evaluation import evaluator
from genjax.fold import STEPS_A_CALL, abstract_batch, as_feed, calls, feeder, first_batch, folded, spans
from genjax.mesh import Compile, Mesh, Rules, by_jit, placement
from genjax.report import Values, open_report


class Probe(NamedTuple):
    every: int  # steps
    measure: Callable[[Key, State], Values]
    scores: bool = False  # part of an evaluation: quick, and numbers, texts or tables that can be printed


class Experiment(NamedTuple):
    algorithm: Algorithm
    data: Data
    probes: dict[str, Probe]
    ask: Callable[[Key, State, str], Values] | None = None  # answers a question in words; ValueError if it cannot


class Every(NamedTuple):
    """Steps between two lines of averages, two evaluations on the whole test set, two checkpoints."""

    log: int = 100
    evaluate: int = 1000
    save: int = 1000


class NonFinite(ArithmeticError):
    """A metric is not finite, or a part of the state is not a number."""


class Keys(NamedTuple):
    steps: Key  # step s spends fold_in(steps, s)
    init: Key
    test: Key  # the same at every evaluation, as the probes' is: what changes between two is the state
    probes: Key


class Tally(NamedTuple):
    """Sums over the steps since the last line of averages."""

    count: int = 0
    sums: dict[str, float] = {}


def train(
    experiment: Experiment,
    *,
    seed: int,  # all randomness of the run follows from it
    steps: int,  # the length of the whole run
    mesh: Mesh,
    rules: Rules = (),  # for parts of the state that are split over the mesh
    workdir: pathlib.Path | str | None = None,  # the run directory; without one nothing is written or resumed
    until: int | None = None,  # stop after this step as a planned interruption would, leaving a checkpoint
    every: Every = Every(),
    best: str = 'test/loss',  # lower is better; of the steps both evaluated and saved, the best is kept too
    fold: int | None = None,  # steps in one call at the most; by default what was measured for the backend
    parallel: Compile = by_jit,  # or by_pmap
    interrupted: Callable[[], bool] = lambda: False,  # asked after each call; once true, the run saves and returns
) -> State:
    """Folds `steps` batches into a state, or goes on from the last checkpoint in the run directory.

    Raises:
      ValueError: a number of steps below 1, or a batch that the devices do not divide.
      NonFinite: the run went wrong; the checkpoints written before stay.
    """
    stop = steps if until is None else min(until, steps)
    fold = STEPS_A_CALL.get(jax.default_backend(), 1) if fold is None else fold
    looks = {f'probe {name}': probe.every for name, probe in experiment.probes.items()} | every._asdict()
    _refuse_below_one(steps=steps, until=stop, fold=fold, **looks)
    abstract = check(experiment, mesh=mesh, rules=rules)
    due = lambda step: {name for name, interval in looks.items() if step % interval == 0 or step == steps}
    pause = lambda step: step == stop or bool(due(step) - {'log'}) or interrupted()
    keys, feed = keys_of(seed), as_feed(experiment.data.train)
    with jax.set_mesh(mesh), _checkpoints(workdir, best) as saved:
        start, state, tally = _begin(experiment.algorithm, keys.init, first_batch(feed), abstract, saved)
        run = parallel(folded(experiment.algorithm, feed, fold), mesh, jax.tree.map(lambda x: x.sharding, state))
        plan = spans(start, stop, fold, looks.values())
        made = calls(run, keys.steps, state, feeder(feed, mesh, fold, start), plan, pause)
        save = lambda step, *rest: _save(saved, best, step, *rest)
        last = lambda step: step == stop or interrupted()
        with open_report(workdir, start=start, steps=steps) as report:
            return _look_on(made, state, tally, due, last, _looker(experiment, keys, mesh), report, save)


def _look_on(made, state, tally, due, last, look, report, save):
    """Averages, evaluates, probes, reports and saves what the calls have made; returns the last state."""
    for step, rows, state in made:
        tally = _added(tally, step, rows)
        report.show(step, {name: row[-1] for name, row in rows.items()})
        averages = {}
        if 'log' in due(step):
            averages, tally = _means(tally) | report.clock(step), Tally()
        seen = {} if state is None else look(state, due(step))
        if averages or seen:
            report.write(step, averages | seen)
        if state is not None and ((ends := last(step)) or 'save' in due(step)):
            save(step, state, tally, seen)
            if ends:
                break
    return state


def keys_of(seed: int) -> Keys:
    """The four keys that all randomness of a run comes from."""
    root = jax.random.key(seed)
    # From the far end of the numbers that steps are folded in from, where no run ever comes.
    return Keys(root, *(jax.random.fold_in(root, 2**32 - 1 - i) for i in range(3)))


def check(experiment: Experiment, *, mesh: Mesh, rules: Rules = ()) -> State:
    """The state that a run would begin with, as jax.ShapeDtypeStructs with shardings; computes and compiles nothing.

    Raises:
      ValueError: what algorithm, networks and data find wrong when traced; devices that do not divide the batch; a
        rule that does not fit.
    """
    batch = abstract_batch(as_feed(experiment.data.train), mesh)
    shapes = jax.eval_shape(experiment.algorithm.init, keys_of(0).init, batch)
    place = lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
    return jax.tree.map(place, shapes, placement(mesh, rules, shapes))


def evaluate(experiment: Experiment, state: State, *, seed: int, mesh: Mesh) -> dict[str, float]:
    """Means over the whole test set, as a run with this seed reports them: {'test/loss': ...}."""
    with jax.set_mesh(mesh):
        return evaluator(experiment.algorithm, experiment.data.test, keys_of(seed).test, mesh)(state)


def probe(experiment: Experiment, state: State, *, seed: int, mesh: Mesh, scores: bool = False) -> Values:
    """What every probe, or every one that scores, sees in a state, as a run with this seed reports it."""
    due = {f'probe {name}' for name, probe in experiment.probes.items() if probe.scores or not scores}
    with jax.set_mesh(mesh):
        return _looker(experiment, keys_of(seed), mesh)(state, due)


def ask(experiment: Experiment, state: State, question: str, *, seed: int, mesh: Mesh) -> Values:
    """What the experiment answers; ValueError if it cannot."""
    with jax.set_mesh(mesh):
        return experiment.ask(keys_of(seed).probes, state, question)


def restore(experiment: Experiment, *, mesh: Mesh, workdir: pathlib.Path | str, rules: Rules = ()) -> tuple[int, State]:
    """(step, state) of the latest checkpoint in a run directory, on this mesh.

    Raises:
      FileNotFoundError: there is none.
    """
    if not (pathlib.Path(workdir) / checkpoint.FOLDER).is_dir():
        raise FileNotFoundError(f'no checkpoint in {workdir}')
    with checkpoint.open_checkpoints(workdir, '') as saved:
        return checkpoint.restore(saved, check(experiment, mesh=mesh, rules=rules))[:2]


def _refuse_below_one(**numbers):
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f'{name} is {number}; at least 1 step is needed')


def _checkpoints(workdir, best):
    return contextlib.nullcontext() if workdir is None else checkpoint.open_checkpoints(workdir, best)


def _begin(algorithm, key, example, abstract, saved):
    """(step, state, tally) of the latest checkpoint, or of a new run."""
    if saved is not None and saved.latest_step() is not None:
        step, state, tally = checkpoint.restore(saved, abstract)
        return step, state, Tally(**tally)
    # Leaf by leaf and uncompiled: as one program a large network's initialisation takes most of a minute to compile.
    # Copied, since the state will be donated, and what init was given must outlive that.
    put = lambda leaf, like: jax.device_put(jnp.array(leaf, like.dtype), like.sharding)
    return 0, jax.tree.map(put, algorithm.init(key, example), abstract), Tally()


def _save(saved, best, step, state, tally, seen):
    """Saves a state that holds no NaN."""
    bad = [name for name, nan in zip(_paths(state), jax.device_get(_nans(state)), strict=True) if nan]
    if bad:
        raise NonFinite(f'step {step}: {bad[0]} holds a NaN')
    if saved is not None and step not in saved.all_steps():
        checkpoint.save(saved, step, state, tally._asdict(), {best: seen[best]} if best in seen else {})


@jax.jit
def _nans(state):
    is_float = lambda leaf: jnp.issubdtype(leaf.dtype, jnp.floating)
    return [jnp.isnan(leaf).any() if is_float(leaf) else False for leaf in jax.tree.leaves(state)]


def _paths(tree):
    return [jax.tree_util.keystr(path, simple=True, separator='/') for path, _ in jax.tree.leaves_with_path(tree)]


def _added(tally, step, rows):
    """Adds the metrics of the steps up to `step`, one by one, so that the sums do not depend on the calls."""
    count = len(next(iter(rows.values())))
    sums = dict(tally.sums)
    rows = sorted(rows.items(), key=lambda item: item[0] != 'loss')  # the loss is what an error should name
    for i in range(count):
        for name, row in rows:
            if not math.isfinite(row[i]):
                raise NonFinite(f'step {step - count + i + 1}: {name} is {row[i]}')
            sums[name] = sums.get(name, 0.0) + float(row[i])
    return Tally(tally.count + count, sums)


def _means(tally):
    return {name: total / tally.count for name, total in tally.sums.items()}


def _looker(experiment, keys, mesh):
    """look(state, due) -> what the evaluation and the probes that are due see."""
    test = evaluator(experiment.algorithm, experiment.data.test, keys.test, mesh)
    probes = sorted(experiment.probes.items())

    def look(state, due):
        values = test(state) if 'evaluate' in due else {}
        for i, (name, probe) in enumerate(probes):
            if f'probe {name}' in due:
                seen = probe.measure(jax.random.fold_in(keys.probes, i), state)
                values |= {f'{name}/{what}': value for what, value in seen.items()}
        return values

    return look
