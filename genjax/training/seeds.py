"""Several runs of one experiment that differ in their seed alone, trained as one program.

Each keeps its own keys, batches, state, probes, report and checkpoints, and comes, but for
rounding, to what it comes to alone. Letters: n runs.
"""

import contextlib
import functools
import hashlib
import io
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from genjax.base import Resident, State
from genjax.training import checkpoint
from genjax.training.digest import digest
from genjax.training.experiment import Experiment, Keys, run_keys
from genjax.training.feed import abstract_batch, as_feed, feed_args, first_batch
from genjax.training.joint import joint, joint_feed
from genjax.training.loop import dispatch, fold_steps, run_loop
from genjax.training.mesh import Mesh, Rules, by_jit, put
from genjax.training.observe import Call, NonFinite, Recorder, Tally, observer
from genjax.training.report import open_report
from genjax.training.schedule import Every, Schedule, call_spans, make_schedule, pauses_at
from genjax.training.state import abstract_state, begin, check


class Unlike(ValueError):
    """Runs that do not differ in their seed alone, and so are not one program."""


class Run(NamedTuple):
    """One of the runs."""

    experiment: Experiment
    keys: Keys
    workdir: pathlib.Path | str | None
    checkpoints: Any  # as `checkpoint.open_checkpoints` gives them, or None


def _raise(i: int, error: NonFinite) -> None:
    raise error


def train_seeds(
    experiments: Sequence[Experiment],
    *,
    seeds: Sequence[int],
    steps: int,
    mesh: Mesh,
    rules: Rules = (),
    workdirs: Sequence[pathlib.Path | str | None] | None = None,
    until: int | None = None,
    every: Every = Every(),
    best: str = 'test/loss',
    steps_per_call: int | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    lost: Callable[[int, NonFinite], None] = _raise,
) -> list[State | None]:
    """What `train` makes of each experiment with its seed.

    All go on from the newest step of which every run has a checkpoint. Where there is no such step,
    runs that stand at different steps are trained one group after the other.

    Args:
      experiments: built alike but for the seed; data may differ, the update may not.
      seeds: one for each experiment.
      workdirs: a run directory for each, or None.
      lost: (i, error), called where a number of run i is not finite: that run ends, its state is
        None, and the others go on. By default the error is raised.
      steps, mesh, rules, until, every, best, steps_per_call, interrupted: those of `train`.

    Returns:
      The last state of each run.

    Raises:
      Unlike: the updates are not the same program, or the probes not of the same names and steps.
      ValueError: as `train` does.
    """
    schedule = make_schedule(
        experiments[0].probes,
        steps=steps,
        until=until,
        every=every,
        steps_per_call=steps_per_call,
    )
    abstract = check(experiments[0], mesh=mesh, rules=rules)
    require_alike(experiments, mesh=mesh, rules=rules)
    states: dict[int, State] = {}
    with jax.set_mesh(mesh), contextlib.ExitStack() as stack:
        runs = []
        folders = workdirs or [None] * len(seeds)
        for experiment, seed, folder in zip(experiments, seeds, folders, strict=True):
            checkpoints = None
            if folder:
                checkpoints = stack.enter_context(checkpoint.open_checkpoints(folder, best))
            runs.append(Run(experiment, run_keys(seed), folder, checkpoints))

        steps_saved = [run.checkpoints.all_steps() if run.checkpoints else () for run in runs]
        for start, group in groups(steps_saved).items():

            def lost_of_group(place, error, group=group):
                lost(group[place], error)

            members = [runs[i] for i in group]
            recorders = _recorders(members, start, schedule, best, mesh, stack)
            ends = _train_group(
                members, recorders, start, schedule, abstract, mesh, interrupted, lost_of_group
            )
            states |= zip(group, ends, strict=True)
    return [states[i] for i in range(len(runs))]


def _recorders(runs, start, schedule, best, mesh, stack):
    """What records each run; the first one's live line stands for all."""
    recorders = []
    for i, run in enumerate(runs):
        stream = io.StringIO() if i else None
        report = open_report(run.workdir, start=start, steps=schedule.steps, stream=stream)
        observe = observer(run.experiment, run.keys, mesh)
        recorders.append(Recorder(observe, stack.enter_context(report), run.checkpoints, best))
    return recorders


def _train_group(
    runs: Sequence[Run],
    recorders: Sequence[Recorder],
    start: int,
    schedule: Schedule,
    abstract: State,
    mesh: Mesh,
    interrupted: Callable[[], bool],
    lost: Callable[[int, NonFinite], None],
) -> list[State | None]:
    """The loop of `train`, for all runs at once."""
    # 1. The batches of all runs, and where each run begins.
    feeds = [as_feed(run.experiment.data.train) for run in runs]
    feed = joint_feed(feeds, [run.keys.steps for run in runs], mesh)
    shapes = abstract_batch(feeds[0], mesh)
    first_batches = functools.cache(lambda: _first_batches(feed))
    beginnings = [
        _begin(run, shapes, lambda i=i: first_batches()[i], abstract, start)
        for i, run in enumerate(runs)
    ]
    tallies = [tally for _, tally in beginnings]
    states = jax.tree.map(
        lambda *leaves: _stack(mesh, *leaves), *(state for state, _ in beginnings)
    )

    # 2. The program of all runs, and the one that takes the state of one run out.
    update = fold_steps(joint(runs[0].experiment.algorithm), feed, schedule.steps_per_call)
    program = by_jit(update, mesh, jax.tree.map(lambda x: x.sharding, states))
    state_of = jax.jit(_member, out_shardings=jax.tree.map(lambda x: x.sharding, abstract))
    next_args = feed_args(feed, mesh, schedule.steps_per_call, start)

    # 3. The loop.
    def pauses(step):
        return pauses_at(schedule, step) or interrupted()

    def select(call, i):
        state = None if call.state is None else state_of(call.state, np.int32(i))
        return Call(call.step, {name: rows[:, i] for name, rows in call.metrics.items()}, state)

    spans = call_spans(schedule, start)
    calls = dispatch(program, runs[0].keys.steps, states, next_args, spans, pauses)
    last, going = run_loop(
        calls,
        recorders,
        tallies,
        schedule=schedule,
        interrupted=interrupted,
        select=select,
        lost=lost,
    )
    states = states if last is None else last
    return [state_of(states, np.int32(i)) if i in going else None for i in range(len(runs))]


def require_alike(experiments: Sequence[Experiment], *, mesh: Mesh, rules: Rules = ()) -> None:
    """Sees that the updates are one program, and that probes of the same names look at the same
    steps.

    The constants of the updates are a part of the program.

    Raises:
      Unlike: they are not; the line says which is the first that differs.
    """
    programs = [_program(experiment, mesh, rules) for experiment in experiments]
    for i, program in enumerate(programs):
        if program != programs[0]:
            which = f'run {i + 1} of {len(programs)}'
            raise Unlike(
                f'{which} has another update or other probes than the first; '
                'only data may hang on the seed'
            )


def take_same_steps(
    first: Experiment, second: Experiment, *, mesh: Mesh, rules: Rules = ()
) -> bool:
    """Whether two experiments come from one state and key to the same next one, at every step.

    The programs of their batches and updates are compared, with their constants, and the
    fingerprints of their data.
    """
    batches = []
    for experiment in (first, second):
        feed = as_feed(experiment.data.train)
        raw = feed.arrays if isinstance(feed, Resident) else feed.load(0)

        def batch(make_batch, raw, step):
            return make_batch(raw, step)

        text = jax.jit(batch).lower(feed.make_batch, raw, np.int32(0)).as_text()
        batches.append((text, digest(feed.make_batch), feed.fingerprint))
    updates = [_update(experiment, mesh, rules) for experiment in (first, second)]
    return batches[0] == batches[1] and updates[0] == updates[1]


def _program(experiment, mesh, rules):
    """When the probes look, and the update."""
    intervals = {name: probe.every for name, probe in experiment.probes.items()}
    return intervals, _update(experiment, mesh, rules)


def _update(experiment, mesh, rules):
    """A hash of the update as the compiler gets it."""
    state = abstract_state(experiment, mesh=mesh, rules=rules)
    batch = abstract_batch(as_feed(experiment.data.train), mesh)
    with jax.set_mesh(mesh):
        lowered = jax.jit(experiment.algorithm.update).lower(run_keys(0).steps, state, batch)
    return hashlib.sha256(lowered.as_text().encode()).digest()


def groups(steps_saved: Sequence[Iterable[int]]) -> dict[int, list[int]]:
    """Which runs go on from which step: {step: numbers of runs}.

    Args:
      steps_saved: the steps of each run's checkpoints.
    """
    saved = [set(steps) for steps in steps_saved]
    common = set.intersection(*saved)
    if common:
        return {max(common): list(range(len(saved)))}
    newest = [max(steps, default=0) for steps in saved]
    by_step = {}
    for step in sorted(set(newest)):
        by_step[step] = [i for i, own in enumerate(newest) if own == step]
    return by_step


def _first_batches(feed):
    """Each run's own batch of step 0."""
    keys, batches = first_batch(feed)
    return [_member(batches, i) for i in range(len(keys))]


def _begin(run, shapes, example, abstract, start):
    """(state, tally) of the checkpoint of a step, or of a new run."""
    if not start:
        algorithm = run.experiment.algorithm
        _, state, tally = begin(algorithm, run.keys.init, shapes, example, abstract, None)
        return state, tally
    _, state, tally = checkpoint.restore(run.checkpoints, abstract, start)
    for step in run.checkpoints.all_steps():
        if step > start:  # the others do not have it, and it is come to again
            run.checkpoints.delete(step)
    return state, Tally(**tally)


def _stack(mesh, *leaves):
    """One leaf of all states, [n, ...]; the runs are split over the devices where they can be."""
    spec = leaves[0].sharding.spec
    by_run = not any(spec) and len(leaves) % mesh.size == 0
    split = PartitionSpec(mesh.axis_names) if by_run else PartitionSpec(None, *spec)
    return put(jnp.stack(leaves), NamedSharding(mesh, split))


def _member(tree, i):
    return jax.tree.map(lambda x: x[i], tree)
