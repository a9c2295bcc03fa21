"""One convention for many devices: an algorithm is written for the global batch.

Compiled by `jit` it sees the whole batch; compiled by `pmap` it sees one device's share. The
functions here are all that an algorithm needs to mean the same in both: noise by `example_keys`,
averages by `device_mean`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from genjax.base import Batch, Key

AXIS = (
    'data'  # the axis that batches are split over: of the mesh under jit, the mapped one under pmap
)


def under_pmap() -> bool:
    """Whether this is being traced for one device's share of the batch (pmap), not for the whole
    (jit)."""
    try:
        jax.lax.axis_index(AXIS)
    except NameError:
        return False
    return True


def device_mean(tree: Any) -> Any:
    """The mean over the devices' shares of the batch under pmap; the identity elsewhere."""
    return jax.lax.pmean(tree, AXIS) if under_pmap() else tree


def device_max(x: jax.Array) -> jax.Array:
    """The largest over the devices' shares of the batch under pmap; the identity elsewhere."""
    return jax.lax.pmax(x, AXIS) if under_pmap() else x


def example_places(n: int) -> tuple[jax.Array, int]:
    """The places of the n examples at hand in the global batch, [n], and the length of that."""
    if under_pmap():
        first = jax.lax.axis_index(AXIS) * n
        return first + jnp.arange(n), n * jax.lax.axis_size(AXIS)
    return jnp.arange(n), n


def example_keys(key: Key, n: int) -> Key:
    """One key for each of the n examples at hand, [n].

    An example's key depends on its place in the global batch alone, never on the number of devices.
    """
    place, _ = example_places(n)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, place)


def shard_batch(batch: Batch) -> Batch:
    """Splits the leading axis over the devices: the global batch in, this program's share of it
    out.

    Under jit the share is the whole batch with a sharding (none without a mesh, or if the axis does
    not divide); under pmap it is the device's own slice.
    """
    if under_pmap():
        devices = jax.lax.axis_size(AXIS)
        index = jax.lax.axis_index(AXIS)

        def share(x):
            rows = len(x) // devices
            return jax.lax.dynamic_slice_in_dim(x, index * rows, rows)
    else:
        mesh = jax.sharding.get_abstract_mesh()
        split = PartitionSpec(mesh.axis_names)
        whole = mesh.empty or mesh.are_all_axes_manual  # within a shard_map the share is at hand

        def share(x):
            if whole or len(x) % mesh.size:
                return x
            return jax.lax.with_sharding_constraint(x, split)

    return jax.tree.map(share, batch)


def all_gather(batch: Batch) -> Batch:
    """The inverse of `shard_batch`: whatever share this program has, the leading axis whole on
    every device."""
    if under_pmap():
        return jax.tree.map(lambda x: jax.lax.all_gather(x, AXIS, tiled=True), batch)
    if jax.sharding.get_abstract_mesh().empty:
        return batch
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, PartitionSpec()), batch)


def batch_length(batch: Batch) -> int:
    """How many examples there are, B."""
    return len(jax.tree.leaves(batch)[0])


def pad_batch(batch: Batch, first: Batch, devices: int = 1) -> Batch:
    """Repeats the last example of a host batch up to the length of the first, so that one program
    serves them all.

    Args:
      batch: arrays [B, ...].
      first: the longest of the batches.
      devices: the padded length is a multiple of their number.
    """
    target = -(-batch_length(first) // devices) * devices
    missing = target - batch_length(batch)
    return jax.tree.map(lambda x: np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]), batch)
