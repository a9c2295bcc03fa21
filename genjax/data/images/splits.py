"""The training and test splits of a prepared image set, not read yet.

Letters: N examples, H x W pixels, C channels.
"""

import functools
import hashlib
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from genjax.data.images.cache import Arrays, cached_arrays
from genjax.data.images.examples import Example, Examples

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

# A large file is hashed in sixteen sections of so many bytes.
SECTION = 2**16


class Split(NamedTuple):
    """One split of an image set."""

    shape: tuple[int, int, int]  # of an image, [H, W, C]
    records: Sequence[Example]  # decoded on access
    arrays: Callable[[], Arrays]  # the whole split
    fingerprint: str  # of the records and their decoder


def open_splits(builder: 'tfds.core.DatasetBuilder') -> tuple[Split, Split]:
    """The splits to train and to test on: 'train', and 'test' or else 'validation'.

    Args:
      builder: the prepared set.

    Raises:
      ValueError: a split is missing, the images are not uint8 of one size, the records allow no
        random access, or the first image is refused by `pixels.decode`.
    """
    names = list(builder.info.splits)
    test = next((name for name in ('test', 'validation') if name in names), None)
    if 'train' not in names or test is None:
        raise ValueError(
            f'{builder.name} has the parts {names}; train and one of test, validation are needed'
        )
    feature = dict(builder.info.features).get('image')
    shape = getattr(feature, 'shape', None)
    dtype = getattr(feature, 'np_dtype', None)
    if shape is None or len(shape) != 3 or None in shape or dtype != np.uint8:
        raise ValueError(
            f'{builder.name} has images of {dtype} {shape}; '
            'only uint8 of one size [H, W, C] are read'
        )
    return _open_split(builder, 'train', shape), _open_split(builder, test, shape)


def _open_split(
    builder: 'tfds.core.DatasetBuilder', name: str, shape: tuple[int, int, int]
) -> Split:
    # Imports tensorflow_datasets, which digits do without.
    from genjax.data.images.prepare import open_records

    examples = Examples(open_records(builder, name), shape, name, builder.data_path)
    fingerprint = _digest(builder, name, _contents)
    # So that a set of another kind is refused at once, even if the rest of it is streamed.
    first_image = examples[0]['image']
    arrays = functools.partial(_cached, builder, name, examples)
    return Split(first_image.shape, examples, arrays, fingerprint)


def _cached(builder: 'tfds.core.DatasetBuilder', name: str, examples: Examples) -> Arrays:
    """The arrays of a split, from a cache file.

    Its name has a digest of the version, size and time of the record files, and of the decoder, so
    that a set prepared anew or by another decoder is decoded anew.
    """
    digest = _digest(builder, name, _size_and_time)
    file = f'{builder.info.full_name}-{name}-{digest}.npz'.replace('/', '-')
    return cached_arrays(examples, pathlib.Path(builder.data_path).parent, file)


def _digest(
    builder: 'tfds.core.DatasetBuilder', name: str, describe: Callable[[pathlib.Path], list[Any]]
) -> str:
    """Sixteen hex digits of a split's name and version, its described files and our decoder."""
    from genjax.data.images import pixels

    files = [describe(pathlib.Path(path)) for path in builder.info.splits[name].filepaths]
    identity = (builder.info.full_name, name, files, pixels.decoder_version())
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:16]


def _contents(file: pathlib.Path) -> list[Any]:
    """Name, size and a hash of a file.

    Of a large file only sections are hashed, since a set prepared anew differs everywhere.
    """
    size = file.stat().st_size
    digest = hashlib.sha256()
    with file.open('rb') as stream:
        for start in range(0, size, max(SECTION, size // 16)):
            stream.seek(start)
            digest.update(stream.read(SECTION))
    return [file.name, size, digest.hexdigest()]


def _size_and_time(file: pathlib.Path) -> list[Any]:
    return [file.name, file.stat().st_size, file.stat().st_mtime_ns]
