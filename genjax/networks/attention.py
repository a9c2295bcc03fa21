"""Attention: Vaswani et al. 2017, arXiv:1706.03762, with rotary places, Su et al. 2021,
arXiv:2104.09864.

Letters: B examples, N queries, M keys, C channels.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.networks.group_norm import wide_dtype


def attend(
    query: jax.Array, key: jax.Array, value: jax.Array, heads: int, mask: jax.Array | None = None
) -> jax.Array:
    """softmax(query key^T / sqrt(C / heads)) value, each head on its own share of the channels.

    The softmax is float32, or float64 where the query is.

    Source: Vaswani et al. 2017, equation 1.

    Args:
      query: [B, N, C].
      key, value: [B, M, C].
      heads: each has C / heads channels, next to each other.
      mask: bool [N, M], which keys each query sees, one at the least; None: all.

    Returns:
      [B, N, C].

    Raises:
      ValueError: the heads do not divide the channels.
    """
    B, N, C = query.shape
    if heads < 1 or C % heads:
        raise ValueError(f'heads is {heads}; they must divide the {C} channels')

    def by_head(x):  # [B, N, C] -> [B heads, N, C / heads]
        n = x.shape[1]
        return x.reshape(B, n, heads, -1).swapaxes(1, 2).reshape(B * heads, n, -1)

    query = by_head(query)
    key = by_head(key)
    value = by_head(value)
    wide = wide_dtype(query.dtype)
    logits = jnp.einsum('bqc,bkc->bqk', query, key, preferred_element_type=wide)
    logits = logits / math.sqrt(C // heads)
    if mask is not None:
        logits = jnp.where(mask[None], logits, -jnp.inf)
    weights = nn.softmax(logits).astype(value.dtype)
    h = jnp.einsum('bqk,bkc->bqc', weights, value)
    return h.reshape(B, heads, N, -1).swapaxes(1, 2).reshape(B, N, C)


def rotate(x: jax.Array, places: jax.Array, heads: int) -> jax.Array:
    """x with its pairs of channels turned by angles that grow with the place.

    The product of a query and a key so turned depends on the difference of their places alone. In
    a head of D channels, j and j + D / 2 are a pair, turned by place 10000^(-2 j / D).

    Source: Su et al. 2021, section 3.2.

    Args:
      x: [B, N, C].
      places: int32 [N].
      heads: that share the channels.

    Raises:
      ValueError: a head has an odd number of channels.
    """
    B, N, C = x.shape
    if C % (2 * heads):
        raise ValueError(f'{heads} heads share {C} channels; each needs an even number of them')
    half = C // heads // 2
    wide = wide_dtype(x.dtype)
    frequencies = jnp.exp(jnp.arange(half, dtype=wide) * (-math.log(10_000) / half))
    angles = places.astype(wide)[:, None] * frequencies[None]
    cos = jnp.cos(angles)[None, :, None]
    sin = jnp.sin(angles)[None, :, None]
    first, second = jnp.split(x.astype(wide).reshape(B, N, heads, 2 * half), 2, -1)
    turned = jnp.concatenate([first * cos - second * sin, first * sin + second * cos], -1)
    return turned.reshape(B, N, C).astype(x.dtype)
