"""Images on the device against their number: 28 x 28 grey levels, drawn at random.

'loading' puts them there and takes their fingerprint, 'step' is one batch of 100 made by a shuffled
epoch, whatever the number of images, and 'pca' one pass of PCA in batches of 1,000 with its 50
components. scikit-learn's PCA is given the same levels as float32, which it wants whole.
"""

import time

import jax
import numpy as np

from benchmarks.growth.meters import memory, seconds, training_seconds
from benchmarks.growth.subject import Measure, Options, Subject
from genjax.algorithms.pca import exact, pca, principal_components
from genjax.data.resident import resident

SIDE = 28
COMPONENTS = 50
BATCH = 100
PASS_BATCH = 1000


def _images(size: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (int(size), SIDE, SIDE, 1), np.uint8)


def _to_rows(rows, step):
    """Grey levels in [0, 1], [B, 784]."""
    images = rows['image']
    return {'x': images.reshape(len(images), -1) / np.float32(255)}


def genjax(size: float, options: Options) -> dict[str, float]:
    """Loading, batches and PCA by genjax."""
    arrays = {'image': _images(size)}
    batch = min(PASS_BATCH, len(arrays['image']))
    measures = {}
    with memory(measures):
        start = time.process_time()
        feed = resident(arrays, batch=min(BATCH, batch), seed=0)
        jax.block_until_ready(feed.arrays)
        measures['loading'] = time.process_time() - start

        make_batch = jax.jit(feed.make_batch)
        measures['step'] = seconds(lambda: make_batch(feed.arrays, np.int32(1)))

        rows = resident(feed.arrays, batch=batch, seed=0, transform=_to_rows)
        algorithm = pca(COMPONENTS)
        _, passed = training_seconds(algorithm, rows, int(size) // batch)
        moments = algorithm.init(jax.random.key(0), rows[0])
        moments, _ = algorithm.update(jax.random.key(0), moments, rows[0])
        solve = jax.jit(lambda moments: principal_components(moments, COMPONENTS, exact))
        measures['pca'] = passed + seconds(lambda: solve(moments))
    return measures


def scikit_learn(size: float, options: Options) -> dict[str, float]:
    """PCA by scikit-learn's fastest exact solver."""
    from sklearn.decomposition import PCA

    images = _images(size)
    measures = {}
    with memory(measures):
        start = time.process_time()
        rows = images.reshape(len(images), -1) / np.float32(255)
        PCA(COMPONENTS, svd_solver='covariance_eigh').fit(rows)
        measures['pca'] = time.process_time() - start
    return measures


SUBJECT = Subject(
    varied='images',
    sizes=(1000, 10_000, 100_000, 1_000_000),
    small=(200, 400),
    sides={'genjax': genjax, 'scikit-learn': scikit_learn},
    measures={
        'loading': Measure('s', 1),
        'step': Measure('s', 0),
        'pca': Measure('s', 1),
        'memory': Measure('GiB', 1),
    },
)
