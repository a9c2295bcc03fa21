"""The batches of a run as a compiled program wants them.

A feed is a set on the device (Resident) or on the host (Streamed). Either way the batch of a step
is made inside the program: `feed_args` gives it the function that makes a batch, and what that
reads.
"""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from genjax.base import Batch, Resident, Streamed
from genjax.training.mesh import (
    Mesh,
    process_shard,
    put,
    put_batch,
    put_process_shard,
    replicated,
    split,
)

Feed = Resident | Streamed


def as_feed(train: Any) -> Feed:
    """Anything with train[step] -> host batch, as a Streamed; Resident and Streamed as they are."""
    if isinstance(train, Feed):
        return train

    def stream(step):
        return map(train.__getitem__, itertools.count(step))

    return Streamed(train.__getitem__, stream, lambda raw, step: raw)


def first_batch(feed: Feed) -> Batch:
    """The batch of step 0, as one program."""
    return jax.jit(lambda make_batch, raw: make_batch(raw, np.int32(0)))(
        feed.make_batch, _first_raw(feed)
    )


def abstract_batch(feed: Feed, mesh: Mesh) -> Batch:
    """The shapes of a batch, without computing one.

    Raises:
      ValueError: its arrays differ in length, or the devices do not divide it.
    """
    batch = jax.eval_shape(feed.make_batch, _first_raw(feed), np.int32(0))
    lengths = {leaf.shape[0] for leaf in jax.tree.leaves(batch)}
    if len(lengths) != 1:
        raise ValueError(
            f'a batch has arrays of {sorted(lengths)} examples; all need the same number'
        )
    size = lengths.pop()
    if size % mesh.size:
        raise ValueError(f'batch is {size}, which the {mesh.size} devices do not divide')

    def shape(x):
        # Not of the mesh that may be set here: what is traced with it is found again anywhere.
        return x.update(sharding=None)

    return jax.tree.map(shape, batch)


def _first_raw(feed):
    return feed.arrays if isinstance(feed, Resident) else feed.load(0)


# (make_batch as a pytree, what it reads): the resident arrays, or host batches stacked, [count,
# ...]
FeedArgs = tuple[Callable, Any]


def abstract_args(feed: Feed, mesh: Mesh, steps_per_call: int) -> FeedArgs:
    """The shapes of what `feed_args` gives, with shardings, without moving anything.

    Args: as of `feed_args`.
    """

    make_batch, raw = jax.eval_shape(lambda *args: args, feed.make_batch, _first_raw(feed))

    def on_all_devices(x):
        return x.update(sharding=replicated(mesh))

    def stacked(x):
        return x.update(shape=(steps_per_call, *x.shape), sharding=split(mesh, axis=1))

    move = on_all_devices if isinstance(feed, Resident) else stacked
    return jax.tree.map(on_all_devices, make_batch), jax.tree.map(move, raw)


def feed_args(feed: Feed, mesh: Mesh, steps_per_call: int, start: int) -> Callable[[int], FeedArgs]:
    """The function count -> what the program is given for the next `count` steps.

    Args:
      feed: of the run.
      mesh: that batches are split over.
      steps_per_call: host batches are stacked to this number, so that one program serves all calls.
      start: the step of the first batch.
    """

    def on_all_devices(tree):
        return jax.tree.map(lambda x: put(x, replicated(mesh)), tree)

    make_batch = on_all_devices(feed.make_batch)
    if isinstance(feed, Resident):
        args = make_batch, on_all_devices(feed.arrays)
        return lambda count: args

    index, shards = process_shard(mesh)
    shared = shards > 1 and feed.share is not None
    batches = feed.share(index, shards, start) if shared else feed.stream(start)
    move = put_process_shard if shared else put_batch

    def stacked(count):
        rows = list(itertools.islice(batches, count))
        rows += rows[-1:] * (steps_per_call - count)  # the program does not read what is added
        raw = jax.tree.map(lambda *leaves: np.stack(leaves), *rows)
        return make_batch, move(mesh, raw, axis=1)

    return stacked
