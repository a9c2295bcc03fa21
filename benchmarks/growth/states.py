"""A step of Baum and Welch's EM against the states of the model: 64 sequences of 500 symbols.

Every transition costs something at every place, so the time should grow as the square of the
states; what is kept is a few numbers for each state and place, and grows as the states do. hmmlearn
fits the same sequences, in logarithms and by scaling, from parameters of its own.
"""

from functools import partial

import jax
import numpy as np

from benchmarks.growth.meters import compiled, memory, seconds
from benchmarks.growth.subject import Measure, Options, Subject
from genjax.algorithms.hmm import discrete, hmm, log_product, scaled_product
from genjax.algorithms.hmm.scans import Product

SYMBOLS = 27


def _symbols(options: Options) -> np.ndarray:
    shape = (4, 20) if options.small else (64, 500)
    return np.random.default_rng(0).integers(0, SYMBOLS, shape, np.int32)


def genjax(product: Product, size: float, options: Options) -> dict[str, float]:
    """One update by genjax."""
    algorithm = hmm(int(size), discrete(SYMBOLS), product=product)
    key = jax.random.key(0)
    measures = {}
    with memory(measures):
        batch = {'x': jax.numpy.asarray(_symbols(options))}
        state = algorithm.init(key, batch)
        step, measures['program'] = compiled(algorithm.update, key, state, batch)
        measures['step'] = seconds(lambda: step(key, state, batch))
    return measures


def hmmlearn(implementation: str, size: float, options: Options) -> dict[str, float]:
    """One iteration by hmmlearn."""
    from hmmlearn.hmm import CategoricalHMM

    x = _symbols(options)
    column = x.reshape(-1, 1)
    settings = dict(n_iter=1, tol=0.0, random_state=0, implementation=implementation)
    measures = {}
    with memory(measures):

        def step():
            CategoricalHMM(int(size), **settings).fit(column, [x.shape[1]] * len(x))

        measures['step'] = seconds(step)
    return measures


SUBJECT = Subject(
    varied='states of an HMM',
    sizes=(4, 8, 16, 32, 64, 128),
    small=(2, 4),
    sides={
        'genjax, logarithms': partial(genjax, log_product),
        'genjax, scaling': partial(genjax, scaled_product),
        'hmmlearn, logarithms': partial(hmmlearn, 'log'),
        'hmmlearn, scaling': partial(hmmlearn, 'scaling'),
    },
    measures={'step': Measure('s', 2), 'memory': Measure('GiB', 1), 'program': Measure('GiB', 1)},
)
