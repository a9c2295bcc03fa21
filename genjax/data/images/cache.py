"""The arrays of a split, decoded once and then read from a cache file.

Letters: N examples, H x W pixels, C channels.
"""

import contextlib
import functools
import math
import os
import pathlib
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from genjax.data.images.examples import Examples
from genjax.data.progress import progress
from genjax.data.resident import fingerprint
from genjax.home import cache_folder, is_writable, why_no_cache

# 'image' uint8 [N, H, W, C] and, of labelled sets, 'label' int32 [N]
Arrays = dict[str, np.ndarray]

CHUNK = 2**23  # bytes of levels that a thread decodes at a time

# What reading a damaged cache file can raise.
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


def cached_arrays(examples: Examples, beside: pathlib.Path, file: str) -> Arrays:
    """The decoded arrays of a split, from a cache file if there is one, which is written otherwise.

    Args:
      examples: of the split.
      beside: folder of the prepared set, where the cache file lies; where that is read-only, it
        lies in the user's cache folder.
      file: name of the cache file. It is to differ wherever the arrays may.

    Raises:
      ValueError: an example is refused, see `Examples`.
    """
    users = cache_folder()
    folders = [beside] if users is None else [beside, users]
    for folder in folders:
        arrays = _load(folder / file, (len(examples), *examples.shape))
        if arrays is not None:
            return arrays

    arrays = _decode(examples)
    for folder in folders:
        if is_writable(folder):
            _save(folder / file, arrays)
            return arrays
    _warn_of_no_cache(beside)
    return arrays


@functools.cache
def _warn_of_no_cache(folder: pathlib.Path) -> None:
    """Says, once for all splits of a set, that it is decoded anew each time, and what to set."""
    print(f'{folder} is read-only, and decoded anew each time: {why_no_cache()}', file=sys.stderr)


def _load(path: pathlib.Path, shape: tuple[int, ...]) -> Arrays | None:
    """The arrays of a cache file; None where there is no sound file with images of that shape."""
    with contextlib.suppress(*UNREADABLE), path.open('rb') as stream, np.load(stream) as archive:
        arrays = dict(archive)
        digest = str(arrays.pop('fingerprint'))
        image = arrays['image']
        sound = image.shape == shape and image.dtype == np.uint8 and fingerprint(arrays) == digest
        if sound:
            return arrays
    return None


def _save(path: pathlib.Path, arrays: Arrays) -> None:
    """Writes a cache file in one step, or none: it only saves time, so a full disk stops no run."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix='.decoding') as folder:
            partial_file = pathlib.Path(folder) / path.name
            np.savez(partial_file, fingerprint=fingerprint(arrays), **arrays)
            partial_file.replace(path)


def _decode(examples: Examples) -> Arrays:
    """Decodes every example by threads, in chunks, each into its place in one array."""
    n = len(examples)
    chunk = max(1, CHUNK // math.prod(examples.shape))
    starts = range(0, n, chunk)
    parts = [range(start, min(start + chunk, n)) for start in starts]
    whole: Arrays = {}
    with (
        progress(sys.stderr, 'reading', 'images', n) as show,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        show(0)
        # Where one is refused, or the user interrupts, map calls off what has not begun.
        for part, arrays in zip(parts, pool.map(examples.arrays, parts), strict=True):
            for name, array in arrays.items():
                if name not in whole:
                    whole[name] = np.empty((n, *array.shape[1:]), array.dtype)
                whole[name][part.start : part.stop] = array
            show(part.stop)
    return whole
