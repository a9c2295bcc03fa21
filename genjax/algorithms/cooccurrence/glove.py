"""GloVe: word vectors whose products are the logarithms of co-occurrence counts.

Pennington et al. 2014, "GloVe: global vectors for word representation" (EMNLP). Vectors w and
w~ and biases b and b~ of words and contexts minimise, over the pairs that occurred,

    J = sum_ij f(X_ij) (w_i.w~_j + b_i + b~_j - log X_ij)^2    (equation 8)

Letters: V words, D dimensions, B entries of a batch, X_ij how often context j occurred near word i.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from genjax.algorithms.cooccurrence.sparse import to_scipy
from genjax.base import Algorithm
from genjax.counting import Counts
from genjax.descent import descend


def power_weight(x_max: float = 100.0, alpha: float = 0.75) -> Callable[[Array], Array]:
    """The weight f(x) = min(1, (x / x_max)^alpha) of a count x (equation 9).

    Raises:
      ValueError: x_max is not above 0, or alpha is below 0.
    """
    if not (x_max > 0 and alpha >= 0):
        raise ValueError(
            f'x_max is {x_max}, alpha {alpha}; needed: a number above 0, one of 0 or more'
        )

    def weight(x):
        return jnp.minimum(1, (x / x_max) ** alpha)

    return weight


def entries(
    counts: Counts, vocabulary_size: int, *, unit: float = 1, symmetric: bool = True
) -> dict[str, np.ndarray]:
    """The nonzero entries of N(w, c), as `glove` takes them.

    Args:
      counts: of pairs, as `cooccurrence` has them.
      vocabulary_size: V.
      unit: what a count of 1 is in the table: the weight of the distance 1.
      symmetric: as of `count_matrix`.

    Returns:
      'row' and 'column', int32 [E], and 'count', float32 [E], above 0.
    """
    matrix = to_scipy(counts, vocabulary_size, symmetric).tocoo()
    return {
        'row': matrix.row.astype(np.int32),
        'column': matrix.col.astype(np.int32),
        'count': (matrix.data / unit).astype(np.float32),
    }


def glove(
    vocabulary_size: int,
    optimizer: optax.GradientTransformation,
    *,
    dimension: int,
    weight: Callable[[Array], Array],
) -> Algorithm:
    """Word vectors from batches of entries {'row', 'column': int32 [B], 'count': float32 [B]}.

    The loss of an entry is its term of J. `encode` gives w + w~ of the rows, [B, D], as section
    4.2 of the paper has it. Where a word lies outside 0 to V - 1 or a count is not above 0, loss
    and code are NaN, which ends a run.

    Args:
      vocabulary_size: V.
      optimizer: of the mean over a batch, as `optax.adagrad(0.3, B**-2, 1e-30)`. The authors step
        after each entry, by AdaGrad whose accumulators begin above 0, so that rows of rare words
        take short steps; gradients of single rows are small in a mean of B, so are these.
      dimension: D.
      weight: f, of counts [B].

    Raises:
      ValueError: vocabulary_size or dimension is below 1.
    """
    if min(vocabulary_size, dimension) < 1:
        raise ValueError(
            f'vocabulary_size is {vocabulary_size}, dimension {dimension}; at least 1 is needed'
        )

    def losses(key, params, batch):
        del key
        row = batch['row']
        column = batch['column']
        products = jnp.sum(params['words'][row] * params['contexts'][column], -1)
        biases = params['word_biases'][row] + params['context_biases'][column]
        errors = products + biases - jnp.log(batch['count'])
        valid = in_range(row) & in_range(column) & (batch['count'] > 0)
        return {'loss': jnp.where(valid, weight(batch['count']) * errors**2, jnp.nan)}

    def in_range(words):
        return (words >= 0) & (words < vocabulary_size)

    descent = descend(losses, optimizer)

    def init(key, batch):
        del batch
        word_key, context_key = jax.random.split(key)

        def vectors(key):
            shape = (vocabulary_size, dimension)
            return jax.random.uniform(key, shape, minval=-0.5, maxval=0.5) / dimension

        return descent.init(
            {
                'words': vectors(word_key),
                'contexts': vectors(context_key),
                'word_biases': jnp.zeros(vocabulary_size),
                'context_biases': jnp.zeros(vocabulary_size),
            }
        )

    def evaluate(key, state, batch):
        return losses(key, state.average, batch)

    def encode(key, state, batch):
        del key
        row = batch['row']
        codes = state.average['words'][row] + state.average['contexts'][row]
        return jnp.where(in_range(row)[:, None], codes, jnp.nan)

    return Algorithm(init, descent.update, evaluate, encode=encode)
