"""Images at twice or half their resolution.

Shapes: B examples, H rows, W columns, C channels.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax


class Resampling(NamedTuple):
    """A filter as it halves and as it doubles both sides.

    Attributes:
      down: [B, H, W, C] -> [B, H/2, W/2, C].
      up: [B, H, W, C] -> [B, 2 H, 2 W, C].
    """

    down: Callable[[Array], Array]
    up: Callable[[Array], Array]


def upsample_nearest(x: Array) -> Array:
    """Repeats each pixel of x [B, H, W, C] along both axes, [B, 2 H, 2 W, C]."""
    B, H, W, C = x.shape
    pixels = x[:, :, None, :, None]
    return jnp.broadcast_to(pixels, (B, H, 2, W, 2, C)).reshape(B, 2 * H, 2 * W, C)


def downsample_mean(x: Array) -> Array:
    """The means of 2 x 2 pixels, [B, H, W, C] -> [B, H/2, W/2, C]."""
    B, H, W, C = x.shape
    return jnp.mean(x.reshape(B, H // 2, 2, W // 2, 2, C), (2, 4))


def upsample_bilinear(x: Array) -> Array:
    """Doubles both sides by the filter (1, 3, 3, 1) / 4, [B, H, W, C] -> [B, 2 H, 2 W, C]."""
    for axis in (1, 2):
        previous, following = _neighbours(x, axis)
        even = 0.75 * x + 0.25 * previous
        odd = 0.75 * x + 0.25 * following
        pairs = jnp.stack([even, odd], axis + 1)
        x = pairs.reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
    return x


def downsample_bilinear(x: Array) -> Array:
    """Halves both sides by the filter (1, 3, 3, 1) / 8, [B, H, W, C] -> [B, H/2, W/2, C]."""
    for axis in (1, 2):
        pairs = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
        even = lax.index_in_dim(pairs, 0, axis + 1, keepdims=False)
        odd = lax.index_in_dim(pairs, 1, axis + 1, keepdims=False)
        before_even, _ = _neighbours(odd, axis)
        _, after_odd = _neighbours(even, axis)
        x = 0.375 * (even + odd) + 0.125 * (before_even + after_odd)
    return x


def _neighbours(x, axis):
    """The previous and the following pixel of each along an axis, with zeros beyond the ends."""
    n = x.shape[axis]
    zero = jnp.zeros_like(lax.slice_in_dim(x, 0, 1, axis=axis))
    previous = jnp.concatenate([zero, lax.slice_in_dim(x, 0, n - 1, axis=axis)], axis)
    following = jnp.concatenate([lax.slice_in_dim(x, 1, n, axis=axis), zero], axis)
    return previous, following


box = Resampling(downsample_mean, upsample_nearest)  # the filter (1, 1)
bilinear = Resampling(downsample_bilinear, upsample_bilinear)  # the filter (1, 3, 3, 1)
