"""Many steps in one compiled call, and the batches that it wants."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import Algorithm, Batch, Key, Resident, State, Streamed
from genjax.parallel import shard_batch
from genjax.training.mesh import Mesh, part, put, put_batch, put_part, replicated

STEPS_A_CALL = {'cpu': 10, 'gpu': 20, 'tpu': 20}  # by backend; benchmarks/trainer.py measures it


def as_feed(train: Any) -> Resident | Streamed:
    """Anything with train[step] -> host batch, as a Streamed; Resident and Streamed as they are."""
    if isinstance(train, Resident | Streamed):
        return train
    return Streamed(
        train.__getitem__,
        lambda step: map(train.__getitem__, itertools.count(step)),
        lambda raw, _: raw,
    )


def first_batch(feed: Resident | Streamed) -> Batch:
    """The batch of step 0, as one program."""
    return jax.jit(lambda batch, raw: batch(raw, np.int32(0)))(feed.make_batch, _first_held(feed))


def _first_held(feed):
    return feed.arrays if isinstance(feed, Resident) else feed.load(0)


def abstract_batch(feed: Resident | Streamed, mesh: Mesh) -> Batch:
    """The shapes of a batch, without computing one.

    Raises:
      ValueError: its arrays differ in length, or the devices do not divide it.
    """
    batch = jax.eval_shape(feed.make_batch, _first_held(feed), np.int32(0))
    lengths = {leaf.shape[0] for leaf in jax.tree.leaves(batch)}
    if len(lengths) != 1:
        raise ValueError(
            f'a batch has arrays of {sorted(lengths)} examples; all need the same number'
        )
    if (size := lengths.pop()) % mesh.size:
        raise ValueError(f'batch is {size}, which the {mesh.size} devices do not divide')
    return batch


def folded(algorithm: Algorithm, feed: Resident | Streamed, length: int) -> Callable:
    """The function fold(key, state, held, step, count) -> (state, metrics), to be compiled.

    It takes `count` <= length steps from `step` on and returns their metrics, [length] each, of
    which the first `count` mean something. The count is an argument: a call that a checkpoint cuts
    short runs the same program as a whole one, or resuming would not be exact. `held` is what
    `feeder` gives.
    """
    update = jax.jit(algorithm.update)  # so that the loop's own retracing costs nothing

    def one(key, state, held, step, i):
        draw, raw = held
        raw = raw if isinstance(feed, Resident) else jax.tree.map(lambda x: x[i], raw)
        batch = shard_batch(draw(raw, step + i))
        return update(jax.random.fold_in(key, step + i), state, batch)

    def fold(key: Key, state: State, held: Any, step: jax.Array, count: jax.Array):
        if length == 1:
            state, metrics = one(key, state, held, step, 0)
            return state, jax.tree.map(lambda m: m[None], metrics)
        shapes = jax.eval_shape(one, key, state, held, step, count)[1]
        rows = jax.tree.map(lambda m: jnp.zeros((length, *m.shape), m.dtype), shapes)

        def body(i, carry):
            state, rows = carry
            state, metrics = one(key, state, held, step, i)
            return state, jax.tree.map(lambda row, m: row.at[i].set(m), rows, metrics)

        return jax.lax.fori_loop(0, count, body, (state, rows))

    return fold


def feeder(feed: Resident | Streamed, mesh: Mesh, length: int, start: int) -> Callable[[int], Any]:
    """count -> what fold holds for the next `count` steps: the feed's batch as a pytree, and what
    it is to be given.

    That is the resident arrays, or host batches stacked.
    """
    whole = lambda tree: jax.tree.map(lambda x: put(x, replicated(mesh)), tree)
    draw = whole(feed.make_batch)
    if isinstance(feed, Resident):
        held = draw, whole(feed.arrays)
        return lambda count: held
    i, n = part(mesh)
    shared = n > 1 and feed.share is not None
    raws = feed.share(i, n, start) if shared else feed.stream(start)
    move = put_part if shared else put_batch

    def stacked(count):
        rows = list(itertools.islice(raws, count))
        rows += rows[-1:] * (length - count)  # one shape, one program; what is added is not read
        return draw, move(mesh, jax.tree.map(lambda *leaves: np.stack(leaves), *rows), axis=1)

    return stacked


def spans(
    start: int, stop: int, length: int, intervals: Iterable[int]
) -> Iterator[tuple[int, int]]:
    """(first step, count) of each call: none is longer than `length` or crosses a multiple of an
    interval."""
    intervals = list(intervals)
    while start < stop:
        end = min([start + length, stop, *((start // n + 1) * n for n in intervals)])
        yield start, end - start
        start = end


def calls(
    run: Callable,
    key: Key,
    state: State,
    held: Callable,
    plan: Iterable,
    pause: Callable[[int], bool],
):
    """Makes the calls of a plan; yields (step, metrics, state) after each, the metrics as numpy
    rows [count].

    Where pause(step) is false the state is None and the device is already at work on the next call
    when the metrics are fetched, so that logging never stalls it. Where it is true nothing runs
    until the caller returns.
    """
    late = None
    for step, count in plan:
        state, metrics = run(key, state, held(count), np.int32(step), np.int32(count))
        if late:
            yield _fetched(*late)
        late = step + count, metrics, count
        if pause(step + count):
            yield *_fetched(*late)[:2], state
            late = None


def _fetched(step, metrics, count):
    return step, {name: rows[:count] for name, rows in jax.device_get(metrics).items()}, None
