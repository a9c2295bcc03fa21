"""Every type that crosses a folder, and nothing else.

A batch is global: an algorithm is written for the whole batch, whatever the number of devices; see
`parallel`.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
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
    """A function as a pytree, whose leaves are the arrays that it was given: none, unless it is a
    Partial already."""
    return function if isinstance(function, Partial) else Partial(function)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=['arrays', 'make_batch'],
    meta_fields=['fingerprint'],
)
@dataclasses.dataclass(frozen=True)
class Resident:
    """A training set that stays on the device: `train[step]` is computed inside the compiled loop.

    Attributes:
      arrays: pytree of the whole set.
      make_batch: (arrays, step) -> batch, pure and traceable. What it takes from a seed is a leaf
        of it (a Partial), so that all seeds run one compiled program.
      fingerprint: a digest of the data.
    """

    arrays: Any
    make_batch: Callable[[Any, jax.Array], Batch]
    fingerprint: str = ''

    def __post_init__(self):
        object.__setattr__(self, 'make_batch', as_pytree(self.make_batch))

    def __getitem__(self, step: int) -> Batch:
        return jax.jit(self.make_batch)(self.arrays, jnp.asarray(step, jnp.int32))


@dataclasses.dataclass(frozen=True)
class Streamed:
    """A training set that stays on the host and arrives batch by batch.

    Attributes:
      load: step -> raw numpy batch.
      stream: step -> endless iterator over load(step), load(step + 1), ..., which may read ahead.
      make_batch: (raw, step) -> batch, pure and traceable, runs on the device.
      fingerprint: a digest of the data.
      share: (i, n, step) -> a stream of the i-th of n equal parts of each batch, for one of n
        processes; None where each process has to read all of it.
    """

    load: Callable[[int], Any]
    stream: Callable[[int], Iterator[Any]]
    make_batch: Callable[[Any, jax.Array], Batch]
    fingerprint: str = ''
    share: Callable[[int, int, int], Iterator[Any]] | None = None

    def __post_init__(self):
        object.__setattr__(self, 'make_batch', as_pytree(self.make_batch))

    def __getitem__(self, step: int) -> Batch:
        return jax.jit(self.make_batch)(self.load(step), jnp.asarray(step, jnp.int32))


class Data(NamedTuple):
    train: Resident | Streamed | Any  # train[step] -> batch, a pure function of (seed, step)
    test: Sequence[Batch]  # host batches, all of one length but for the last, which may be shorter
    about: Mapping[str, Any] | None = None  # what the manifest of a run says of the set, as JSON


class Embedding(NamedTuple):
    """Words, or other names, with a vector each: what word models learn and files of word vectors
    hold."""

    words: Sequence[str]  # V different ones, commonly the most frequent first
    vectors: np.ndarray  # [V, D] float32
