"""Images to be scored, of whatever origin, as levels in batches.

Letters: B images a batch, H x W pixels, C channels.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from genjax.data.images.decoded import RESAMPLING, decode_files
from genjax.data.images.files import open_files
from genjax.data.images.levels import padded
from genjax.data.images.own import is_own, open_own
from genjax.data.images.sets import named_splits
from genjax.data.images.splits import Split
from genjax.training.samples import to_levels

PARTS = ('train', 'test')
OWN = ('folder:', 'npz:')  # before a path of images of one's own
RESIDENT = 2**30  # bytes of a split up to which it is read at once
HELD_OUT = 0.1  # of images of one's own, where a part of them is asked for, as pages have it


class Images(NamedTuple):
    """Images of one size, read when they are asked for."""

    source: str  # as it was named
    part: str  # of the source: 'train', 'test', 'all'; of a run which samples
    n: int
    shape: tuple[int, int, int]  # [H, W, C]
    batches: Callable[[int], Iterator[np.ndarray]]  # B -> uint8 [at most B, H, W, C]
    sized: str = 'none'  # how they were brought to their size
    average: str = 'none'  # of the parameters that samples are of, by its name
    seeds: tuple[int, ...] = ()  # of the run and of its samples


def images_of_files(source: str, path: str, *, size: int | None = None) -> Images:
    """All images of a folder, a zip file or an `.npz`, by the names of the files.

    Each is decoded here, so that whatever is wrong is known at once; see `decode_files`.

    Args:
      source: as it is to be called.
      path: of it.
      size: H and W that they are cropped and resampled to, see `to_square`; None where they have
        one size, which they keep.

    Raises:
      ValueError: it holds fewer than two images, one that cannot be read or, without a size,
        images of different sizes.
      OSError: it is not there, or cannot be read.
    """
    files = open_files(path)
    decoded = decode_files(files, size)
    lines = (*files.unreadable, *decoded.unreadable)
    if lines:
        count = len(lines) + len(decoded.rows)
        raise ValueError(
            f'{source}: {len(lines):,} of {count:,} files cannot be read, as {lines[0]}'
        )
    n = len(decoded.images)
    _require_two(source, n)

    def batches(batch):
        for start in range(0, n, batch):
            yield np.asarray(decoded.images[start : start + batch])

    sized = 'none' if size is None else RESAMPLING
    return Images(source, 'all', n, decoded.images.shape[1:], batches, sized)


def images_of_set(name: str, part: str, *, size: int | None = None, data_dir: str = '') -> Images:
    """A part of an image set by name, in the order that it is stored in.

    Args:
      name: as of `genjax.data.images.images`.
      part: 'train' or 'test'; of images of one's own the rest and a tenth, as pages have them, or
        the folders of these names.
      size: H and W, see `images`; None: the set's own.
      data_dir: folder of prepared sets.

    Raises:
      ValueError: no set has that name, or size is smaller than its images.
      OSError: the set is neither prepared nor within reach, or cannot be read.
    """
    if is_own(name):
        *splits, _ = open_own(name, size=size, held_out=HELD_OUT, skip_unreadable=False)
        side = None
        sized = 'none' if size is None else RESAMPLING
    else:
        splits = named_splits(name, data_dir)
        side = size
        sized = 'none' if size is None else 'put in the middle, on level 0'
    split = splits[PARTS.index(part)]
    _require_two(f'{name}:{part}', len(split.records))
    shape = split.shape
    if side is not None:
        if side < max(shape[:2]):
            raise ValueError(f'size is {side}; {name} has images of {by(shape)}')
        shape = (side, side, shape[2])
    return Images(name, part, len(split.records), shape, _batches_of(split, side), sized)


def images_of_samples(
    source: str,
    part: str,
    draw: Callable[[], Iterator[np.ndarray]],
    *,
    n: int,
    shape: tuple[int, int, int],
    average: str,
    seeds: tuple[int, ...],
) -> Images:
    """Samples in [-1, 1] as the levels that they would have in files.

    Args:
      source, part, n, shape, average, seeds: as in `Images`.
      draw: gives batches of them.
    """

    def batches(batch):
        del batch  # they come as they are drawn
        return map(to_levels, draw())

    return Images(source, part, n, shape, batches, 'none', average, seeds)


def _batches_of(split: Split, side: int | None) -> Callable[[int], Iterator[np.ndarray]]:
    n = len(split.records)

    def batches(batch):
        fits = n * math.prod(split.shape) <= RESIDENT
        levels = split.arrays()['image'] if fits else None
        for start in range(0, n, batch):
            stop = min(start + batch, n)
            if fits:
                image = levels[start:stop]
            else:
                image = np.stack([split.records[i]['image'] for i in range(start, stop)])
            yield padded({'image': image}, side)['image']

    return batches


def _require_two(source: str, n: int) -> None:
    if n < 2:
        raise ValueError(f'{source} has {n} images; scores need at least 2')


def by(shape: tuple[int, ...]) -> str:
    """The shape of an image as it is said: '32 x 32 x 3'."""
    return ' x '.join(map(str, shape))
