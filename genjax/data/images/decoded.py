"""A user's own images, decoded and brought to one size once, in a cache that a fingerprint names.

Letters: N images, H x W pixels, C channels.
"""

import contextlib
import functools
import hashlib
import io
import json
import math
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple

import numpy as np

from genjax.data.images.decoding import decode_in_order
from genjax.data.images.files import ImageFiles
from genjax.data.progress import progress
from genjax.home import cache_folder, is_writable, why_no_cache

VERSION = 1  # of what is cached: to be raised with every change of it
RESAMPLING = 'square from the middle, Lanczos'
BYTES = 2**24  # read at a time
HEAD = 128  # bytes of an .npy file before its levels
CHECKED = 2**30  # bytes of a cache whose digest is compared; of a larger one its size alone is
IMAGES = 'images.npy'
RECORD = 'record.json'


class Decoded(NamedTuple):
    """The images of `ImageFiles`, but for those that cannot be read."""

    images: np.ndarray  # uint8 [N, H, W, C], of a file
    rows: np.ndarray  # [N] which of the files they are, ascending
    unreadable: tuple[str, ...]  # a line for each that cannot be read
    fingerprint: str  # of the images


def decode_files(files: ImageFiles, size: int | None) -> Decoded:
    """The images of some files, from the cache if they are there, which is written otherwise.

    They have one channel where all of them are grey, and else three. The cache lies in the user's
    cache folder, never beside the files; where that cannot be written, the images lie in a
    temporary file, and are decoded anew each time.

    Args:
      files: of the images.
      size: H and W, see `to_square`; None where the images have one size, which they keep.

    Raises:
      ValueError: size is None, and there are several.
      OSError: the cache cannot be written, as on a full disk.
    """
    users = cache_folder()
    if users is None or not is_writable(users):
        _warn_of_no_cache(files.path)
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder)
            _decode(files, size, place)
            return _load(place, files)  # whose map outlives the file's name
    place = users / 'images' / _key(files, size)
    decoded = _load(place, files)
    if decoded is not None:
        return decoded
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix='.decoding') as folder:
        partial = pathlib.Path(folder) / 'set'
        partial.mkdir()
        _decode(files, size, partial)
        decoded = _load(partial, files)
        _move(partial, place)
    return decoded


@functools.cache
def _warn_of_no_cache(path: pathlib.Path) -> None:
    print(f'{path} is decoded anew each time: {why_no_cache()}', file=sys.stderr)


def _key(files: ImageFiles, size: int | None) -> str:
    """Hex digits that change with the files and with whatever makes images of them."""
    import PIL

    from genjax.data.images import pixels

    versions = (VERSION, RESAMPLING, PIL.__version__, pixels.decoder_version())
    identity = repr((files.identity, size, versions))
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _move(partial: pathlib.Path, place: pathlib.Path) -> None:
    """Puts a whole cache in its place, where a damaged one may lie, or another process's."""
    try:
        partial.rename(place)
    except OSError:
        shutil.rmtree(place, ignore_errors=True)
        with contextlib.suppress(OSError):  # another process was faster again
            partial.rename(place)


def _load(place: pathlib.Path, files: ImageFiles) -> Decoded | None:
    """The images of a cache; None where there is no sound one."""
    try:
        record = json.loads((place / RECORD).read_text('utf-8'))
        images = np.load(place / IMAGES, mmap_mode='r')
        unreadable = {int(row): line for row, line in record['unreadable'].items()}
        rows = np.array([i for i in range(len(files.names)) if i not in unreadable], np.int64)
        sound = len(images) == len(rows) and images.dtype == np.uint8
        if not sound or (images.nbytes <= CHECKED and record['digest'] != _digest(images)):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None
    return Decoded(images, rows, tuple(unreadable.values()), record['digest'])


def _digest(images: np.ndarray) -> str:
    """Sixteen hex digits of images, which need not fit into memory."""
    digest = hashlib.sha256(f'{images.shape}'.encode())
    step = max(1, BYTES // max(1, images[:1].nbytes))
    for start in range(0, len(images), step):
        digest.update(np.ascontiguousarray(images[start : start + step]))
    return digest.hexdigest()[:16]


def _decode(files: ImageFiles, size: int | None, place: pathlib.Path) -> None:
    """Writes the images of some files, and which of them cannot be read."""
    unreadable = {}

    def images():
        shape = None
        for i, image in enumerate(decode_in_order(files, size)):
            show(i + 1)
            if isinstance(image, str):
                unreadable[i] = image
                continue
            if shape is None:
                shape = image.shape[:2]
                first = files.names[i]
            if image.shape[:2] != shape:
                raise ValueError(
                    f'{files.path} has images of {_pixels(shape)} ({first}) and of '
                    f'{_pixels(image.shape[:2])} ({files.names[i]}); give them one size'
                )
            yield image

    with progress(sys.stderr, 'decoding', 'images', len(files.names)) as show:
        _write(place / IMAGES, images())
    digest = _digest(np.load(place / IMAGES, mmap_mode='r'))
    record = {'digest': digest, 'unreadable': unreadable}
    (place / RECORD).write_text(json.dumps(record), 'utf-8')


def _write(path: pathlib.Path, images: Iterable[np.ndarray]) -> None:
    """Writes images [H, W, C] of one H and W as one array [N, H, W, C].

    C is 1 until an image has three channels; what is written by then is repeated. The head of the
    file, which tells N, is written last.
    """
    n = 0
    shape = (0, 0)
    channels = 1
    with path.open('w+b') as stream:
        stream.seek(HEAD)
        for image in images:
            shape = image.shape[:2]
            if image.shape[2] > channels:
                _repeat_levels(stream, n * math.prod(shape))
                channels = 3
            if image.shape[2] < channels:
                image = np.broadcast_to(image, (*shape, channels))
            stream.write(np.ascontiguousarray(image))
            n += 1
        stream.seek(0)
        stream.write(_head((n, *shape, channels)))


def _repeat_levels(stream: BinaryIO, n: int) -> None:
    """Makes three levels of each of the n that a file has, and stops behind them."""
    for start in reversed(range(0, n, BYTES)):
        stream.seek(HEAD + start)
        levels = np.frombuffer(stream.read(min(BYTES, n - start)), np.uint8)
        stream.seek(HEAD + 3 * start)
        stream.write(np.repeat(levels, 3))
    stream.seek(HEAD + 3 * n)


def _head(shape: tuple[int, ...]) -> bytes:
    """The head of an .npy file of levels."""
    stream = io.BytesIO()
    described = {'descr': '|u1', 'fortran_order': False, 'shape': shape}
    np.lib.format.write_array_header_1_0(stream, described)
    head = stream.getvalue()
    if len(head) != HEAD:
        raise AssertionError(f'the head of {shape} takes {len(head)} bytes')
    return head


def _pixels(shape: tuple[int, ...]) -> str:
    return f'{shape[0]} x {shape[1]}'
