"""A user's own images as the splits of a set: to train on, and held out by the names of files.

Letters: N images, H x W pixels, C channels.
"""

import dataclasses
import functools
import hashlib
import pathlib
import posixpath
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from genjax.data.images.cache import Arrays
from genjax.data.images.decoded import RESAMPLING, Decoded, decode_files
from genjax.data.images.examples import Example
from genjax.data.images.files import ImageFiles, open_files, parts
from genjax.data.images.splits import Split

FOLDER = 'folder:'
NPZ = 'npz:'


@dataclasses.dataclass(frozen=True)
class Rows:
    """Some of the images of a set as examples.

    Attributes:
      images: of the set, uint8 [N, H, W, C].
      labels: int32 [N], or None.
      rows: which of them.
    """

    images: np.ndarray
    labels: np.ndarray | None
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        row = self.rows[index]
        image = np.array(self.images[row])
        if self.labels is None:
            return {'image': image}
        return {'image': image, 'label': self.labels[row]}

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def arrays(self) -> Arrays:
        """All of them, read into memory."""
        arrays = {'image': self.images[self.rows]}
        if self.labels is not None:
            arrays['label'] = self.labels[self.rows]
        return arrays


def is_own(name: str) -> bool:
    """Whether the name of a set is that of a user's own images: folder:PATH or npz:FILE."""
    return name.startswith((FOLDER, NPZ))


def open_named(name: str) -> ImageFiles:
    """The images of `folder:PATH` (a folder or a zip file) or `npz:FILE`.

    Raises:
      ValueError, OSError: as of `open_files`; or the path is not of its kind.
    """
    kind, _, path = name.partition(':')
    if not path:
        raise ValueError(f"the set is '{name}'; a path follows the colon")
    is_npz = pathlib.Path(path).suffix == '.npz'
    if is_npz != (f'{kind}:' == NPZ):
        takes = 'a folder or a zip file' if is_npz else 'an .npz file'
        raise ValueError(f"the set is '{name}'; {kind}: takes {takes}")
    return open_files(path)


def open_own(
    name: str, *, size: int | None, held_out: float, skip_unreadable: bool
) -> tuple[Split, Split, dict[str, Any]]:
    """The splits to train and to test on, and what the manifest of a run says of the set.

    Args:
      name: `folder:PATH` or `npz:FILE`.
      size: H and W, see `to_square`; None where the images have one size.
      held_out: the share to test on, in expectation, where there are no folders train and test: a
        hash of a file's name says whether it is one of them, so that it stays one when others are
        added. At least one image is, and at least one is not.
      skip_unreadable: whether to leave out what cannot be read.

    Raises:
      ValueError: something cannot be read, and is not to be left out; fewer than two images can;
        the share lies outside; or see `open_files` and `decode_files`.
      OSError: the path cannot be read, or the cache not be written.
    """
    if not 0 < held_out < 1:
        raise ValueError(f'held_out is {held_out}; it must lie in (0, 1)')
    files = open_named(name)
    decoded = decode_files(files, size)
    lines = (*files.unreadable, *decoded.unreadable)
    _check_readable(name, lines, len(decoded.rows), skip_unreadable)

    names = [files.names[i] for i in decoded.rows]
    labels = None if files.labels is None else files.labels[decoded.rows]
    folders = parts(names)
    for_test = _for_test(names, folders, held_out)
    train, test = (
        _split(decoded, labels, part, np.flatnonzero(for_test == is_test))
        for part, is_test in (('train', False), ('test', True))
    )
    about = {
        'name': name,
        'shape': list(train.shape),
        'resampling': 'none' if size is None else f'{RESAMPLING} to {size} x {size}',
        'train': len(train.records),
        'test': len(test.records),
        'held out': f'folder {folders[1]}' if folders else f'{held_out:g} by a hash of the names',
        'left out': len(lines),
    }
    if labels is not None:
        counts = np.bincount(labels, minlength=len(files.classes)).tolist()
        about['labels'] = dict(zip(files.classes, counts, strict=True))
    return train, test, about


def _place(name: str) -> float:
    """A number in [0, 1) that the name of a file has, whichever others there are.

    The name is taken without its suffix, so that a file stays in its part in another format.
    """
    stem, _ = posixpath.splitext(name)
    return int.from_bytes(hashlib.sha256(stem.encode()).digest()[:6]) / 2**48


def _for_test(names: Sequence[str], folders: tuple[str, str] | None, held_out: float) -> np.ndarray:
    """Which images are to test on, bool [N]: at least one, and not all."""
    if folders:
        return np.array([name.startswith(f'{folders[1]}/') for name in names])
    places = np.array([_place(name) for name in names])
    for_test = places < held_out
    for_test[np.argmin(places)] = True
    for_test[np.argmax(places)] = False
    return for_test


def _split(decoded: Decoded, labels: np.ndarray | None, part: str, rows: np.ndarray) -> Split:
    records = Rows(decoded.images, labels, rows)
    digest = hashlib.sha256(f'{part} {decoded.fingerprint} '.encode())
    digest.update(rows)
    if labels is not None:
        digest.update(labels[rows])
    shape = decoded.images.shape[1:]
    return Split(shape, records, records.arrays, digest.hexdigest()[:16])


def _check_readable(name: str, lines: tuple[str, ...], readable: int, skip: bool) -> None:
    """Prints what cannot be read, and refuses it unless it is to be left out."""
    _print_once(lines)
    if lines and not skip:
        raise ValueError(
            f'{name}: {len(lines):,} of {len(lines) + readable:,} files cannot be read, as the '
            'lines above say; skip_unreadable leaves them out'
        )
    if lines:
        _print_once((f'{name}: {len(lines):,} files are left out, {readable:,} stay',))
    if readable < 2:
        raise ValueError(f'{name} has {readable} images that can be read; at least 2 are needed')


@functools.cache
def _print_once(lines: tuple[str, ...]) -> None:
    for line in lines:
        print(line, file=sys.stderr)
