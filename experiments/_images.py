"""Images to be scored, of whatever origin, as levels in batches.

Letters: B images a batch, H x W pixels, C channels.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from genjax.data.images.files import open_files
from genjax.data.images.levels import padded
from genjax.data.images.sets import named_splits

PARTS = ('train', 'test')
RESIDENT = 2**30  # bytes of a decoded split up to which it is read at once, and kept decoded


class Images(NamedTuple):
    """Images of one size, read when they are asked for."""

    source: str  # as it was named
    part: str  # of the source: 'train', 'test', 'all'; 'samples' of a run
    n: int
    shape: tuple[int, int, int]  # [H, W, C]
    batches: Callable[[int], Iterator[np.ndarray]]  # B -> uint8 [B, H, W, C], the last shorter
    average: str = 'none'  # of the parameters that samples are of, by its name
    seeds: tuple[int, ...] = ()  # of the run and of its samples


def images_of_files(source: str, path: str) -> Images:
    """All images of a folder, a zip file or an `.npz`.

    Args:
      source: as it is to be called.
      path: of it.

    Raises:
      ValueError: it holds fewer than two images, or one that cannot be read; or, while they are
        read, one of another size than the first.
      FileNotFoundError: it is not there.
    """
    files = open_files(path)
    n = len(files.names)
    if n < 2:
        raise ValueError(f'{source} holds {n} images; scores need at least 2')
    shape = files.decoded(0).shape

    def decoded(i):
        image = files.decoded(i)
        if image.shape != shape:
            raise ValueError(
                f'{source} has images of different sizes: {files.names[0]} is {by(shape)} and '
                f'{files.names[i]} {by(image.shape)}'
            )
        return image

    def batches(size):
        for start in range(0, n, size):
            yield np.stack([decoded(i) for i in range(start, min(start + size, n))])

    return Images(source, 'all', n, shape, batches)


def images_of_set(
    name: str, part: str, *, size: int | None = None, data_dir: str = ''
) -> Images:
    """A part of an image set by name, in the order that it is stored in.

    Args:
      name: as of `genjax.data.images.images`.
      part: 'train' or 'test'.
      size: H and W that smaller images are padded to; None: the set's own.
      data_dir: folder of prepared sets.

    Raises:
      ValueError: no set has that name, or size is smaller than its images.
      FileNotFoundError: the set is neither prepared nor within reach.
    """
    split = dict(zip(PARTS, named_splits(name, data_dir), strict=True))[part]
    n = len(split.records)
    height, width, channels = split.shape
    side = size or 0
    if size and size < max(height, width):
        raise ValueError(f'size is {size}; {name} has images of {by(split.shape)}')
    shape = (max(height, side), max(width, side), channels)

    def batches(size):
        fits = n * math.prod(split.shape) <= RESIDENT
        levels = split.arrays()['image'] if fits else None
        for start in range(0, n, size):
            rows = range(start, min(start + size, n))
            if fits:
                image = levels[rows.start : rows.stop]
            else:
                image = np.stack([split.records[i]['image'] for i in rows])
            yield padded({'image': image}, side or None)['image']

    return Images(name, part, n, shape, batches)


def by(shape: tuple[int, ...]) -> str:
    """The shape of an image as it is said: '32 x 32 x 3'."""
    return ' x '.join(map(str, shape))
