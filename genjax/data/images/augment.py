"""Differentiable augmentation, DiffAugment of Zhao et al. 2020, arXiv:2006.10738, section 4.1.

Each function takes one image in [-1, 1], where 0 is mid grey, and a key; `jax.vmap` with a key for
each example augments a batch. Shapes are static and gradients flow to the image. Results may leave
[-1, 1], as in the paper.

Letters: H x W pixels, C channels.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from genjax.base import Key

Augment = Callable[[Key, Array], Array]  # (key, image [H, W, C]) -> image [H, W, C]


def compose(*functions: Augment) -> Augment:
    """Applies one function after the other, each with a key of its own."""

    def augment(key, image):
        keys = jax.random.split(key, len(functions))
        for function, own_key in zip(functions, keys, strict=True):
            image = function(own_key, image)
        return image

    return augment


def brightness(key: Key, image: Array) -> Array:
    """Adds one number of [-0.5, 0.5] to the image [H, W, C]."""
    return image + jax.random.uniform(key, minval=-0.5, maxval=0.5)


def saturation(key: Key, image: Array) -> Array:
    """Scales the distance of each channel from its pixel's grey by one factor of [0, 2].

    Args:
      key: of the factor.
      image: [H, W, C].
    """
    grey = jnp.mean(image, -1, keepdims=True)
    return _scale_about(grey, image, jax.random.uniform(key, maxval=2.0))


def contrast(key: Key, image: Array) -> Array:
    """Scales the distance of all values from their mean by one factor of [0.5, 1.5].

    Args:
      key: of the factor.
      image: [H, W, C].
    """
    mean = jnp.mean(image, keepdims=True)
    return _scale_about(mean, image, jax.random.uniform(key, minval=0.5, maxval=1.5))


def _scale_about(centre, image, factor):
    return centre + factor * (image - centre)


def translation(key: Key, image: Array, *, ratio: float = 1 / 8) -> Array:
    """Shifts the image by whole pixels along both axes; zeros come in.

    Args:
      key: of the two shifts.
      image: [H, W, C].
      ratio: the largest shift, relative to each side.

    Raises:
      ValueError: ratio lies outside [0, 1].
    """
    height, width, _ = image.shape
    down = _pixels(height, ratio)
    right = _pixels(width, ratio)
    starts = jax.random.randint(key, (2,), 0, 2 * jnp.array([down, right]) + 1)
    wide = jnp.pad(image, ((down, down), (right, right), (0, 0)))
    return jax.lax.dynamic_slice(wide, (starts[0], starts[1], 0), image.shape)


def cutout(key: Key, image: Array, *, ratio: float = 1 / 2) -> Array:
    """Sets a rectangle to zero, whose centre may be any pixel.

    Args:
      key: of the centre.
      image: [H, W, C].
      ratio: of the sides of the rectangle to those of the image.

    Raises:
      ValueError: ratio lies outside [0, 1].
    """
    height, width, _ = image.shape
    row_key, column_key = jax.random.split(key)
    rows = _interval(row_key, height, _pixels(height, ratio))
    columns = _interval(column_key, width, _pixels(width, ratio))
    inside = rows[:, None] & columns[None]
    return jnp.where(inside[..., None], 0, image)


def _interval(key, side, length):
    """Which of `side` pixels lie in a random interval, bool [side]; it is cut at the borders."""
    # One more centre for an even length, so that the interval can touch either border.
    centre = jax.random.randint(key, (), 0, side + (length + 1) % 2)
    first = centre - length // 2
    pixel = jnp.arange(side)
    return (first <= pixel) & (pixel < first + length)


def _pixels(side, ratio):
    """A ratio of a side in whole pixels, a half rounded up."""
    if not 0 <= ratio <= 1:
        raise ValueError(f'ratio is {ratio}; a ratio to the side of an image lies in [0, 1]')
    return math.floor(side * ratio + 0.5)
