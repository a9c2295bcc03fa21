"""Principal component analysis: the directions of largest variance, in one pass over the rows.

The state is a mean and a covariance; components follow from these by a `Solver`. Sources are named
in `moments`, `levels`, `components` and `density`.

B rows, D columns, K components.
"""

import jax
import jax.numpy as jnp

from genjax.algorithms.pca.components import principal_components, project, reconstruct
from genjax.algorithms.pca.density import draw, losses
from genjax.algorithms.pca.moments import centred, empty, mean, merge
from genjax.algorithms.pca.solvers import Solver, exact
from genjax.base import Algorithm
from genjax.parallel import example_keys


def pca(
    dimension: int,
    *,
    solver: Solver = exact,
    whiten: bool = False,
    correction: int = 0,
) -> Algorithm:
    """PCA: batches are {'x': float32 [B, D]}, the state is `Moments`, up to 2^32 - 1 rows.

    An update's metric is 'loss', the total variance so far; infinite, which ends the run, past that
    many rows. Those of `evaluate` are `losses`. `encode` gives codes [B, K], `sample` rows [n, D]
    of probabilistic PCA.

    Args:
      dimension: K.
      solver: `exact`, `randomised()`, or `selection`, which keeps columns in place of directions.
      whiten: whether codes are scaled to unit variance.
      correction: as of `principal_components`; 1 as in scikit-learn.

    Raises:
      ValueError: dimension lies outside 1 to D, or rows are no vectors.
    """
    if dimension < 1:
        raise ValueError(f'dimension is {dimension}; at least 1 component is needed')

    def components(state):
        return principal_components(state, dimension, solver, correction)

    def init(key, batch):
        shape = batch['x'].shape
        if len(shape) != 2 or shape[1] < dimension:
            raise ValueError(
                f'dimension is {dimension}, x has shape {shape}; '
                f'needed: [B, D], D of {dimension} or more'
            )
        return empty(jnp.mean(batch['x'], 0))

    def update(key, state, batch):
        merged = merge(state, batch['x'])
        counted = merged.count > state.count
        return merged, {'loss': jnp.where(counted, jnp.trace(merged.covariance), jnp.inf)}

    def evaluate(key, state, batch):
        return losses(components(state), centred(state, batch['x']))

    def sample(key, state, n):
        rows = jax.vmap(draw, (0, None))(example_keys(key, n), components(state))
        return mean(state)[None] + rows

    def encode(key, state, batch):
        return project(components(state), centred(state, batch['x']), whiten)

    def decode(key, state, code):
        return mean(state)[None] + reconstruct(components(state), code, whiten)

    return Algorithm(init, update, evaluate, sample, encode, decode)
