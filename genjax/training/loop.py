"""The loop: many steps in one compiled call, and what is done after each call."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import Algorithm, Key, Metrics, Resident, State
from genjax.parallel import shard_batch
from genjax.training.feed import Feed, FeedArgs
from genjax.training.observe import Call, NonFinite, Recorder, Tally, observe_call, save_call
from genjax.training.schedule import Schedule, due_at
from genjax.waiting import doing


def fold_steps(algorithm: Algorithm, feed: Feed, steps_per_call: int) -> Callable:
    """The function run(key, state, args, step, count) -> (state, metrics), to be compiled.

    It takes `count` <= steps_per_call steps from `step` on and returns their metrics,
    [steps_per_call] each, of which the first `count` mean something. The count is an argument: a
    call that a checkpoint cuts short runs the same program as a whole one, or resuming would not be
    exact.

    Args:
      algorithm: whose update is folded.
      feed: of its batches; `args` is what `feed_args` gives of it.
      steps_per_call: at the most.
    """
    update = jax.jit(algorithm.update)  # so that the loop's own retracing costs nothing

    def one_step(key, state, args, step, i):
        make_batch, raw = args
        if not isinstance(feed, Resident):
            raw = jax.tree.map(lambda x: x[i], raw)
        batch = shard_batch(make_batch(raw, step + i))
        return update(jax.random.fold_in(key, step + i), state, batch)

    def run(key: Key, state: State, args: FeedArgs, step: jax.Array, count: jax.Array):
        if steps_per_call == 1:
            state, metrics = one_step(key, state, args, step, 0)
            return state, jax.tree.map(lambda m: m[None], metrics)

        shapes: Metrics = jax.eval_shape(one_step, key, state, args, step, count)[1]
        rows = jax.tree.map(lambda m: jnp.zeros((steps_per_call, *m.shape), m.dtype), shapes)

        def body(i, carry):
            state, rows = carry
            state, metrics = one_step(key, state, args, step, i)
            return state, jax.tree.map(lambda row, m: row.at[i].set(m), rows, metrics)

        return jax.lax.fori_loop(0, count, body, (state, rows))

    return run


def dispatch(
    run: Callable,
    key: Key,
    state: State,
    next_args: Callable[[int], FeedArgs],
    spans: Iterable[tuple[int, int]],
    pauses: Callable[[int], bool],
) -> Iterator[Call]:
    """Makes the compiled calls, and yields what each came to.

    Metrics are fetched one call late: the device is at work on the next call by then, so that
    logging never stalls it, and the state of the call is gone (donated). Where pauses(step) is true
    nothing runs until the caller has done with the state.

    Args:
      run: as `fold_steps` gives it, compiled.
      key: of the steps.
      state: at the first step; donated.
      next_args: count -> what `run` reads for the next `count` steps.
      spans: (first step, count) of each call.
      pauses: whether the state is wanted at a step.
    """
    waiting = None
    what = 'compiling'  # or waiting for that, in the first call
    for first, count in spans:
        with doing(what):
            state, metrics = run(key, state, next_args(count), np.int32(first), np.int32(count))
        what = ''
        if waiting is not None:
            yield _fetch(waiting, state=None)
        waiting = first + count, count, metrics
        if pauses(first + count):
            yield _fetch(waiting, state)
            waiting = None


def _fetch(waiting, state):
    step, count, metrics = waiting
    rows = {name: values[:count] for name, values in jax.device_get(metrics).items()}
    return Call(step, rows, state)


def run_loop(
    calls: Iterable[Call],
    recorders: Sequence[Recorder],
    tallies: Sequence[Tally],
    *,
    schedule: Schedule,
    interrupted: Callable[[], bool],
    select: Callable[[Call, int], Call] = lambda call, i: call,
    lost: Callable[[int, NonFinite], None] | None = None,
) -> tuple[State, set[int]]:
    """Goes through the calls of one run, or of several that are one program.

    Args:
      calls: as `dispatch` yields them.
      recorders: what records each run.
      tallies: of each run, at the beginning.
      schedule: of all runs.
      interrupted: asked after each call; once it is true the runs are saved and the loop ends.
      select: (call, i) -> the call of run i alone.
      lost: called with a run and its error where a number is not finite: that run ends, the others
        go on. By default the error is raised.

    Returns:
      The last state, and the numbers of the runs that have not ended by an error.
    """
    going = dict(enumerate(tallies))

    def for_each_run(act):
        for i in list(going):
            try:
                act(i)
            except NonFinite as error:
                if lost is None:
                    raise
                lost(i, error)
                del going[i]

    state = None
    for call in calls:
        state, due = call.state, due_at(schedule, call.step)
        own, observations = {}, {}

        # 1. Sums, a line of averages, evaluation and probes.
        def observe(i, call=call, due=due, own=own, observations=observations):
            own[i] = select(call, i)
            going[i], observations[i] = observe_call(recorders[i], going[i], own[i], due)

        for_each_run(observe)

        # 2. A checkpoint, where one is due and where the loop ends.
        ends = state is not None and (call.step == schedule.stop or interrupted())

        def save(i, own=own, observations=observations):
            save_call(recorders[i], going[i], own[i], observations[i])

        if ends or (state is not None and due.save):
            for_each_run(save)
        if ends or not going:
            break
    return state, set(going)
