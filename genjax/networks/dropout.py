"""Dropout whose random bits are a hash of the place: Srivastava et al. 2014, JMLR 15.

JAX's own generator takes some thirty operations for sixteen bits and writes them to memory before
they are used. A hash of the key and the place takes half as many, and is computed where it is used,
forwards and again backwards, so that nothing but the result is written.

Shapes: B examples.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

from genjax.base import Key
from genjax.parallel import example_keys


def dropout(key: Key, x: Array, rate: float) -> Array:
    """Sets a share of x [B, ...] to zero and scales the rest to keep the mean.

    Args:
      key: consumed.
      x: [B, ...].
      rate: the share, in [0, 1), rounded to a multiple of 2^-32.

    Returns:
      [B, ...].
    """
    return drop(example_keys(key, len(x)), x, rate)


def drop(keys: Key, x: Array, rate: float) -> Array:
    """The same with a key for each example, [B]."""
    threshold = min(round(rate * 2**32), 2**32 - 1)
    mask = hashed_bits(keys, x.shape[1:]) >= jnp.uint32(threshold)
    return jnp.where(mask, x * (2**32 / (2**32 - threshold)), 0)


def hashed_bits(keys: Key, shape: tuple[int, ...]) -> Array:
    """Random bits that depend on a key and the place alone, uint32 [B, *shape].

    The place is mixed with the words of the key, one after the other.

    Args:
      keys: [B].
      shape: of an example, of fewer than 2^32 numbers.
    """
    words = jax.random.key_data(keys)  # [B, words]
    place = jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape(1, *shape)
    bits = jnp.broadcast_to(place, (len(words), *shape))
    for word in words.T:
        bits = _mix(bits ^ word.reshape(-1, *[1] * len(shape)))
    return bits


def _mix(bits):
    """The last step of MurmurHash3 (Appleby 2011): a bijection of uint32.

    Each bit of the result changes with each bit of the argument in nearly half of the cases.
    """
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x85EBCA6B)
    bits = (bits ^ (bits >> 13)) * jnp.uint32(0xC2B2AE35)
    return bits ^ (bits >> 16)
