"""Steps of a run taken again, from its beginning or from a checkpoint; nothing is written.

They are taken by the run's own programs, so on the same devices and versions every number comes out
equal to the bit. What goes on from a state is to be called, and gone through, with the run's mesh
set.
"""

import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genjax.base import Batch, Key, State
from genjax.training import checkpoint
from genjax.training.digest import kinds
from genjax.training.experiment import Experiment, run_keys
from genjax.training.feed import abstract_batch, as_feed, feed_args, first_batch
from genjax.training.loop import dispatch, fold_steps
from genjax.training.mesh import Compile, Mesh, Rules, by_jit, put, replicated
from genjax.training.observe import Call, Recorder, Tally, observe_call, observer
from genjax.training.report import Report
from genjax.training.schedule import Every, Schedule, due_at, make_schedule, pauses_at, spans
from genjax.training.state import abstract_state, begin
from genjax.training.values import Values


class Recipe(NamedTuple):
    """All that a run follows from; the arguments of `train`."""

    experiment: Experiment
    seed: int
    steps: int
    mesh: Mesh
    rules: Rules = ()
    every: Every = Every()
    steps_per_call: int | None = None
    parallel: Compile = by_jit


def state_at(recipe: Recipe, workdir: pathlib.Path | str, step: int) -> tuple[State, Tally]:
    """What a run had at a step: what its checkpoint holds, or, at step 0, what it began with.

    Raises:
      FileNotFoundError: there is no checkpoint of this step.
      ValueError: it is damaged, or of another state.
    """
    experiment = recipe.experiment
    feed = as_feed(experiment.data.train)
    with jax.set_mesh(recipe.mesh):
        abstract = abstract_state(experiment, mesh=recipe.mesh, rules=recipe.rules)
        if step:
            _, state, tally = checkpoint.read(workdir, abstract, step)
            return state, Tally(**tally)
        _, state, tally = begin(
            experiment.algorithm,
            run_keys(recipe.seed).init,
            abstract_batch(feed, recipe.mesh),
            lambda: first_batch(feed),
            abstract,
            None,
        )
        return state, tally


# (step, numbers by name, the state): the state is donated when the next is asked for.
Lines = Iterator[tuple[int, Values, State | None]]


def lines(recipe: Recipe, state: State, tally: Tally, start: int, wanted: set[int]) -> Lines:
    """Goes on from `start` to the last of the wanted steps, and gives the state at each of them.

    The numbers are what the run wrote of averages and of the test set; {} where it wrote nothing.

    Raises:
      NonFinite: as the run did.
    """
    schedule = _schedule(recipe, max(wanted))
    written: dict[int, Values] = {}
    recorder = Recorder(
        observe=observer(recipe.experiment._replace(probes={}), run_keys(recipe.seed), recipe.mesh),
        report=Report(
            write=written.__setitem__, clock=lambda step: {}, show=lambda step, values: None
        ),
        checkpoints=None,
        best='',
    )

    def is_mark(step):
        due = due_at(schedule, step)
        return step in wanted or due.log or due.evaluate or due.save

    def pauses(step):
        return step in wanted or pauses_at(schedule, step)

    marks = [step for step in range(start + 1, schedule.stop + 1) if is_mark(step)]
    for call in _walk(recipe, state, start, marks, pauses):
        tally, _ = observe_call(recorder, tally, call, due_at(schedule, call.step))
        yield call.step, written.pop(call.step, {}), call.state


def go_on(recipe: Recipe, state: State, start: int, stop: int) -> State:
    """The state at a later step."""
    if start == stop:
        return state
    *_, last = _walk(recipe, state, start, [stop], lambda step: step == stop)
    return last.state


def first_not_finite(recipe: Recipe, state: State, start: int, stop: int) -> tuple[int, str] | None:
    """(step, path) of the first leaf that is not finite any more, at the first step with one.

    Leaves that were not finite at `start` do not count.
    """
    before = set(not_finite(state))
    marks = range(start + 1, stop + 1)
    for call in _walk(recipe, state, start, marks, lambda step: True):
        new = [name for name in not_finite(call.state) if name not in before]
        if new:
            return call.step, new[0]
    return None


def _walk(
    recipe: Recipe,
    state: State,
    start: int,
    marks: Sequence[int],
    pauses: Callable[[int], bool],
) -> Iterator[Call]:
    """The calls of the run; calls end at the marks, and at the last of them it has to pause."""
    experiment, mesh = recipe.experiment, recipe.mesh
    feed = as_feed(experiment.data.train)
    steps_per_call = _schedule(recipe, marks[-1]).steps_per_call

    run = fold_steps(experiment.algorithm, feed, steps_per_call)
    program = recipe.parallel(run, mesh, jax.tree.map(lambda x: x.sharding, state))
    next_args = feed_args(feed, mesh, steps_per_call, start)
    key = put(run_keys(recipe.seed).steps, replicated(mesh))
    between_marks = itertools.chain.from_iterable(
        spans(first, last, steps_per_call, [])
        for first, last in itertools.pairwise([start, *marks])
    )
    return dispatch(program, key, state, next_args, between_marks, pauses)


def _schedule(recipe: Recipe, stop: int) -> Schedule:
    """The run's schedule up to a step, without its probes."""
    return make_schedule(
        {},
        steps=recipe.steps,
        until=stop,
        every=recipe.every,
        steps_per_call=recipe.steps_per_call,
    )


def step_inputs(recipe: Recipe, step: int) -> tuple[Key, Batch]:
    """The key and the batch of the step that ends at `step`, 1 or more."""
    key = jax.random.fold_in(run_keys(recipe.seed).steps, step - 1)
    return key, recipe.experiment.data.train[step - 1]


def not_finite(tree: Any) -> list[str]:
    """The paths of the leaves that hold a value that is not finite, in order."""
    return [name for name, bad in zip(kinds(tree), jax.device_get(_bad(tree)), strict=True) if bad]


@jax.jit
def _bad(tree):
    """Whether each leaf holds a value that is not finite."""

    def bad(leaf):
        inexact = jnp.issubdtype(leaf.dtype, jnp.inexact)
        return ~jnp.isfinite(leaf).all() if inexact else False

    return [bad(leaf) for leaf in jax.tree.leaves(tree)]
