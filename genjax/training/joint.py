"""The updates and the batches of several runs as one update and one feed.

Letters: n runs, B examples a batch.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from genjax.base import Algorithm, Key, Resident, Streamed
from genjax.parallel import shard_batch
from genjax.training.digest import digest
from genjax.training.feed import Feed
from genjax.training.mesh import Mesh


def joint(algorithm: Algorithm) -> Algorithm:
    """The update of n runs as one.

    Its states are [n, ...], and a batch is the pair (keys [n], batches [n, B, ...]).
    """

    def update(key, states, batch):
        del key  # each run has its own
        keys, batches = batch
        return jax.vmap(algorithm.update)(keys, states, batches)

    return Algorithm(algorithm.init, update, algorithm.evaluate)


def joint_feed(feeds: Sequence[Feed], keys: Sequence[Key], mesh: Mesh) -> Feed:
    """The keys of a step and the batches of all runs, stacked: ([n], [n, B, ...]).

    Runs are split over the devices where these divide their number, and each batch where they do
    not.

    Args:
      feeds: of each run, all Resident or all Streamed.
      keys: of the steps of each run.
      mesh: the devices.
    """
    runs_are_split = len(feeds) % mesh.size == 0
    fold_in = jax.vmap(jax.random.fold_in, (0, None))

    def stacked(keys, functions, sources, step):
        batches = []
        for make_batch, source in zip(functions, sources, strict=True):
            batch = make_batch(source, step)
            batches.append(batch if runs_are_split else shard_batch(batch))
        return fold_in(keys, step), jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)

    make_batches = Partial(stacked, jnp.stack(keys), [feed.make_batch for feed in feeds])
    if isinstance(feeds[0], Resident):
        return _joint_resident(feeds, make_batches)
    return _joint_streamed(feeds, make_batches)


def _joint_resident(feeds, make_batches):
    arrays, owner = distinct([feed.arrays for feed in feeds])

    def from_distinct(make_batches, arrays, step):
        return make_batches([arrays[i] for i in owner], step)

    return Resident(arrays, Partial(from_distinct, make_batches))


def _joint_streamed(feeds, make_batches):
    def load(step):
        return tuple(feed.load(step) for feed in feeds)

    def stream(step):
        return zip(*(feed.stream(step) for feed in feeds), strict=True)

    return Streamed(load, stream, make_batches)


def distinct(trees: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """The trees of arrays that differ from all earlier ones, and where among them each tree is
    found."""
    digests = [tuple(digest(tree).items()) for tree in trees]
    different = list(dict.fromkeys(digests))
    kept = [trees[digests.index(name)] for name in different]
    return kept, [different.index(name) for name in digests]
