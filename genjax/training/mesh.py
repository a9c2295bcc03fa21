"""Devices: the mesh, where each part of a state lives on it, and the two ways to compile for it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from genjax.parallel import AXIS

MODEL_AXIS = 'model'

Rules = Sequence[tuple[str, PartitionSpec]]


def make_mesh(devices: Sequence[jax.Device] | None = None, *, model: int = 1) -> Mesh:
    """All devices in one row named 'data', or in rows of `model` devices.

    Over a row of `model` devices rules may split parameters. Batches are split over every device
    either way (fully sharded data parallelism where `model` > 1).

    Args:
      devices: default, all of them.
      model: devices in a row.

    Raises:
      ValueError: the number of devices is no multiple of `model`.
    """
    devices = jax.devices() if devices is None else devices
    if model < 1 or len(devices) % model:
        raise ValueError(f'model={model} does not divide the {len(devices)} devices')
    if model == 1:
        shape, names = (len(devices),), (AXIS,)
    else:
        shape, names = (len(devices) // model, model), (AXIS, MODEL_AXIS)
    types = tuple(AxisType.Auto for _ in shape)
    return jax.make_mesh(shape, names, axis_types=types, devices=devices)


def placement(mesh: Mesh, rules: Rules, tree: Any) -> Any:
    """The sharding of every leaf of a state: the first rule whose suffix ends the leaf's path.

    A leaf without a rule is copied to each device. An axis that the mesh lacks splits nothing, so
    an experiment's rules suit every mesh. A suffix is made of whole path components, as
    'Dense_0/kernel'. Optimiser moments and averages end in the same path as their parameter and so
    are split alike.

    Raises:
      ValueError: a rule does not fit the shape of a leaf that it names.
    """
    return jax.tree_util.tree_map_with_path(partial(_place, mesh, rules), tree)


def _place(mesh, rules, path, leaf):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    matching = (spec for suffix, spec in rules if f'/{name}'.endswith(f'/{suffix}'))
    spec = next(matching, PartitionSpec())
    known = PartitionSpec(*(axis if axis in mesh.axis_names else None for axis in spec))
    sharding = NamedSharding(mesh, known)
    try:
        sharding.shard_shape(leaf.shape)
    except (ValueError, IndexError):
        where = f'{name} of shape {leaf.shape} on {dict(mesh.shape)}'
        raise ValueError(f'rule {spec} does not fit {where}') from None
    return sharding


def replicated(mesh: Mesh) -> NamedSharding:
    """A copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def is_coordinator() -> bool:
    """Whether this is the first of the processes that train together, the one that reports."""
    return jax.process_index() == 0


def put(x: Any, sharding: NamedSharding) -> jax.Array:
    """Moves an array that every process holds whole to the devices.

    Each process moves what its own devices need.
    """
    if sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        data = put(jax.random.key_data(x), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def put_batch(mesh: Mesh, batch: Any, axis: int = 0) -> Any:
    """Moves a global host batch to the devices, split over all of them along `axis`."""
    return jax.tree.map(lambda x: put(x, split(mesh, axis)), batch)


def process_shard(mesh: Mesh) -> tuple[int, int]:
    """(i, n): of n equal parts of a batch, one a process, this process has the i-th.

    It is (0, 1), the whole, where the processes' devices do not lie in rows of one length.
    """
    owners = [device.process_index for device in mesh.devices.flat]
    ranks = list(dict.fromkeys(owners))
    devices_each = len(owners) // len(ranks)
    in_rows = owners == [rank for rank in ranks for _ in range(devices_each)]
    return (ranks.index(jax.process_index()), len(ranks)) if in_rows else (0, 1)


def put_process_shard(mesh: Mesh, rows: Any, axis: int = 0) -> Any:
    """`put_batch` where each process holds the part of the batch that `process_shard` says."""
    _, shards = process_shard(mesh)

    def put_leaf(x):
        shape = list(x.shape)
        shape[axis] *= shards
        return jax.make_array_from_process_local_data(split(mesh, axis), x, tuple(shape))

    return jax.tree.map(put_leaf, rows)


def split(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """A batch whose examples, along `axis`, are split over all devices."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, mesh.axis_names))


def to_local_device(tree: Any, mesh: Mesh) -> Any:
    """Copies of global arrays on one device of each process."""
    copies = jax.jit(lambda tree: tree, out_shardings=replicated(mesh))(tree)
    return jax.tree.map(lambda x: x.addressable_data(0), copies)


def broadcast_from_coordinator(number: float) -> float:
    """The coordinator's number, in all processes."""
    if jax.process_count() == 1:
        return number
    return float(multihost_utils.broadcast_one_to_all(np.float32(number)))


# (run, mesh, shardings of the state) -> run compiled, its state donated; run(key, state, args,
# step, count) -> (state, metrics), as `fold_steps` gives it.
Compile = Callable[[Callable, Mesh, Any], Callable]


def by_jit(run: Callable, mesh: Mesh, shardings: Any) -> Callable:
    """One program over global arrays, which the compiler partitions."""
    return jax.jit(run, donate_argnums=1, out_shardings=(shardings, replicated(mesh)))


def by_pmap(run: Callable, mesh: Mesh, shardings: Any) -> Callable:
    """The same function once a device, on that device's share of the batch; states are whole on
    each.

    Raises:
      ValueError: the mesh has a second axis, which pmap cannot split parameters over, or devices of
        other processes.
    """
    del shardings
    if jax.process_count() > 1:
        raise ValueError(
            f'pmap runs in one process, and these are {jax.process_count()}; jit runs in all'
        )
    if mesh.axis_names != (AXIS,):
        raise ValueError(f'pmap needs a mesh with the one axis {AXIS!r}, not {mesh.axis_names}')

    def on_device(index, *args):
        del index  # pmap wants one mapped argument
        return run(*args)

    compiled = jax.pmap(
        on_device,
        axis_name=AXIS,
        in_axes=(0, None, None, None, None, None),
        out_axes=None,
        devices=list(mesh.devices.flat),
        donate_argnums=2,
    )
    index = np.arange(mesh.size, dtype=np.int32)

    def call(key, state, args, *steps):
        # Every device receives the whole batch and takes its share.
        return compiled(index, key, state, jax.device_put(args, replicated(mesh)), *steps)

    return call
