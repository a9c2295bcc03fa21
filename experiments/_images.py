"""Images to be scored, of whatever origin, as levels in batches.

Letters: B images a batch, H x W pixels, C channels.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from genjax.data.images.files import ImageFiles, open_files
from genjax.data.images.levels import padded
from genjax.data.images.sets import named_splits

PARTS = ('train', 'test')
CHUNK = 256  # files decoded at a time
RESIDENT = 2**30  # bytes of decoded images up to which they are kept in memory


class Images(NamedTuple):
    """Images of one size, read when they are asked for."""

    source: str  # as it was named
    part: str  # of the source: 'train', 'test', 'all'; 'samples' of a run
    n: int
    shape: tuple[int, int, int]  # [H, W, C]
    batches: Callable[[int], Iterator[np.ndarray]]  # B -> uint8 [B, H, W, C], the last shorter
    average: str = 'none'  # of the parameters that samples are of, by its name
    seeds: tuple[int, ...] = ()  # of the run and of its samples


def images_of_files(source: str, path: str, show: Callable[[int, int], None]) -> Images:
    """All images of a folder, a zip file or an `.npz`.

    Each is decoded here, so that whatever is wrong is known at once; they are kept if they fit into
    RESIDENT bytes, and else decoded once more when they are asked for. They have three channels
    where any of them has.

    Args:
      source: as it is to be called.
      path: of it.
      show: is told how many images are decoded, and of how many.

    Raises:
      ValueError: it holds fewer than two images, one that cannot be read or one of another size.
      OSError: it is not there, or cannot be read.
    """
    files = open_files(path)
    n = len(files.names)
    if files.unreadable:
        raise ValueError(
            f'{source} has {len(files.unreadable)} files that are no images: {files.unreadable[0]}'
        )
    if n < 2:
        raise ValueError(f'{source} holds {n} images; scores need at least 2')

    sides = files.decoded(0).shape[:2]
    channels = 1
    kept = []
    kept_bytes = 0
    done = 0
    for images in _decoded(files, CHUNK):
        for image in images:
            if image.shape[:2] != sides:
                raise ValueError(
                    f'{source} has images of different sizes: {files.names[0]} is {by(sides)} and '
                    f'{files.names[done]} {by(image.shape[:2])}'
                )
            channels = max(channels, image.shape[2])
            done += 1
        kept_bytes += sum(image.nbytes for image in images)
        if kept_bytes <= RESIDENT:
            kept.extend(images)
        else:
            kept.clear()
        show(done, n)
    shape = (*sides, channels)

    def batches(size):
        if len(kept) == n:
            chunks = (kept[start : start + size] for start in range(0, n, size))
        else:
            chunks = _decoded(files, size)
        for images in chunks:
            yield np.stack([np.broadcast_to(image, shape) for image in images])

    return Images(source, 'all', n, shape, batches)


def _decoded(files: ImageFiles, size: int) -> Iterator[list[np.ndarray]]:
    """All images in lists of a size, decoded by threads."""
    n = len(files.names)
    with ThreadPoolExecutor() as pool:
        for start in range(0, n, size):
            yield list(pool.map(files.decoded, range(start, min(start + size, n))))


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
