"""Samples in files: PNG by number, or one .npz, written in parts that are there in whole or not.

Letters: N samples, B of a group, H x W pixels, C channels.
"""

import io
import json
import pathlib
import shutil
import zipfile
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from genjax.training.samples import png, write_atomically

NPZ = '.npz'
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the time of what is in a zip file, so that equal is equal


class Files(NamedTuple):
    """Where samples go.

    Attributes:
      folder: that is locked while they are written.
      has: group -> whether all of its samples are there.
      write: (group, grey levels uint8 [B, H, W, C]) -> None.
      finish: what is done when all groups are there.
    """

    folder: pathlib.Path
    has: Callable[[int], bool]
    write: Callable[[int, np.ndarray], None]
    finish: Callable[[], None]


def numbers_of(group: int, size: int, n: int) -> range:
    """The numbers of the samples of a group, of n in all."""
    return range(group * size, min((group + 1) * size, n))


def png_files(folder: pathlib.Path, n: int, size: int, labels: Sequence[int]) -> Files:
    """000000.png, 000001.png, ... and, where there are labels, dataset.json, as StyleGAN's tools
    and EDM's have it.

    Args:
      folder: of the files.
      n: N.
      size: B.
      labels: of the samples, in turn; empty for none.
    """

    def name(i):
        return f'{i:06d}.png'

    there = {path.name for path in folder.glob('*.png')}

    def has(group):
        return all(name(i) in there for i in numbers_of(group, size, n))

    def write(group, levels):
        for i, image in zip(numbers_of(group, size, n), levels, strict=False):
            if name(i) not in there:
                write_atomically(folder / name(i), png(image))

    def finish():
        if labels:
            rows = [[name(i), labels[i % len(labels)]] for i in range(n)]
            write_atomically(folder / 'dataset.json', json.dumps({'labels': rows}).encode())

    return Files(folder, has, write, finish)


def npz_file(path: pathlib.Path, n: int, size: int, labels: Sequence[int]) -> Files:
    """One file with arr_0, uint8 [N, H, W, C], and, where there are labels, arr_1, int64 [N].

    So guided-diffusion's evaluator reads it. Until it is whole its parts lie in a folder beside it.

    Args:
      path: of the file.
      n, size, labels: as in `png_files`.
    """
    folder = path.with_name(f'{path.name}.parts')

    def part(group):
        return folder / f'{group:08d}.npy'

    there = {file.name for file in folder.glob('*.npy')}

    def has(group):
        return path.exists() or part(group).name in there

    def write(group, levels):
        file = io.BytesIO()
        np.save(file, levels)
        write_atomically(part(group), file.getvalue())

    def finish():
        if not path.exists():
            partial = path.with_name(f'.{path.name}.partial')
            with zipfile.ZipFile(partial, 'w') as archive:
                groups = range(-(-n // size))
                arrays = (np.load(part(g))[: len(numbers_of(g, size, n))] for g in groups)
                _write_rows(archive, 'arr_0', n, arrays)
                if labels:
                    _write_rows(archive, 'arr_1', n, [np.resize(np.asarray(labels, np.int64), n)])
            partial.replace(path)
        shutil.rmtree(folder, ignore_errors=True)

    return Files(folder, has, write, finish)


def _write_rows(archive: zipfile.ZipFile, name: str, n: int, arrays: Iterable[np.ndarray]) -> None:
    """Writes arrays as the n rows of one, as numpy.savez does, holding one of them at a time."""
    info = zipfile.ZipInfo(f'{name}.npy', LONG_AGO)
    with archive.open(info, 'w', force_zip64=True) as file:
        for i, array in enumerate(arrays):
            if not i:
                header = {
                    'descr': np.lib.format.dtype_to_descr(array.dtype),
                    'fortran_order': False,
                    'shape': (n, *array.shape[1:]),
                }
                np.lib.format.write_array_header_1_0(file, header)
            file.write(array.tobytes())
