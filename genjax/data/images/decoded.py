"""A prepared image set as arrays: decoded once, then read from a cache file.

Letters: N images, H x W pixels, C channels.
"""

import contextlib
import dataclasses
import functools
import hashlib
import pathlib
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from genjax.data.resident import fingerprint
from genjax.home import cache_folder, without_cache, writable

PART = 2**16  # bytes

Arrays = dict[
    str, np.ndarray
]  # 'image' uint8 [N, H, W, C] and, of labelled sets, 'label' int32 [N]


class Split(NamedTuple):
    """One part of an image set, not read yet."""

    shape: tuple[int, int, int]  # of an image, [H, W, C]
    records: Sequence[
        dict[str, Any]
    ]  # decoded on access: {'image': uint8 [H, W, C], 'label': int32}
    arrays: Callable[[], Arrays]  # the whole part
    fingerprint: str  # of the records and their decoder


@dataclasses.dataclass(frozen=True)
class Examples:
    """The examples of a part, decoded on access: the image and, where it is a single whole number,
    the label.

    records: by index, images as files or as arrays. shape: of an image, [H, W, C]. name: of the
      part. path: of the set.

    Raises:
      ValueError: on access, the record files are damaged, or `pixels.decode` refuses the image;
        that is named by its index, as of `tfds.data_source`.
    """

    records: Sequence[dict[str, Any]]
    shape: tuple[int, int, int]
    name: str
    path: pathlib.Path

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        with _sound(self.path):
            record = self.records[index]
        return self._example(index, record)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))

    def __getitems__(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        with _sound(self.path):
            records = self.records.__getitems__(rows)
        return [self._example(index, record) for index, record in zip(rows, records, strict=True)]

    def _example(self, index: int, record: dict[str, Any]) -> dict[str, Any]:
        from genjax.data.images import pixels  # imports Pillow, which digits do without

        image, label = record['image'], record.get('label')
        if isinstance(image, bytes):
            try:
                image = pixels.decode(image, self.shape)
            except ValueError as error:
                raise ValueError(
                    f'{self.path}: the image of example {index} of {self.name} {error}'
                ) from None
        labelled = isinstance(label, int | np.integer)
        return {'image': image} | ({'label': np.int32(label)} if labelled else {})


@contextlib.contextmanager
def _sound(path: pathlib.Path) -> Iterator[None]:
    """What is wrong with record files can raise anything; here it is a ValueError of one line."""
    try:
        yield
    except Exception as error:
        raise ValueError(f'{path} is damaged: {" ".join(str(error).split())}') from None


def splits(builder: Any) -> tuple[Split, Split]:
    """The parts to train and to test on of a prepared set: 'train', and 'test' or else
    'validation'.

    Args:
      builder: of TFDS, prepared.

    Raises:
      ValueError: a part is missing, the images are not uint8 of one size, the records allow no
        random access, or the first image is refused by `pixels.decode`.
    """
    names = list(builder.info.splits)
    held_out = next((name for name in ('test', 'validation') if name in names), None)
    if 'train' not in names or held_out is None:
        raise ValueError(
            f'{builder.name} has the parts {names}; train and one of test, validation are needed'
        )
    feature = dict(builder.info.features).get('image')
    shape, dtype = getattr(feature, 'shape', None), getattr(feature, 'np_dtype', None)
    if shape is None or len(shape) != 3 or None in shape or dtype != np.uint8:
        raise ValueError(
            f'{builder.name} has images of {dtype} {shape}; only uint8 of one size [H, W, C] are read'
        )
    return _split(builder, 'train', shape), _split(builder, held_out, shape)


def _split(builder: Any, name: str, shape: tuple[int, int, int]) -> Split:
    from genjax.data.images.prepare import open_records

    examples = Examples(open_records(builder, name), shape, name, builder.data_path)
    told = _digest(builder, name, _contents)
    first = examples[0][
        'image'
    ]  # so that a set of another kind is refused at once, even if the rest is streamed
    return Split(first.shape, examples, functools.partial(_cached, builder, name, examples), told)


def _digest(builder: Any, name: str, describe: Callable[[pathlib.Path], Any]) -> str:
    """Sixteen hex digits for a part of a prepared set, told by its version, its files as described
    and our decoder."""
    from genjax.data.images import pixels

    files = [describe(pathlib.Path(path)) for path in builder.info.splits[name].filepaths]
    return hashlib.sha256(
        repr((builder.info.full_name, name, files, pixels.identity())).encode()
    ).hexdigest()[:16]


def _contents(file: pathlib.Path) -> list[Any]:
    """Name, size and a hash; of a large file of sixteen parts, since a set prepared anew differs
    everywhere."""
    size, found = file.stat().st_size, hashlib.sha256()
    with file.open('rb') as stored:
        for place in range(0, size, max(PART, size // 16)):
            stored.seek(place)
            found.update(stored.read(PART))
    return [file.name, size, found.hexdigest()]


def _cached(builder: Any, name: str, examples: Examples) -> Arrays:
    """The decoded arrays, from a cache file beside the prepared set or, that being read-only, in
    the user's cache.

    The file's name tells the version, size and time of the record files, and the decoder, so a set
    prepared anew or by another decoder is decoded anew.
    """
    stamp = _digest(
        builder, name, lambda file: [file.name, file.stat().st_size, file.stat().st_mtime_ns]
    )
    file = f'{builder.info.full_name}-{name}-{stamp}.npz'.replace('/', '-')
    beside = pathlib.Path(builder.data_path).parent
    own = cache_folder()
    for folder in filter(None, (beside, own)):
        if (arrays := _load(folder / file, (len(examples), *examples.shape))) is not None:
            return arrays
    arrays = _decode(examples)
    if writable(beside):
        _save(beside / file, arrays)
    elif own is not None and writable(own):
        _save(own / file, arrays)
    else:
        _tell(beside)
    return arrays


@functools.cache
def _tell(folder: pathlib.Path) -> None:
    """Says once of a prepared set, which has several parts, that it is decoded anew each time, and
    what to set."""
    print(f'{folder} is read-only, and decoded anew each time: {without_cache()}', file=sys.stderr)


def _load(path: pathlib.Path, shape: tuple[int, ...]) -> Arrays | None:
    """The arrays of a cache file; None where there is no such file or anything about it is amiss."""
    amiss = OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile
    with contextlib.suppress(*amiss), path.open('rb') as stored, np.load(stored) as file:
        arrays = dict(file)
        digest = str(arrays.pop('fingerprint'))
        image = arrays['image']
        if (image.shape, image.dtype, fingerprint(arrays)) == (shape, np.uint8, digest):
            return arrays
    return None


def _save(path: pathlib.Path, arrays: Arrays) -> None:
    """Writes a cache file in one step, or none: it only saves time, so a full disk does not stop a
    run."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix='.decoding') as folder:
            part = pathlib.Path(folder) / path.name
            np.savez(part, fingerprint=fingerprint(arrays), **arrays)
            part.replace(path)


def _decode(examples: Examples, chunk: int = 500) -> Arrays:
    """Decodes every example by threads, in chunks, because record files are read fastest so."""
    chunks = [
        range(first, min(first + chunk, len(examples))) for first in range(0, len(examples), chunk)
    ]
    with ThreadPoolExecutor() as pool:
        rows = [row for part in pool.map(examples.__getitems__, chunks) for row in part]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
