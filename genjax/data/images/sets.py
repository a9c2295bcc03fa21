"""Image sets: grey levels on the host or the device, images in [-1, 1] for the algorithms.

Letters: N examples, B of them a batch, H x W pixels, C channels.
"""

import math
from functools import partial

import numpy as np

from genjax.base import Batch, Data, Resident, Streamed
from genjax.data.batches import ordered, shuffled
from genjax.data.images.levels import padded, to_test_images, to_training_images
from genjax.data.images.own import is_own, open_own
from genjax.data.images.splits import Split, open_splits
from genjax.data.resident import fingerprint, resident, seeded, with_fingerprints

LARGEST = 4096  # pixels of H and W


def images(
    name: str,
    *,
    batch: int,
    seed: int,
    flip: bool = False,
    dequantize: bool = False,
    size: int | None = None,
    held_out: float = 0.1,
    skip_unreadable: bool = False,
    data_dir: str = '',
    resident_bytes: int = 2**30,
) -> Data:
    """An image set by name.

    Its batches are {'image': float32 [B, H, W, C] in [-1, 1], 'label': int32 [B]}; sets without
    labels have only the image. `train[step]` is a pure function of seed and step; `test` a sequence
    of numpy batches in a fixed order, the last one shorter. A grey level g of 0 to 255 becomes
    (2 g - 255) / 255.

    Args:
      name: `digits` (8 x 8, of scikit-learn), `mnist`, `fashion_mnist`, `cifar10`, or any set of
        uint8 images of one size that TFDS has prepared in data_dir. Image files are decoded by
        `pixels.decode` to the channels declared. Or `folder:PATH` or `npz:FILE`, images of your
        own, see `open_files`: of one channel where all of them are grey, and else of three.
      batch: B, of the global batch.
      seed: seed of the order and of the noise.
      flip: whether to mirror each training image left to right by the toss of a fair coin.
      dequantize: whether to add uniform noise of one grey level to training images, (g + u) / 128 -
        1 with u in [0, 1); test images lie in the middle, u = 1/2. (Theis et al. 2016,
        arXiv:1511.01844, section 3.1.)
      size: H and W in pixels. Smaller images are put in the middle, on level 0; images of your
        own are cropped and resampled to it, see `to_square`. None: the set's own, and 16 for
        digits.
      held_out, skip_unreadable: of images of your own, see `open_own`.
      data_dir: folder of the sets as TFDS lays them out, and of files to prepare them from; '' is
        TFDS's default.
      resident_bytes: size up to which a decoded split is kept in memory, the training set on the
        device; a larger one is streamed.

    Raises:
      ValueError: no set has that name, batch is larger than the set, or size smaller than its
        images or above 4,096; or `pixels.decode` refuses an image, as of 16 bits or not opaque: any
        image of a split that is kept in memory; of a streamed one the first here and the others
        when they are read. Of images of your own, see `open_own`.
      FileNotFoundError: the set is neither prepared nor within reach.
    """
    if not name:
        raise ValueError(
            "the images are ''; name folder:PATH, npz:FILE, digits, mnist, fashion_mnist, cifar10 "
            'or a set that TFDS has prepared'
        )
    if is_own(name):
        _check_size(size)
        train_split, test_split, about = open_own(
            name, size=size, held_out=held_out, skip_unreadable=skip_unreadable
        )
        side = None
    else:
        train_split, test_split = named_splits(name, data_dir)
        about = None
        side = _side(name, size, train_split.shape)

    def fits(split: Split) -> bool:
        return _decoded_bytes(split, side) <= resident_bytes

    def read(example: Batch) -> Batch:
        return padded(example, side)

    def read_test(rows: Batch) -> Batch:
        return to_test_images(padded(rows, side), dequantize)

    transform = seeded(partial(to_training_images, flip, dequantize), seed)
    train: Resident | Streamed
    if fits(train_split):
        train = resident(read(train_split.arrays()), batch=batch, seed=seed, transform=transform)
    else:
        batches = shuffled(train_split.records, batch=batch, seed=seed, read=read)
        train = Streamed(
            batches.load,
            batches.stream,
            transform,
            fingerprint=train_split.fingerprint,
            share=batches.share,
        )

    if fits(test_split):
        levels = test_split.arrays()
        data = Data(train, _cut(read_test(levels), batch), about)
        return with_fingerprints(data, fingerprint(levels))
    data = Data(train, ordered(test_split.records, batch=batch, read=read_test), about)
    return with_fingerprints(data, test_split.fingerprint)


def named_splits(name: str, data_dir: str = '') -> tuple[Split, Split]:
    """The training and test splits of a set by name, in the order that it is stored in.

    Args: as of `images`.

    Raises:
      ValueError, FileNotFoundError: as of `images`.
    """
    return _digits() if name == 'digits' else _prepared(name, data_dir)


def _decoded_bytes(split: Split, side: int | None) -> int:
    """Bytes of the decoded images of a split, padded to side x side pixels."""
    height, width, channels = split.shape
    if side:
        height = width = side
    return len(split.records) * math.prod((height, width, channels))


def _side(name: str, size: int | None, shape: tuple[int, int, int]) -> int | None:
    """H and W that images of a shape [H, W, C] are padded to; None where they stay as they are."""
    if size is not None and size < max(shape[:2]):
        raise ValueError(
            f'size is {size}; {name} has images of {shape[0]} x {shape[1]} and needs at least that'
        )
    _check_size(size)
    return 16 if size is None and name == 'digits' else size


def _check_size(size: int | None) -> None:
    if size is not None and not 1 <= size <= LARGEST:
        raise ValueError(f'size is {size}; images are at most {LARGEST} pixels wide')


def _prepared(name: str, data_dir: str) -> tuple[Split, Split]:
    """The training and test splits of a set of TFDS."""
    # Imports tensorflow_datasets, which digits do without.
    from genjax.data.images.prepare import open_set

    return open_splits(open_set(name, data_dir))


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
    """A split that is in memory already, of image uint8 [N, H, W, C] and label int32 [N]."""
    arrays = {'image': image, 'label': label}
    records = [{'image': x, 'label': y} for x, y in zip(image, label, strict=True)]
    return Split(image.shape[1:], records, lambda: arrays, fingerprint(arrays))


def _cut(arrays: Batch, batch: int) -> list[Batch]:
    """Arrays in batches, the last of which may be shorter."""
    starts = range(0, len(arrays['image']), batch)
    return [{name: x[start : start + batch] for name, x in arrays.items()} for start in starts]
