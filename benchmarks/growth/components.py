"""An iteration of EM against the components of a Gaussian mixture: 60,000 rows of 32 columns.

Both sides begin at the same parameters in float32. scikit-learn's iteration is what a fit of three
costs more than a fit of one, by half.
"""

import time
import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.growth.meters import compiled, memory, seconds
from benchmarks.growth.subject import Measure, Options, Subject
from genjax.algorithms.mixture import Covariance, diagonal, from_covariances, full, mixture

COLUMNS = 32
FLOOR = 1e-3


def _problem(name: str, size: float, options: Options):
    """Rows, and the weights, means and covariances to start from, all float32."""
    rng = np.random.default_rng(0)
    rows = 500 if options.small else 60_000
    components = int(size)
    x = rng.normal(size=(rows, COLUMNS)).astype(np.float32)
    x += rng.normal(size=(components, COLUMNS)).astype(np.float32)[np.arange(rows) % components]
    one = np.ones(COLUMNS) if name == 'diag' else np.eye(COLUMNS)
    weights = np.full(components, 1 / components, np.float32)
    return x, weights, x[:components], np.stack([one] * components).astype(np.float32)


def genjax(name: str, covariance: Covariance, size: float, options: Options) -> dict[str, float]:
    """One update by genjax."""
    x, *parameters = _problem(name, size, options)
    start = from_covariances(covariance, *map(jnp.asarray, parameters))
    algorithm = mixture(int(size), covariance=covariance, floor=FLOOR, start=start)
    key = jax.random.key(0)
    measures = {}
    with memory(measures):
        batch = {'x': jnp.asarray(x)}
        state = algorithm.init(key, batch)
        step, measures['program'] = compiled(algorithm.update, key, state, batch)
        measures['step'] = seconds(lambda: step(key, state, batch))
    return measures


def scikit_learn(name: str, size: float, options: Options) -> dict[str, float]:
    """One iteration by scikit-learn."""
    from sklearn.mixture import GaussianMixture

    warnings.simplefilter('ignore')  # that it has not converged
    x, weights, means, covariances = _problem(name, size, options)
    settings = dict(
        covariance_type=name,
        reg_covar=FLOOR,
        tol=0,
        init_params='random_from_data',
        weights_init=weights,
        means_init=means,
        precisions_init=covariances,
        random_state=0,
    )

    def fit(iterations):
        start = time.process_time()
        GaussianMixture(int(size), max_iter=iterations, **settings).fit(x)
        return time.process_time() - start

    measures = {}
    with memory(measures):
        fit(1)
        short = fit(1)
        measures['step'] = (fit(3) - short) / 2
    return measures


SUBJECT = Subject(
    varied='components of a mixture',
    sizes=(4, 8, 16, 32, 64, 128, 256),
    small=(2, 4),
    sides={
        'genjax, full': partial(genjax, 'full', full),
        'genjax, diagonal': partial(genjax, 'diag', diagonal),
        'scikit-learn, full': partial(scikit_learn, 'full'),
        'scikit-learn, diagonal': partial(scikit_learn, 'diag'),
    },
    measures={'step': Measure('s', 1), 'memory': Measure('GiB', 1), 'program': Measure('GiB', 1)},
)
