"""Several runs of one experiment that differ in their seed alone, trained as one program.

Each keeps its own keys, batches, state, probes, report and checkpoints, and comes, but for
rounding, to what it comes to alone. Letters: n runs.
"""

import contextlib
import hashlib
import io
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from genjax.base import State
from genjax.training import checkpoint
from genjax.training.joint import joint, joint_feed
from genjax.training.loop import abstract_batch, as_feed, calls, feeder, first_batch, folded
from genjax.training.mesh import Mesh, Rules, by_jit, put
from genjax.training.observe import NonFinite, Tally, save, watcher
from genjax.training.report import open_report
from genjax.training.train import (
    Course,
    Every,
    Experiment,
    Keys,
    abstract_state,
    begin,
    check,
    course,
    eyes,
    keys_of,
)


class Unlike(ValueError):
    """Runs that do not differ in their seed alone, and so are not one program."""


class Run(NamedTuple):
    """One of the runs."""

    experiment: Experiment
    keys: Keys
    workdir: pathlib.Path | str | None
    saved: Any  # its checkpoints, or None


def _raised(i: int, error: NonFinite) -> None:
    raise error


def train_together(
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
    fold: int | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    lost: Callable[[int, NonFinite], None] = _raised,
) -> list[State | None]:
    """What `train` makes of each experiment with its seed; the arguments are those of `train`.

    All go on from the newest step of which every run has a checkpoint. Where there is no such step,
    runs that stand at different steps are trained one group after the other.

    Args:
      experiments: built alike but for the seed; data may differ, the update may not.
      lost: (i, error), called where a number of run i is not finite: that run ends, its state is
        None, and the others go on. By default the error is raised.

    Raises:
      Unlike: the updates are not the same program, or the probes not of the same names and steps.
      ValueError: as `train` does.
    """
    way = course(experiments[0].probes, steps=steps, until=until, every=every, fold=fold)
    abstract = check(experiments[0], mesh=mesh, rules=rules)
    require_alike(experiments, mesh=mesh, rules=rules)
    states: dict[int, State] = {}
    with jax.set_mesh(mesh), contextlib.ExitStack() as stack:
        opened = lambda workdir: (
            workdir and stack.enter_context(checkpoint.open_checkpoints(workdir, best))
        )
        places = workdirs or [None] * len(seeds)
        given = zip(experiments, map(keys_of, seeds), places, map(opened, places), strict=True)
        runs = [Run(*each) for each in given]
        for start, group in groups(
            [run.saved.all_steps() if run.saved else () for run in runs]
        ).items():
            watches = _watches([runs[i] for i in group], start, steps, way, mesh, stack)
            told = lambda place, error, group=group: lost(group[place], error)
            ends = _folded(
                [runs[i] for i in group],
                watches,
                start,
                way,
                best,
                abstract,
                mesh,
                interrupted,
                told,
            )
            states |= zip(group, ends, strict=True)
    return [states[i] for i in range(len(runs))]


def _watches(runs, start, steps, way, mesh, stack):
    """What looks at each run; the first one's live line stands for all."""
    made = []
    for i, run in enumerate(runs):
        live = open_report(
            run.workdir, start=start, steps=steps, stream=io.StringIO() if i else None
        )
        made.append(
            watcher(eyes(run.experiment, run.keys, mesh), way.due, stack.enter_context(live))
        )
    return made


def require_alike(experiments: Sequence[Experiment], *, mesh: Mesh, rules: Rules = ()) -> None:
    """Sees that the updates are one program, constants included, and that probes of the same names
    look at once.

    Raises:
      Unlike: they are not; the line says which is the first that differs.
    """
    programs = [_program(experiment, mesh, rules) for experiment in experiments]
    for i, program in enumerate(programs):
        if program != programs[0]:
            which = f'run {i + 1} of {len(programs)}'
            raise Unlike(
                f'{which} has another update or other probes than the first; only data may hang on the seed'
            )


def _program(experiment, mesh, rules):
    """When the probes look, and a hash of the update as the compiler gets it."""
    state = abstract_state(experiment, mesh=mesh, rules=rules)
    batch = abstract_batch(as_feed(experiment.data.train), mesh)
    with jax.set_mesh(mesh):
        lowered = jax.jit(experiment.algorithm.update).lower(keys_of(0).steps, state, batch)
    looks = {name: probe.every for name, probe in experiment.probes.items()}
    return looks, hashlib.sha256(lowered.as_text().encode()).digest()


def groups(held: Sequence[Iterable[int]]) -> dict[int, list[int]]:
    """Which runs go on from which step: {step: numbers of runs}.

    Args:
      held: the steps of each run's checkpoints.
    """
    held = [set(steps) for steps in held]
    if common := set.intersection(*held):
        return {max(common): list(range(len(held)))}
    newest = [max(steps, default=0) for steps in held]
    return {
        step: [i for i, own in enumerate(newest) if own == step] for step in sorted(set(newest))
    }


def _folded(
    runs: Sequence[Run],
    watches: Sequence[Callable[..., Tally]],
    start: int,
    way: Course,
    best: str,
    abstract: State,
    mesh: Mesh,
    interrupted: Callable[[], bool],
    lost: Callable[[int, NonFinite], None],
) -> list[State | None]:
    """The loop of `train`, for all runs at once."""
    feed = joint_feed(
        [as_feed(run.experiment.data.train) for run in runs], [run.keys.steps for run in runs], mesh
    )
    begun = [
        _begun(run, batch, abstract, start) for run, batch in zip(runs, _firsts(feed), strict=True)
    ]
    tallies = {i: tally for i, (_, tally) in enumerate(begun)}
    states = jax.tree.map(lambda *leaves: _stacked(mesh, *leaves), *(state for state, _ in begun))
    places = jax.tree.map(lambda x: x.sharding, states)
    one = jax.jit(_member, out_shardings=jax.tree.map(lambda x: x.sharding, abstract))
    run = by_jit(folded(joint(runs[0].experiment.algorithm), feed, way.fold), mesh, places)
    pause = lambda step: way.pause(step) or interrupted()
    made = calls(
        run,
        runs[0].keys.steps,
        states,
        feeder(feed, mesh, way.fold, start),
        way.spans(start),
        pause,
    )
    for step, rows, states in made:
        own = None if states is None else lambda i, states=states: one(states, np.int32(i))
        found = _looked(watches, tallies, step, rows, own, mesh)
        ends = own is not None and (step == way.stop or interrupted())
        for i, looked in found.items():
            try:
                tallies[i], seen = _unless_raised(looked)
                if ends or (own is not None and 'save' in way.due(step)):
                    save(runs[i].saved, best, step, own(i), tallies[i], seen)
            except NonFinite as error:
                lost(i, error)
                del tallies[i]
        if ends or not tallies:
            break
    return [one(states, np.int32(i)) if i in tallies else None for i in range(len(runs))]


def _looked(watches, tallies, step, rows, own, mesh):
    """What each run's watch comes to, or the error that ends the run; scores and pictures are made
    by threads."""

    def look(i):
        try:
            with jax.set_mesh(mesh):
                return watches[i](tallies[i], step, _member(rows, (slice(None), i)), own and own(i))
        except NonFinite as error:
            return error

    return {i: look(i) for i in tallies}


def _unless_raised(found):
    if isinstance(found, Exception):
        raise found
    return found


def _firsts(feed):
    """Each run's own batch of step 0."""
    keys, batches = first_batch(feed)
    return [_member(batches, i) for i in range(len(keys))]


def _begun(run, example, abstract, start):
    """(state, tally) of the checkpoint of a step, or of a new run."""
    if not start:
        return begin(run.experiment.algorithm, run.keys.init, example, abstract, None)[1:]
    _, state, tally = checkpoint.restore(run.saved, abstract, start)
    for step in run.saved.all_steps():
        if step > start:  # the others do not have it, and it is come to again
            run.saved.delete(step)
    return state, Tally(**tally)


def _stacked(mesh, *leaves):
    """One leaf of all states, [n, ...], the runs split over the devices where they can be."""
    spec = leaves[0].sharding.spec
    by_run = not any(spec) and len(leaves) % mesh.size == 0
    split = PartitionSpec(mesh.axis_names) if by_run else PartitionSpec(None, *spec)
    return put(jnp.stack(leaves), NamedSharding(mesh, split))


def _member(tree, i):
    return jax.tree.map(lambda x: x[i], tree)
