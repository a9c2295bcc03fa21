"""Steps of a run taken again, beside the run: from its beginning or from a checkpoint, and nothing
is written.

They are taken by the run's own programs, so on the same devices and versions every number comes out
equal to the bit. What goes on from a state is to be called, and gone through, with the run's mesh
set.
"""

import contextlib
import itertools
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genjax.base import Batch, Key, State
from genjax.training import checkpoint
from genjax.training.digest import kinds
from genjax.training.loop import as_feed, calls, feeder, first_batch, folded, spans
from genjax.training.mesh import Compile, Mesh, Rules, by_jit, put, replicated
from genjax.training.observe import Tally, watcher
from genjax.training.report import Report, Values
from genjax.training.train import Every, Experiment, abstract_state, begin, course, eyes, keys_of


class Recipe(NamedTuple):
    """All that a run follows from; the arguments of `train`."""

    experiment: Experiment
    seed: int
    steps: int
    mesh: Mesh
    rules: Rules = ()
    every: Every = Every()
    fold: int | None = None
    parallel: Compile = by_jit


def begun(recipe: Recipe, workdir: pathlib.Path | str, step: int) -> tuple[State, Tally]:
    """What a run had in hand at a step: what its checkpoint holds, or, at step 0, what it began
    with.

    Raises:
      FileNotFoundError: there is no checkpoint of this step.
      ValueError: it is damaged, or of another state.
    """
    algorithm, feed = recipe.experiment.algorithm, as_feed(recipe.experiment.data.train)
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.set_mesh(recipe.mesh))
        saved = stack.enter_context(_copied(workdir, step)) if step else None
        abstract = abstract_state(recipe.experiment, mesh=recipe.mesh, rules=recipe.rules)
        return begin(algorithm, keys_of(recipe.seed).init, first_batch(feed), abstract, saved)[1:]


@contextlib.contextmanager
def _copied(workdir, step):
    """A checkpoint in a folder of its own: one that is opened is tidied, and what is damaged in it
    set aside."""
    there = pathlib.Path(checkpoint.FOLDER, str(step))
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(workdir / there, copy / there)
        with checkpoint.open_checkpoints(copy, '') as saved:
            yield saved


# (step, numbers by name, the state): the state is donated when the next is asked for.
Calls = Iterator[tuple[int, Values, State | None]]


def lines(recipe: Recipe, state: State, tally: Tally, start: int, wanted: set[int]) -> Calls:
    """Goes on from `start` to the last of the wanted steps, and gives the state at each of them.

    The numbers are what the run wrote of averages and of the test set; {} where it wrote nothing.

    Raises:
      NonFinite: as the run did.
    """
    way = _way(recipe, max(wanted))
    written = {}
    report = Report(written.__setitem__, lambda step: {}, lambda step, values: None)
    look = eyes(recipe.experiment._replace(probes={}), keys_of(recipe.seed), recipe.mesh)
    watch = watcher(look, way.due, report)
    marks = [step for step in range(start + 1, way.stop + 1) if step in wanted or way.due(step)]
    pause = lambda step: step in wanted or way.pause(step)
    for step, rows, after in _walk(recipe, state, start, marks, pause):
        tally, _ = watch(tally, step, rows, after)
        yield step, written.pop(step, {}), after


def gone(recipe: Recipe, state: State, start: int, stop: int) -> State:
    """The state at a later step."""
    if start == stop:
        return state
    *_, (_, _, state) = _walk(recipe, state, start, [stop], lambda step: step == stop)
    return state


def turned(recipe: Recipe, state: State, start: int, stop: int) -> tuple[int, str] | None:
    """(step, path) of the first leaf of the state, in order, that is not finite any more, where the
    first one is not.

    Leaves that were not finite at `start` do not count.
    """
    before, marks = set(not_finite(state)), range(start + 1, stop + 1)
    for step, _, after in _walk(recipe, state, start, marks, lambda step: True):
        if found := [name for name in not_finite(after) if name not in before]:
            return step, found[0]
    return None


def _walk(
    recipe: Recipe, state: State, start: int, marks: Sequence[int], pause: Callable[[int], bool]
) -> Calls:
    """(step, rows of metrics, state) after each call; calls end at the marks, and at the last of
    them it must pause."""
    feed, key = (
        as_feed(recipe.experiment.data.train),
        put(keys_of(recipe.seed).steps, replicated(recipe.mesh)),
    )
    fold, places = _way(recipe, marks[-1]).fold, jax.tree.map(lambda x: x.sharding, state)
    run = recipe.parallel(folded(recipe.experiment.algorithm, feed, fold), recipe.mesh, places)
    plan = (span for a, b in itertools.pairwise([start, *marks]) for span in spans(a, b, fold, []))
    return calls(run, key, state, feeder(feed, recipe.mesh, fold, start), plan, pause)


def _way(recipe, stop):
    return course({}, steps=recipe.steps, until=stop, every=recipe.every, fold=recipe.fold)


def ingredients(recipe: Recipe, step: int) -> tuple[Key, Batch]:
    """The key and the batch of the step that ends at `step`, 1 or more."""
    key = jax.random.fold_in(keys_of(recipe.seed).steps, step - 1)
    return key, recipe.experiment.data.train[step - 1]


def not_finite(tree: Any) -> list[str]:
    """The paths of the leaves that hold a value that is not finite, in order."""
    return [name for name, bad in zip(kinds(tree), jax.device_get(_bad(tree)), strict=True) if bad]


@jax.jit
def _bad(tree):
    inexact = lambda leaf: jnp.issubdtype(leaf.dtype, jnp.inexact)
    return [~jnp.isfinite(leaf).all() if inexact(leaf) else False for leaf in jax.tree.leaves(tree)]
