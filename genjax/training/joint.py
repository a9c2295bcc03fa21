"""The updates and the batches of several runs as one update and one feed. Letters: n runs, B
examples a batch."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from genjax.base import Algorithm, Key, Resident, Streamed
from genjax.parallel import shard_batch
from genjax.training.digest import digest
from genjax.training.mesh import Mesh


def joint(algorithm: Algorithm) -> Algorithm:
    """The update of n runs as one: states [n, ...], and for a batch the pair (keys [n], batches [n,
    B, ...])."""

    def update(key, states, batch):
        del key  # each run has its own
        keys, batches = batch
        return jax.vmap(algorithm.update)(keys, states, batches)

    return Algorithm(algorithm.init, update, algorithm.evaluate)


def joint_feed(
    feeds: Sequence[Resident | Streamed], keys: Sequence[Key], mesh: Mesh
) -> Resident | Streamed:
    """The keys of a step and the batches of all runs, stacked: ([n], [n, B, ...]).

    Runs are split over the devices where these divide their number, and each batch where they do
    not.
    """
    share = shard_batch if len(feeds) % mesh.size else lambda batch: batch
    fold_in = jax.vmap(jax.random.fold_in, (0, None))

    def stacked(keys, draws, helds, step):
        batches = [share(draw(held, step)) for draw, held in zip(draws, helds, strict=True)]
        return fold_in(keys, step), jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)

    batch = Partial(stacked, jnp.stack(keys), [feed.make_batch for feed in feeds])
    if isinstance(feeds[0], Resident):
        held, owner = distinct([feed.arrays for feed in feeds])
        whole = lambda batch, held, step: batch([held[i] for i in owner], step)
        return Resident(held, Partial(whole, batch))
    load = lambda step: tuple(feed.load(step) for feed in feeds)
    return Streamed(
        load, lambda step: zip(*(feed.stream(step) for feed in feeds), strict=True), batch
    )


def distinct(trees: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """The trees of arrays without those that are equal to an earlier one, and where in that list
    each is found."""
    names = [tuple(digest(tree).items()) for tree in trees]
    kept = list(dict.fromkeys(names))
    return [trees[names.index(name)] for name in kept], [kept.index(name) for name in names]
