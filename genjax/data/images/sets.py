"""Image sets: grey levels on the host or the device, images in [-1, 1] for the algorithms.

Letters: N examples, B of them a batch, H x W pixels, C channels.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import Batch, Data, Key, Streamed
from genjax.data.batches import ordered, shuffled
from genjax.data.images.decoded import Split, splits
from genjax.data.resident import fingerprint, marked, resident, seeded

LARGEST = 4096
NOISE = (
    2**31
)  # folded into key(seed); a trainer's steps lie below it, its own keys at the end of uint32


def images(
    name: str,
    *,
    batch: int,  # B, of the global batch
    seed: int,
    flip: bool = False,  # mirror each training image left to right by the toss of a fair coin
    dequantize: bool = False,
    size: int | None = None,
    data_dir: str = '',
    resident_bytes: int = 2
    ** 30,  # kept decoded at the most, the training set on the device; a larger set is streamed
) -> Data:
    """An image set by name. Its batches are {'image': float32 [B, H, W, C] in [-1, 1], 'label':
    int32 [B]}.

    `train[step]` is a pure function of seed and step; `test` a sequence of numpy batches in a fixed
    order, the last one shorter. A grey level g of 0 to 255 becomes (2 g - 255) / 255. Sets without
    labels have only the image.

    Args:
      name: `digits` (8 x 8, of scikit-learn), `mnist`, `fashion_mnist`, `cifar10`, or any set of
        uint8 images of one size that TFDS has prepared in data_dir. Its files are decoded by
        `pixels.decode` to the channels declared.
      dequantize: whether to add uniform noise of one grey level to training images, (g + u) / 128 -
        1 with u in [0, 1); test images lie in the middle, u = 1/2. (Theis et al. 2016,
        arXiv:1511.01844, section 3.1.)
      size: H and W in pixels; smaller images are put in the middle, on level 0. None: the set's
        own, for digits 16.
      data_dir: folder of the sets as TFDS lays them out, and of files to prepare them from; '' is
        TFDS's default.

    Raises:
      ValueError: no set has that name, batch is larger than the set, or size smaller than its
        images or above 4,096; or `pixels.decode` refuses an image, as of 16 bits or not opaque: any
        of a part that fits, of a streamed one the first here and the rest as it is read.
      FileNotFoundError: the set is neither prepared nor within reach.
    """
    train, test = _digits() if name == 'digits' else _prepared(name, data_dir)
    side = _side(name, size, train.shape)
    size_of = lambda split: (
        len(split.records) * (side**2 * split.shape[2] if side else math.prod(split.shape))
    )
    augment = seeded(partial(_augmented, flip, dequantize), seed)
    if size_of(train) <= resident_bytes:
        training = resident(
            _padded(train.arrays(), side), batch=batch, seed=seed, transform=augment
        )
    else:
        read = lambda example: _padded(example, side)
        load, stream, share = shuffled(train.records, batch=batch, seed=seed, read=read)
        training = Streamed(load, stream, augment, train.fingerprint, share)
    finish = lambda rows: _finished(_padded(rows, side), middle=dequantize)
    if size_of(test) <= resident_bytes:
        levels = test.arrays()
        return marked(Data(training, _cut(finish(levels), batch)), fingerprint(levels))
    tests = ordered(test.records, batch=batch, read=finish)
    return marked(Data(training, tests), test.fingerprint)


def _side(name, size, shape):
    """Pixels of H and W that images of a shape [H, W, C] are padded to; None for those that stay as
    they are."""
    if size is not None and size < max(shape[:2]):
        raise ValueError(
            f'size is {size}; {name} has images of {shape[0]} x {shape[1]} and needs at least that'
        )
    if size is not None and size > LARGEST:
        raise ValueError(f'size is {size}; images are at most {LARGEST} pixels wide')
    return 16 if size is None and name == 'digits' else size


def _prepared(name: str, data_dir: str) -> tuple[Split, Split]:
    from genjax.data.images.prepare import (
        open_set,
    )  # imports tensorflow_datasets, which digits do without

    return splits(open_set(name, data_dir))


def _digits() -> tuple[Split, Split]:
    """The 1,797 digits of scikit-learn: 1,500 to train, 297 to test.

    A level v of 0 to 16 becomes round(255 v / 16), from which round(16 g / 255) gives it back. The
    order is that of the raw output of PCG64(0), which NumPy promises to keep; the last 297 rows in
    it are the test set.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.argsort(np.random.PCG64(0).random_raw(len(digits.target)))
    image = np.rint(digits.images * (255 / 16)).astype(np.uint8)[order, ..., None]
    label = digits.target.astype(np.int32)[order]
    return _split_of(image[:-297], label[:-297]), _split_of(image[-297:], label[-297:])


def _split_of(image: np.ndarray, label: np.ndarray) -> Split:
    arrays = {'image': image, 'label': label}
    records = [{'image': x, 'label': y} for x, y in zip(image, label, strict=True)]
    return Split(image.shape[1:], records, lambda: arrays, fingerprint(arrays))


def _padded(batch: Batch, side: int | None) -> Batch:
    """Images [..., H, W, C] in the middle of side x side pixels of level 0; an odd pixel goes below
    or right."""
    if side is None:
        return batch
    image = batch['image']
    before = [(side - pixels) // 2 for pixels in image.shape[-3:-1]]
    around = [
        (first, side - pixels - first)
        for first, pixels in zip(before, image.shape[-3:-1], strict=True)
    ]
    return batch | {'image': np.pad(image, [(0, 0)] * (image.ndim - 3) + around + [(0, 0)])}


def _finished(batch: Batch, middle: bool) -> Batch:
    """Grey levels as test images: the value of a level, or the middle of the interval that noise
    would fill."""
    return batch | {'image': _scaled(batch['image'].astype(np.float32), 0.5 if middle else None)}


def _cut(arrays: Batch, batch: int) -> list[Batch]:
    return [
        {name: x[i : i + batch] for name, x in arrays.items()}
        for i in range(0, len(arrays['image']), batch)
    ]


def _augmented(
    flip: bool, dequantize: bool, seed: jax.Array, batch: Batch, step: jax.Array
) -> Batch:
    """Grey levels as training images; an example's noise depends on seed, step and its place in the
    batch."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), NOISE), step)
    keys = jax.random.split(key, len(batch['image']))
    augment = partial(_augmented_image, flip=flip, dequantize=dequantize)
    return batch | {'image': jax.vmap(augment)(keys, batch['image'])}


def _augmented_image(key: Key, image: jax.Array, flip: bool, dequantize: bool) -> jax.Array:
    """One image [H, W, C] of grey levels, perhaps mirrored, perhaps with noise, scaled to [-1, 1]."""
    coin, noise = jax.random.split(key)
    if flip:
        image = jnp.where(jax.random.bernoulli(coin), image[:, ::-1], image)
    # Sixteen bits below the level: all that float32 holds beside it, so that no noise rounds up to
    # the next level.
    below = jax.random.bits(noise, image.shape, jnp.uint16).astype(jnp.float32) / 65536
    return _scaled(image.astype(jnp.float32), below if dequantize else None)


def _scaled(level: Any, below: Any | None) -> Any:
    """Levels of 0 to 255, or with what lies below them, in [-1, 1].

    Each formula rounds once at most, so NumPy and every compiler give the same bits and nothing
    leaves [-1, 1].
    """
    return (2 * level - 255) * (1 / 255) if below is None else (level + below) / 128 - 1
