"""Statistics of features in a file, from which Frechet distances can be had without the images.

The file is an `.npz` with the keys `mu` and `sigma`, as pytorch-fid and EDM's fid.py write and read
it; ours says besides how many images it is of, and by which features. D features.
"""

import io
import zipfile
from typing import NamedTuple

import numpy as np

from genjax.metrics.frechet import Moments

KEYS = ('mu', 'sigma')
TEXTS = ('extractor', 'weights', 'resize', 'source', 'images')


class Statistics(NamedTuple):
    """Moments of features, and of which; a text is '' where the file does not say it."""

    moments: Moments  # n is infinity where the file does not say it
    extractor: str = ''
    weights: str = ''  # of the extractor, their digest
    resize: str = ''  # before the extractor, in words
    source: str = ''  # of the images, in words
    images: str = ''  # a digest of their levels


def to_npz(statistics: Statistics) -> bytes:
    """Statistics as a file that pytorch-fid and EDM's fid.py read too."""
    moments = statistics.moments
    arrays = {'mu': moments.mean, 'sigma': moments.covariance, 'n': np.float64(moments.n)}
    arrays |= {name: np.str_(getattr(statistics, name)) for name in TEXTS}
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def from_npz(content: bytes) -> Statistics:
    """Statistics as `to_npz`, pytorch-fid or EDM's fid.py wrote them.

    Raises:
      ValueError: they are not such a file, not finite or of no covariance.
    """
    arrays = _read(content)
    mean = arrays['mu']
    covariance = arrays['sigma']
    if mean.ndim != 1 or not len(mean) or covariance.shape != (len(mean), len(mean)):
        raise ValueError(
            f'mu has shape {mean.shape} and sigma {covariance.shape}; [D] and [D, D] are wanted'
        )
    for name in KEYS:
        if arrays[name].dtype.kind != 'f' or not np.isfinite(arrays[name]).all():
            raise ValueError(f'{name} is not of finite floating point numbers')
    mean = mean.astype(np.float64)
    covariance = covariance.astype(np.float64)
    scale = np.abs(covariance).max()
    asymmetry = np.abs(covariance - covariance.T).max()
    if asymmetry > 1e-5 * scale or np.diagonal(covariance).min() < 0:
        raise ValueError('sigma is no covariance; a symmetric matrix with no variance below 0 is')
    n = arrays.get('n', np.float64(np.inf))
    if n.shape or n.dtype.kind not in 'fiu' or not n >= 2:
        raise ValueError(f'n is {n}; a covariance needs at least 2 images')
    texts = {name: ' '.join(str(arrays[name]).split()) for name in TEXTS if name in arrays}
    return Statistics(Moments(mean, covariance, float(n)), **texts)


def is_statistics(names: list[str]) -> bool:
    """Whether an `.npz` with arrays of these names holds statistics."""
    return set(KEYS) <= set(names)


def _read(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of a file that has those of statistics; nothing that it holds is run."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            if not is_statistics(file.files):
                raise ValueError(f'it has the arrays {file.files}; mu and sigma are needed')
            wanted = [name for name in file.files if name in (*KEYS, 'n', *TEXTS)]
            return {name: file[name] for name in wanted}
    except (zipfile.BadZipFile, EOFError, OSError, AttributeError) as error:
        raise ValueError(f'it is no .npz of arrays: {" ".join(str(error).split())}') from None
