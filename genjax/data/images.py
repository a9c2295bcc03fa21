"""Image sets: grey levels on the host or the device, images in [-1, 1] for the algorithms.

Letters: N examples, B of them a batch, H x W pixels, C channels.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import Batch, Data, Key, Streamed
from genjax.data.batches import ordered, shuffled
from genjax.data.decoded import Split, kept, splits
from genjax.data.resident import fingerprint, resident

NOISE = 2**31  # folded into key(seed); a trainer's steps lie below it, its own keys at the end of uint32


def images(
    name: str,
    *,
    batch: int,
    seed: int,
    flip: bool = False,
    dequantize: bool = False,
    size: int | None = None,
    data_dir: str = '',
    resident_bytes: int = 2**30,
) -> Data:
    """An image set by name.

    `train[step]` is {'image': float32 [B, H, W, C] in [-1, 1], 'label': int32 [B]}, a pure function of seed and
    step; `test` is a sequence of such batches as numpy arrays, in a fixed order and without randomness, the last
    one shorter. Sets without labels have only the image. A grey level g of 0 to 255 becomes (2 g - 255) / 255.

    Args:
      name: `digits` (8 x 8, of scikit-learn, needs no files), `mnist`, `fashion_mnist`, `cifar10`, or any set of
        uint8 images of one size that TFDS has prepared in data_dir.
      batch: B, the number of examples in the global batch.
      seed: of the order, the flips and the noise.
      flip: whether to mirror each training image left to right by the toss of a fair coin.
      dequantize: whether to add uniform noise of one grey level to training images, (g + u) / 128 - 1 with u in
        [0, 1), so that floor(128 (x + 1)) gives g back; test images lie in the middle, u = 1/2.
        (Theis, van den Oord and Bethge 2016, arXiv:1511.01844, section 3.1.)
      size: pixels of H and W; smaller images are put in the middle, on level 0. None keeps the set's own size,
        which for digits is 16.
      data_dir: folder of the sets as TFDS lays them out, and of files to prepare them from; '' means TFDS's
        default.
      resident_bytes: the most bytes of grey levels to keep decoded, the training set's on the device; a larger
        set is decoded by threads as it is read.

    Raises:
      ValueError: no set has that name, batch is larger than the set, or size smaller than its images.
      FileNotFoundError: the set is neither prepared nor within reach.
    """
    train, test = _digits() if name == 'digits' else _prepared(name, data_dir)
    height, width, channels = train.shape
    if size is not None and size < max(height, width):
        raise ValueError(f'size is {size}; {name} has images of {height} x {width} and needs at least that')
    side = 16 if size is None and name == 'digits' else size
    pixels = (side or height) * (side or width)
    fits = lambda split: len(split.records) * pixels * channels <= resident_bytes
    read = lambda record: _padded(kept(record), side)
    finish = partial(_finished, middle=dequantize)
    augment = partial(_augmented, seed=seed, flip=flip, dequantize=dequantize)
    if fits(train):
        training = resident(_padded(train.arrays(), side), batch=batch, seed=seed, transform=augment)
    else:
        load, stream = shuffled(train.records, batch=batch, seed=seed, read=read)
        training = Streamed(load, stream, augment, train.fingerprint)
    if fits(test):
        testing = _cut(finish(_padded(test.arrays(), side)), batch)
    else:
        testing = ordered(test.records, batch=batch, read=lambda record: finish(read(record)))
    return Data(training, testing)


def _prepared(name: str, data_dir: str) -> tuple[Split, Split]:
    from genjax.data.prepare import open_set  # imports tensorflow_datasets, which digits do without

    return splits(open_set(name, data_dir))


def _digits() -> tuple[Split, Split]:
    """The 1,797 digits of scikit-learn: 1,500 to train, 297 to test.

    A level v of 0 to 16 becomes round(255 v / 16), from which round(16 g / 255) gives it back. The order is that
    of the raw output of PCG64(0), which NumPy promises to keep; the last 297 rows in it are the test set.
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
    """Images [..., H, W, C] in the middle of side x side pixels of level 0; an odd pixel goes below or right."""
    if side is None:
        return batch
    image = batch['image']
    before = [(side - pixels) // 2 for pixels in image.shape[-3:-1]]
    around = [(first, side - pixels - first) for first, pixels in zip(before, image.shape[-3:-1], strict=True)]
    return batch | {'image': np.pad(image, [(0, 0)] * (image.ndim - 3) + around + [(0, 0)])}


def _finished(batch: Batch, middle: bool) -> Batch:
    """Grey levels as test images: the value of a level, or the middle of the interval that noise would fill."""
    return batch | {'image': _scaled(batch['image'].astype(np.float32), 0.5 if middle else None)}


def _cut(arrays: Batch, batch: int) -> list[Batch]:
    return [{name: x[i : i + batch] for name, x in arrays.items()} for i in range(0, len(arrays['image']), batch)]


def _augmented(batch: Batch, step: jax.Array, seed: int, flip: bool, dequantize: bool) -> Batch:
    """Grey levels as training images; an example's noise depends on seed, step and its place in the batch."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), NOISE), step)
    keys = jax.random.split(key, len(batch['image']))
    augment = partial(_augmented_image, flip=flip, dequantize=dequantize)
    return batch | {'image': jax.vmap(augment)(keys, batch['image'])}


def _augmented_image(key: Key, image: jax.Array, flip: bool, dequantize: bool) -> jax.Array:
    """One image [H, W, C] of grey levels, perhaps mirrored, perhaps with noise, scaled to [-1, 1]."""
    coin, noise = jax.random.split(key)
    if flip:
        image = jnp.where(jax.random.bernoulli(coin), image[:, ::-1], image)
    # Sixteen bits below the level: all that float32 holds beside it, so that no noise rounds up to the next level.
    below = jax.random.bits(noise, image.shape, jnp.uint16).astype(jnp.float32) / 65536
    return _scaled(image.astype(jnp.float32), below if dequantize else None)


def _scaled(level: Any, below: Any | None) -> Any:
    """Levels of 0 to 255, or with what lies below them, in [-1, 1].

    Each formula rounds once at most, so NumPy and every compiler give the same bits and nothing leaves [-1, 1].
    """
    return (2 * level - 255) * (1 / 255) if below is None else (level + below) / 128 - 1
