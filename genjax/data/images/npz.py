"""Images in an npz file, read where they lie if the file is not compressed.

Letters: N images, H x W pixels, C channels.
"""

import pathlib
import zipfile
from typing import NamedTuple

import numpy as np

from genjax.data.images.errors import one_line

# Names of the images and of their labels: guided-diffusion's, and others that are common.
KEYS = (('arr_0', 'arr_1'), ('image', 'label'), ('images', 'labels'))
NAMES = 'names'
# Of a zip file's entry: length of its own header, and where that has the lengths of the name and of
# the extra field that come before the contents (PKWARE, APPNOTE 4.3.7).
HEADER = 30
LENGTHS = 26


class NpzImages(NamedTuple):
    """The arrays of an npz file of images."""

    images: np.ndarray  # uint8 [N, H, W] or [N, H, W, C]; of the file itself where that can be
    labels: np.ndarray | None  # int32 [N]
    names: list[str]  # N different ones


def read_npz(path: pathlib.Path) -> NpzImages:
    """The images of an npz file, with labels and names where it has them.

    Images are `arr_0`, as guided-diffusion has it, `image` or `images`; their labels `arr_1`,
    `label` or `labels`. `names` are those of the files that the images were, and without them
    '000000', '000001', ...: by these they are sorted and held out.

    Args:
      path: of the file, as np.savez or np.savez_compressed wrote it.

    Raises:
      ValueError: the images are not there, not uint8, or none; the labels are not N whole numbers,
        or the names not N different ones; or the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            keys = {name.removesuffix('.npy') for name in archive.namelist()}
            key, label_key = next((pair for pair in KEYS if pair[0] in keys), (None, None))
            if key is None:
                raise ValueError(f'holds {sorted(keys)}; images are arr_0, image or images')
            images = _array(path, archive, key)
            labels = _array(path, archive, label_key) if label_key in keys else None
            names = _array(path, archive, NAMES) if NAMES in keys else None
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or not images.size:
            raise ValueError(
                f'has {key} of {images.dtype} {images.shape}; images are uint8 [N, H, W, C]'
            )
        return NpzImages(
            images, _labels(label_key, labels, len(images)), _names(names, len(images))
        )
    except ValueError as error:
        raise ValueError(f'{path} {one_line(error)}') from None
    except Exception as error:
        raise ValueError(f'{path} is damaged: {one_line(error)}') from None


def _array(path: pathlib.Path, archive: zipfile.ZipFile, key: str) -> np.ndarray:
    """An array of the file: a map of it where it is stored as it is, and else read."""
    entry = archive.getinfo(f'{key}.npy')
    with archive.open(entry) as stream:
        version = np.lib.format.read_magic(stream)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in readers:
            raise ValueError(f'has {key} in the format {version}; 1.0 and 2.0 are read')
        shape, in_columns, dtype = readers[version](stream)
        start = stream.tell()
    is_stored = entry.compress_type == zipfile.ZIP_STORED
    if not is_stored or in_columns or dtype.hasobject or 0 in shape:
        with archive.open(entry) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    with path.open('rb') as stream:
        stream.seek(entry.header_offset + LENGTHS)
        lengths = np.frombuffer(stream.read(4), '<u2')
    offset = entry.header_offset + HEADER + int(lengths.sum()) + start
    return np.memmap(path, dtype, 'r', offset, shape)


def _labels(key: str, labels: np.ndarray | None, n: int) -> np.ndarray | None:
    if labels is None:
        return None
    is_whole = labels.shape == (n,) and labels.dtype.kind in 'iu'
    if not is_whole or not 0 <= labels.min() <= labels.max() < 2**31 - 1:
        raise ValueError(
            f'has {key} of {labels.dtype} {labels.shape}; labels are {n} whole numbers from 0 on'
        )
    return np.array(labels, np.int32)


def _names(names: np.ndarray | None, n: int) -> list[str]:
    if names is None:
        return [f'{i:06}' for i in range(n)]
    texts = names.tolist()
    if names.shape != (n,) or names.dtype.kind != 'U' or len(set(texts)) < n:
        raise ValueError(
            f'has names of {names.dtype} {names.shape}; they are {n} texts, each another'
        )
    return texts
