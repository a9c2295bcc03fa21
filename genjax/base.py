"""Every type that crosses a folder, and the one convention that goes with them: a batch is global.

An algorithm is written for the whole batch, whatever the number of devices. Compiled by `jit` that is what it
sees; compiled by `pmap` it sees one device's share. The functions at the end of this file are all that an
algorithm needs to mean the same in both: noise by `example_keys`, averages by `device_mean`.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jax.tree_util import Partial

Key = jax.Array  # a typed key, jax.random.key
Batch = Any  # pytree of arrays, leading axis B
State = Any  # pytree; only the algorithm that made it looks inside
Metrics = dict[str, jax.Array]


class Algorithm(NamedTuple):
    """How a state begins and how one batch changes it; a None says that no such map is defined."""

    init: Callable[[Key, Batch], State]  # an example batch supplies shapes
    update: Callable[[Key, State, Batch], tuple[State, Metrics]]  # metrics are scalars
    evaluate: Callable[[Key, State, Batch], Metrics]  # one value per example, [B]
    sample: Callable[[Key, State, int], Any] | None = None  # a generative model: n draws
    encode: Callable[[Key, State, Batch], Any] | None = None  # a representation: [B, ...]
    decode: Callable[[Key, State, Any], Any] | None = None  # back from a code


def as_pytree(function: Callable) -> Partial:
    """A function as a pytree, whose leaves are the arrays that it was given: none, unless it is such a one already."""
    return function if isinstance(function, Partial) else Partial(function)


def seeded(function: Callable, seed: int, *given: Any) -> Partial:
    """function(seed, *given, ...) as a pytree whose leaves are seed and given: all seeds run one compiled program.

    Raises:
      ValueError: the seed lies outside 0 to 2^32 - 1.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f'seed is {seed}; it takes 0 to {2**32 - 1}')
    return Partial(function, np.uint32(seed), *given)


@partial(jax.tree_util.register_dataclass, data_fields=['held', 'batch'], meta_fields=['fingerprint'])
@dataclasses.dataclass(frozen=True)
class Resident:
    """A training set that stays on the device: `train[step]` is computed inside the compiled loop.

    held: the arrays. batch: (held, step) -> batch, pure and traceable; what follows from a seed is `seeded`.
    fingerprint: a digest of the data.
    """

    held: Any
    batch: Callable[[Any, jax.Array], Batch]
    fingerprint: str = ''

    def __post_init__(self):
        object.__setattr__(self, 'batch', as_pytree(self.batch))

    def __getitem__(self, step: int) -> Batch:
        return jax.jit(self.batch)(self.held, jnp.asarray(step, jnp.int32))


@dataclasses.dataclass(frozen=True)
class Streamed:
    """A training set that stays on the host and arrives batch by batch.

    load: step -> raw numpy batch. stream: step -> endless iterator over load(step), load(step + 1), ..., which
    may read ahead. batch: (raw, step) -> batch, pure and traceable, runs on the device. fingerprint: a digest. share:
    (i, n, step) -> a stream of the i-th of n equal parts of each batch, for one of n processes; None where each has to
    read all.
    """

    load: Callable[[int], Any]
    stream: Callable[[int], Iterator[Any]]
    batch: Callable[[Any, jax.Array], Batch]
    fingerprint: str = ''
    share: Callable[[int, int, int], Iterator[Any]] | None = None

    def __post_init__(self):
        object.__setattr__(self, 'batch', as_pytree(self.batch))

    def __getitem__(self, step: int) -> Batch:
        return jax.jit(self.batch)(self.load(step), jnp.asarray(step, jnp.int32))


class Data(NamedTuple):
    train: Resident | Streamed | Any  # train[step] -> batch, a pure function of (seed, step)
    test: Sequence[Batch]  # host batches, all of one length but for the last, which may be shorter


class Embedding(NamedTuple):
    """Words, or other names, with a vector each: what word models learn and files of word vectors hold."""

    words: Sequence[str]  # V different ones, commonly the most frequent first
    vectors: np.ndarray  # [V, D] float32


AXIS = 'data'  # the axis that batches are split over: of the mesh under jit, the mapped one under pmap


def mapped() -> bool:
    """Whether this is being traced for one device's share of the batch (pmap), not for the whole (jit)."""
    try:
        jax.lax.axis_index(AXIS)
    except NameError:
        return False
    return True


def device_mean(tree: Any) -> Any:
    """The mean over the devices' shares of the batch under pmap; the identity elsewhere."""
    return jax.lax.pmean(tree, AXIS) if mapped() else tree


def device_max(x: jax.Array) -> jax.Array:
    """The largest over the devices' shares of the batch under pmap; the identity elsewhere."""
    return jax.lax.pmax(x, AXIS) if mapped() else x


def example_keys(key: Key, n: int) -> Key:
    """One key for each of the n examples at hand, [n].

    An example's key depends on its place in the global batch alone, never on the number of devices.
    """
    first = jax.lax.axis_index(AXIS) * n if mapped() else 0
    return jax.vmap(jax.random.fold_in, (None, 0))(key, first + jnp.arange(n))


def spread(batch: Batch) -> Batch:
    """Splits the leading axis over the devices: the global batch in, this program's share of it out.

    Under jit the share is the whole batch with a sharding (none without a mesh, or if the axis does not
    divide); under pmap it is the device's own slice.
    """
    if mapped():
        devices, index = jax.lax.axis_size(AXIS), jax.lax.axis_index(AXIS)
        share = lambda x: jax.lax.dynamic_slice_in_dim(x, index * (len(x) // devices), len(x) // devices)
    else:
        mesh = jax.sharding.get_abstract_mesh()
        split = PartitionSpec(mesh.axis_names)
        whole = lambda x: mesh.empty or len(x) % mesh.size
        share = lambda x: x if whole(x) else jax.lax.with_sharding_constraint(x, split)
    return jax.tree.map(share, batch)


def collect(batch: Batch) -> Batch:
    """The inverse of `spread`: whatever share this program has, the leading axis whole on every device."""
    if mapped():
        return jax.tree.map(lambda x: jax.lax.all_gather(x, AXIS, tiled=True), batch)
    if jax.sharding.get_abstract_mesh().empty:
        return batch
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, PartitionSpec()), batch)


def length(batch: Batch) -> int:
    """How many examples there are, B."""
    return len(jax.tree.leaves(batch)[0])


def padded(batch: Batch, first: Batch, devices: int = 1) -> Batch:
    """Repeats the last example of a host batch up to the length of the first, and that to a multiple of the devices, so
    that one program serves them all."""
    rows = -(-length(first) // devices) * devices - length(batch)
    return jax.tree.map(lambda x: np.concatenate([x, np.repeat(x[-1:], rows, axis=0)]), batch)
