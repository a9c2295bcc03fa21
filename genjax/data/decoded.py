"""A prepared image set as arrays: decoded once, then read from a cache file.

Letters: N images, H x W pixels, C channels.
"""

import contextlib
import functools
import hashlib
import pathlib
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from genjax.data.resident import fingerprint
from genjax.home import cache_folder, without_cache, writable

PART = 2**16  # bytes

Arrays = dict[str, np.ndarray]  # 'image' uint8 [N, H, W, C] and, of labelled sets, 'label' int32 [N]


class Split(NamedTuple):
    """One part of an image set, not read yet."""

    shape: tuple[int, int, int]  # of an image, [H, W, C]
    records: Sequence[Any]  # decoded on access: {'image': ..., 'label': ..., ...}
    arrays: Callable[[], Arrays]  # the whole part
    fingerprint: str  # of the records


def splits(builder: Any) -> tuple[Split, Split]:
    """The parts to train and to test on of a prepared set: 'train', and 'test' or else 'validation'.

    Args:
      builder: of TFDS, prepared.

    Raises:
      ValueError: a part is missing, the images are not uint8 of one size, or the records allow no random access.
    """
    names = list(builder.info.splits)
    held_out = next((name for name in ('test', 'validation') if name in names), None)
    if 'train' not in names or held_out is None:
        raise ValueError(f'{builder.name} has the parts {names}; train and one of test, validation are needed')
    feature = dict(builder.info.features).get('image')
    shape, dtype = getattr(feature, 'shape', None), getattr(feature, 'np_dtype', None)
    if shape is None or len(shape) != 3 or None in shape or dtype != np.uint8:
        raise ValueError(f'{builder.name} has images of {dtype} {shape}; only uint8 of one size [H, W, C] are read')
    return _split(builder, 'train', shape), _split(builder, held_out, shape)


def _split(builder: Any, name: str, shape: tuple[int, int, int]) -> Split:
    try:
        records = builder.as_data_source(name)
    except NotImplementedError:
        kind = builder.info.file_format.value
        raise ValueError(
            f'{builder.data_path} holds {kind} files; random access needs array_record: prepare it elsewhere'
        ) from None
    except RuntimeError as error:
        raise ValueError(f'{builder.data_path} is damaged: {error}') from None
    arrays = functools.partial(_cached, builder, name, records, (len(records), *shape))
    return Split(shape, records, arrays, _digest(builder, name, _contents))


def _digest(builder: Any, name: str, describe: Callable[[pathlib.Path], Any]) -> str:
    """Sixteen hex digits for a part of a prepared set, told by its version and its files as described."""
    files = [describe(pathlib.Path(path)) for path in builder.info.splits[name].filepaths]
    return hashlib.sha256(repr((builder.info.full_name, name, files)).encode()).hexdigest()[:16]


def _contents(file: pathlib.Path) -> list[Any]:
    """Name, size and a hash; of a large file of sixteen parts, since a set prepared anew differs everywhere."""
    size, found = file.stat().st_size, hashlib.sha256()
    with file.open('rb') as stored:
        for place in range(0, size, max(PART, size // 16)):
            stored.seek(place)
            found.update(stored.read(PART))
    return [file.name, size, found.hexdigest()]


def _cached(builder: Any, name: str, records: Sequence[Any], shape: tuple[int, ...]) -> Arrays:
    """The decoded arrays, from a cache file beside the prepared set or, that being read-only, in the user's cache.

    The file's name tells the version, size and time of the record files, so a set prepared anew is decoded anew.
    """
    stamp = _digest(builder, name, lambda file: [file.name, file.stat().st_size, file.stat().st_mtime_ns])
    file = f'{builder.info.full_name}-{name}-{stamp}.npz'.replace('/', '-')
    beside = pathlib.Path(builder.data_path).parent
    own = cache_folder()
    for folder in filter(None, (beside, own)):
        if (arrays := _load(folder / file, shape)) is not None:
            return arrays
    try:
        arrays = _decode(records)
    except Exception as error:  # of records and of images
        raise ValueError(f'{builder.data_path} is damaged: {" ".join(str(error).split())}') from None
    if writable(beside):
        _save(beside / file, arrays)
    elif own is not None and writable(own):
        _save(own / file, arrays)
    else:
        _tell(beside)
    return arrays


@functools.cache
def _tell(folder: pathlib.Path) -> None:
    """Says once of a prepared set, which has several parts, that it is decoded anew each time, and what to set."""
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
    """Writes a cache file in one step, or none: it only saves time, so a full disk does not stop a run."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix='.decoding') as folder:
            part = pathlib.Path(folder) / path.name
            np.savez(part, fingerprint=fingerprint(arrays), **arrays)
            part.replace(path)


def _decode(records: Sequence[Any], chunk: int = 500) -> Arrays:
    """Decodes every record by threads, in chunks, because record files are read fastest so."""
    chunks = [range(first, min(first + chunk, len(records))) for first in range(0, len(records), chunk)]
    with ThreadPoolExecutor() as pool:
        parts = pool.map(lambda rows: [kept(record) for record in records.__getitems__(rows)], chunks)
        rows = [row for part in parts for row in part]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def kept(record: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a record: its image and, if it has a single whole number as its label, that."""
    label = record.get('label')
    labelled = isinstance(label, int | np.integer)
    return {'image': record['image']} | ({'label': np.int32(label)} if labelled else {})
