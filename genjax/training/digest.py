"""A digest of every array of a tree, so that whatever changes can be named."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils


def digest(tree: Any) -> dict[str, str]:
    """{path: 'float32 [3, 4] 2cf0...'} of every leaf: its dtype, its shape and a hash of its bytes.

    Values alone count, not how devices share them. What is spread over several processes is
    gathered, so all of them have to ask at once.
    """
    arrays = jax.device_get([_plain(leaf) for leaf in jax.tree.leaves(tree)])
    with ThreadPoolExecutor() as pool:  # hashing lets go of the interpreter's lock
        hashes = list(pool.map(_hash, arrays))
    named_kinds = kinds(tree).items()
    return {name: f'{kind} {own}' for (name, kind), own in zip(named_kinds, hashes, strict=True)}


def kinds(tree: Any) -> dict[str, str]:
    """{path: 'float32 [3, 4]'} of every leaf, which may be abstract."""
    named = {}
    for path, leaf in jax.tree.leaves_with_path(tree):
        name = jax.tree_util.keystr(path, simple=True, separator='/')
        named[name] = f'{leaf.dtype} {list(leaf.shape)}'
    return named


def _plain(x):
    """An array of numbers that this process can fetch."""
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    here = not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated
    return x if here else multihost_utils.process_allgather(x, tiled=True)


def _hash(x):
    plain = np.ascontiguousarray(x).reshape(-1).view(np.uint8)  # bfloat16 has no buffer of its own
    return hashlib.blake2b(plain.data, digest_size=16).hexdigest()
