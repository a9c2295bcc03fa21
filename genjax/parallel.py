"""One convention for many devices: an algorithm is written for the global batch.

Compiled by `jit` it sees the whole batch; compiled by `pmap` it sees one device's share. The
functions here are all that an algorithm needs to mean the same in both: noise by `example_keys`,
averages by `device_mean`.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from genjax.base import Batch, Key

AXIS = (
    'data'  # the axis that batches are split over: of the mesh under jit, the mapped one under pmap
)


# (k, K): what is being traced sees the k-th of K microbatches, and k is traced.
_MICROBATCH: ContextVar[tuple[jax.Array, int] | None] = ContextVar('microbatch', default=None)


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
    microbatch = _MICROBATCH.get()
    if microbatch is not None:
        k, parts = microbatch
        with _in_microbatch(None):
            place, total = example_places(n * parts)
        return place[k + parts * jnp.arange(n)], total
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


def split_batch(batch: Batch, parts: int) -> Batch:
    """The examples at hand in K equal parts, [K, B / K, ...]: the k-th has the rows k, k + K, ...

    So each device keeps its own rows, whatever part they belong to.

    Raises:
      ValueError: K does not divide B.
    """
    n = batch_length(batch)
    if n % parts:
        raise ValueError(f'microbatches is {parts}, which does not divide a batch of {n}')

    def split(x):
        return x.reshape(n // parts, parts, *x.shape[1:]).swapaxes(0, 1)

    return jax.tree.map(split, batch)


@contextlib.contextmanager
def in_microbatch(k: jax.Array, parts: int) -> Iterator[None]:
    """While it is traced, the examples at hand are those of the k-th of K parts, see `split_batch`.

    Within, `example_places` and `example_keys` give them their places in the whole batch. A
    function that is compiled by itself in there, by a jax.jit of its own, would not be traced again
    for this, and must not ask for them.
    """
    with _in_microbatch((k, parts)):
        yield


@contextlib.contextmanager
def _in_microbatch(microbatch):
    token = _MICROBATCH.set(microbatch)
    try:
        yield
    finally:
        _MICROBATCH.reset(token)


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


def by_shares(function: Callable[..., tuple[Any, Any]], *batch: Any) -> tuple[Any, Any]:
    """A function of a batch on each device's own share of it, so that sums alone are exchanged.

    The compiler would add up a loop's sums over the devices at every turn. It is for sums of
    examples and for what each example, or each share, has of its own: the function sees no other
    share. Where the batch is at hand in one piece, and under pmap, it is the function itself.

    Args:
      function: (*batch) -> (sums, values), trees of arrays; values have a leading axis.
      batch: trees of arrays whose leading axis is split over the devices.

    Returns:
      The sums, under jit of all shares; and the values, of one share after another.
    """
    count = share_count(batch_length(batch))
    if count == 1:
        return function(*batch)

    split = PartitionSpec(jax.sharding.get_abstract_mesh().axis_names)

    def to_shares(x):
        shares = x.reshape(count, -1, *x.shape[1:])
        return jax.lax.with_sharding_constraint(shares, split)

    def in_order(x):
        return x.reshape(-1, *x.shape[2:])

    sums, values = jax.vmap(function)(*jax.tree.map(to_shares, batch))
    return jax.tree.map(lambda x: jnp.sum(x, 0), sums), jax.tree.map(in_order, values)


def share_count(n: int) -> int:
    """Over how many devices the n examples at hand are split: 1 where they are in one piece, under
    pmap, and where the number of devices does not divide them."""
    mesh = jax.sharding.get_abstract_mesh()
    whole = mesh.empty or mesh.size == 1 or mesh.are_all_axes_manual
    return 1 if under_pmap() or whole or n % mesh.size else mesh.size


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
