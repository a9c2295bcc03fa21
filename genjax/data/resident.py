"""Training sets that stay on the device: the batch of a step is a pure function of (seed, step).

Letters: N examples, B examples a batch.
"""

import dataclasses
import hashlib
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.tree_util import Partial

from genjax.base import Batch, Data, Key, Resident, as_pytree
from genjax.data.batches import require_batch

# Four would do for large sets (Luby and Rackoff 1988); sets of a few examples need these many.
ROUNDS = 16

# Folded into key(seed). A trainer's steps lie below 2**31, its own keys at the end of uint32.
ORDER = 2**31 + 1


def seeded(function: Callable, seed: int, *arguments: Any) -> Partial:
    """The function (*rest) -> function(seed, *arguments, *rest), as a pytree.

    Its leaves are the seed and the arguments, so that all seeds run one compiled program.

    Raises:
      ValueError: the seed lies outside 0 to 2^32 - 1.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f'seed is {seed}; it takes 0 to {2**32 - 1}')
    return Partial(function, np.uint32(seed), *arguments)


def resident(
    arrays: Any,
    *,
    batch: int,
    seed: int,
    transform: Callable[[Any, Array], Batch] = lambda rows, step: rows,
) -> Resident:
    """Puts arrays on the device and serves shuffled batches of their rows.

    Every epoch of N // batch steps visits that many distinct batches of examples in an order of its
    own; the N % batch examples left over are another random subset each epoch.

    Args:
      arrays: pytree of arrays that share their leading axis, [N, ...]; kept in their own dtypes.
      batch: B, the number of examples in the global batch.
      seed: seed of the order, 0 to 2^32 - 1.
      transform: (rows, step) -> batch, pure and traceable, of rows [B, ...] in the structure of
        arrays.

    Raises:
      ValueError: the leading axes differ, batch lies outside 1 to N, or the seed is out of range.
    """
    lengths = {len(x) for x in jax.tree.leaves(arrays)}
    if len(lengths) != 1:
        raise ValueError(f'arrays have {sorted(lengths)} rows; they must share one number')
    (n,) = lengths
    require_batch(batch, n)

    def make_batch(seed: Array, transform: Callable, arrays: Any, step: Array) -> Batch:
        key = jax.random.fold_in(jax.random.key(seed), ORDER)
        rows = epoch_rows(key, n, batch, step)
        return transform(jax.tree.map(lambda x: x[rows], arrays), step)

    # Not jnp.asarray, whose result would belong to the mesh that a probe makes its data under.
    on_device = jax.tree.map(jax.device_put, arrays)
    return Resident(on_device, seeded(make_batch, seed, as_pytree(transform)), fingerprint(arrays))


def epoch_rows(key: Key, n: int, batch: int, step: Array) -> Array:
    """The rows of a step's batch: its section of the permutation of its epoch.

    The step is divided before it is multiplied, so that nothing exceeds n, however long the run.

    Args:
      key: key of the order.
      n: N.
      batch: B.
      step: number of the step, a scalar.

    Returns:
      int32 [B] in [0, N).
    """
    epoch, place = jnp.divmod(jnp.asarray(step, jnp.int32), n // batch)
    epoch_key = jax.random.fold_in(key, epoch)
    return permutation(epoch_key, n, place * batch + jnp.arange(batch))


@partial(jax.jit, static_argnums=1)  # so that its two hundred operations are traced once a process
def permutation(key: Key, n: int, index: Array) -> Array:
    """Where a random permutation of range(n) sends each index, without a table.

    A Feistel network on pairs (left, right) of radix a and b, close to sqrt(n) with a b >= n. An
    image outside range(n) goes through the network again until it falls inside, which keeps the map
    a bijection and happens to less than one index in sqrt(n).

    Args:
      key: key of the permutation.
      n: size of the permuted range, below 2**31.
      index: integers in [0, n), of any shape.

    Returns:
      int32 in [0, n), shaped as index.

    Source: Black and Rogaway 2002, "Ciphers with arbitrary finite domains", sections 4 (cycle
      walking) and 5 (generalised Feistel, alternating radices).
    """
    a = math.isqrt(n - 1) + 1
    b = -(-n // a)
    round_keys = jax.random.bits(key, (ROUNDS,), jnp.uint32)

    def network(x):
        left, right = x // b, x % b
        for i in range(ROUNDS):
            radix = b if i % 2 else a
            new = (left + _mix_bits(right ^ round_keys[i]) % radix) % radix
            left, right = right, new
        return left * b + right

    def any_outside(carry):
        _, outside = carry
        return jnp.any(outside)

    def walk(carry):
        x, outside = carry
        x = jnp.where(outside, network(x), x)
        return x, x >= n

    index = jnp.asarray(index, jnp.uint32)
    everywhere = jnp.ones(index.shape, bool)  # every index goes through the network once at least
    image, _ = jax.lax.while_loop(any_outside, walk, (index, everywhere))
    return image.astype(jnp.int32)


def _mix_bits(x: Array) -> Array:
    """Makes each bit of a uint32 depend on all: the finaliser of MurmurHash3 (Appleby 2011)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def fingerprint(arrays: Any) -> str:
    """Sixteen hex digits of the sha256 of the arrays' names, dtypes, shapes and bytes."""
    digest = hashlib.sha256()
    for path, x in jax.tree_util.tree_leaves_with_path(arrays):
        x = np.ascontiguousarray(x)
        digest.update(f'{jax.tree_util.keystr(path)} {x.dtype} {x.shape} '.encode())
        digest.update(x.data)
    return digest.hexdigest()[:16]


def with_fingerprints(data: Data, *others: str) -> Data:
    """The same set, whose fingerprint covers more than the training examples.

    Args:
      data: the set.
      others: fingerprints of what else a run's numbers depend on, such as the test examples.
    """
    joined = ' '.join([data.train.fingerprint, *others])
    digest = hashlib.sha256(joined.encode()).hexdigest()
    return data._replace(train=dataclasses.replace(data.train, fingerprint=digest[:16]))
