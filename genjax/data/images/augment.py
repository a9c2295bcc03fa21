"""Differentiable augmentation, DiffAugment of Zhao et al. 2020, arXiv:2006.10738, section 4.1.

Each function takes one image in [-1, 1], whose nought is mid grey, and a key; `jax.vmap` with a key
for each example augments a batch. Shapes are static and gradients flow to the image. Results may
leave [-1, 1], as in the paper.

Letters: H x W pixels, C channels.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from genjax.base import Key

Augment = Callable[[Key, Array], Array]  # of one image [H, W, C]


def composed(*functions: Augment) -> Augment:
    """One function after the other, each with a key of its own."""

    def augment(key, image):
        for function, own in zip(functions, jax.random.split(key, len(functions)), strict=True):
            image = function(own, image)
        return image

    return augment


def brightness(key: Key, image: Array) -> Array:
    """Adds one number of [-0.5, 0.5] to the image [H, W, C]."""
    return image + jax.random.uniform(key, minval=-0.5, maxval=0.5)


def saturation(key: Key, image: Array) -> Array:
    """Scales how far each channel lies from the pixel's grey by one factor of [0, 2], image [H, W,
    C]."""
    return _spread(image, jnp.mean(image, -1, keepdims=True), jax.random.uniform(key, maxval=2.0))


def contrast(key: Key, image: Array) -> Array:
    """Scales how far all values lie from their mean by one factor of [0.5, 1.5], image [H, W, C]."""
    return _spread(
        image, jnp.mean(image, keepdims=True), jax.random.uniform(key, minval=0.5, maxval=1.5)
    )


def _spread(image, centre, factor):
    return centre + factor * (image - centre)


def translation(key: Key, image: Array, *, share: float = 1 / 8) -> Array:
    """Shifts the image [H, W, C] by whole pixels along both axes, up to a share of its sides; zeros
    come in.

    Raises:
      ValueError: share lies outside [0, 1].
    """
    reach = [_pixels(side, share) for side in image.shape[:2]]
    starts = jax.random.randint(key, (2,), 0, 2 * jnp.array(reach) + 1)
    wide = jnp.pad(image, ((reach[0],) * 2, (reach[1],) * 2, (0, 0)))
    return jax.lax.dynamic_slice(wide, (*starts, 0), image.shape)


def cutout(key: Key, image: Array, *, share: float = 1 / 2) -> Array:
    """Sets a rectangle with so large a share of both sides to zero; its centre may be any pixel of
    the image [H, W, C].

    Raises:
      ValueError: share lies outside [0, 1].
    """
    keys = jax.random.split(key)
    inside = lambda key, side: _interval(key, side, _pixels(side, share))
    rows, columns = map(inside, keys, image.shape[:2])
    return jnp.where((rows[:, None] & columns[None])[..., None], 0, image)


def _interval(key, side, length):
    """Which of `side` pixels lie in an interval of a length, bool [side]; where it reaches out, it
    is cut."""
    first = (
        jax.random.randint(key, (), 0, side + (length + 1) % 2) - length // 2
    )  # either end can be met
    pixel = jnp.arange(side)
    return (first <= pixel) & (pixel < first + length)


def _pixels(side, share):
    """A share of a side in whole pixels, a half rounded up."""
    if not 0 <= share <= 1:
        raise ValueError(f'share is {share}; a share of the side of an image lies in [0, 1]')
    return math.floor(side * share + 0.5)
