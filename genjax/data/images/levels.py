"""Grey levels 0 to 255 as images in [-1, 1]: padded, mirrored, with noise, scaled.

Letters: B images, H x W pixels, C channels.
"""

from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.base import Batch, Key

# Folded into key(seed). A trainer's steps lie below it, its own keys at the end of uint32.
NOISE = 2**31

AnyArray = TypeVar('AnyArray', np.ndarray, Array)


def padded(batch: Batch, side: int | None) -> Batch:
    """Puts images in the middle of a square of level 0; an odd pixel goes below or to the right.

    Args:
      batch: 'image' [..., H, W, C], numpy.
      side: H and W of the result, in pixels; None leaves the images as they are.
    """
    if side is None:
        return batch
    image = batch['image']
    widths = [(0, 0)] * image.ndim
    for axis in (-3, -2):
        missing = side - image.shape[axis]
        before = missing // 2
        widths[axis] = (before, missing - before)
    return batch | {'image': np.pad(image, widths)}


def scaled(level: AnyArray, offset: AnyArray | float | None) -> AnyArray:
    """Grey levels in [-1, 1], float32.

    Each formula rounds once at most, so NumPy and every compiler give the same bits and nothing
    leaves [-1, 1].

    Args:
      level: 0 to 255, float32 of any shape.
      offset: where in [level, level + 1) an image lies, in [0, 1), for (level + offset) / 128 - 1;
        None for (2 level - 255) / 255.
    """
    if offset is None:
        return (2 * level - 255) * (1 / 255)
    return (level + offset) / 128 - 1


def to_levels(image: np.ndarray) -> np.ndarray:
    """Images in [-1, 1], which are clipped, as the nearest grey levels, uint8 of the same shape.

    It undoes `scaled` without an offset, on the host.
    """
    level = (np.asarray(image, np.float32) + 1) * 127.5
    return np.clip(np.rint(level), 0, 255).astype(np.uint8)


def to_test_images(batch: Batch, dequantize: bool) -> Batch:
    """Grey levels as test images, on the host.

    Args:
      batch: 'image' uint8 [..., H, W, C], numpy.
      dequantize: whether images lie in the middle of the intervals that noise fills.
    """
    level = batch['image'].astype(np.float32)
    return batch | {'image': scaled(level, 0.5 if dequantize else None)}


def to_training_images(
    flip: bool, dequantize: bool, seed: Array, batch: Batch, step: Array
) -> Batch:
    """Grey levels as training images, on the device.

    The noise of an example depends on the seed, the step and its place in the batch.

    Args:
      flip: whether to mirror each image left to right by the toss of a fair coin.
      dequantize: whether to add uniform noise of one grey level.
      seed: uint32.
      batch: 'image' uint8 [B, H, W, C].
      step: number of the step.
    """
    step_key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), NOISE), step)
    keys = jax.random.split(step_key, len(batch['image']))
    augment = partial(_training_image, flip=flip, dequantize=dequantize)
    return batch | {'image': jax.vmap(augment)(keys, batch['image'])}


def _training_image(key: Key, image: Array, flip: bool, dequantize: bool) -> Array:
    """One training image, float32 [H, W, C], of grey levels uint8 [H, W, C]."""
    coin_key, noise_key = jax.random.split(key)
    if flip:
        image = jnp.where(jax.random.bernoulli(coin_key), image[:, ::-1], image)
    # Sixteen bits below the level: all that float32 holds beside it, so that no noise rounds up to
    # the next level.
    noise = jax.random.bits(noise_key, image.shape, jnp.uint16).astype(jnp.float32) / 65536
    return scaled(image.astype(jnp.float32), noise if dequantize else None)
