"""Real features, normal within a class.

B examples, D features, C classes.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.algorithms.naive_bayes.features import Feature
from genjax.algorithms.naive_bayes.moments import ClassMoments, batch_moments, empty, merge, pool
from genjax.parallel import device_mean


def gaussian(
    smoothing: float = 1e-9, *, shared: bool = False
) -> Feature[ClassMoments, tuple[Array, Array]]:
    """Real features, normal within a class; the parameters are means and variances, [C, D] each.

    A class without examples has those of all; where nothing has varied yet the variance is 1.

    Args:
      smoothing: this times the largest variance of a feature over all examples is added to every
        variance, as in scikit-learn's GaussianNB; a feature that is constant within a class would
        have no density.
      shared: one variance a feature, the mean of the classes'; p(y | x) then has the form of a
        logistic regression (Ng and Jordan 2002, "On discriminative vs. generative classifiers").

    Raises:
      ValueError: smoothing is not positive.
    """
    if not 0 < smoothing < np.inf:
        raise ValueError(f'smoothing is {smoothing}; it must be positive')

    def add(state, label, x):
        origin = jnp.where(jnp.any(state.count > 0), state.origin, device_mean(jnp.mean(x, 0)))
        batch = batch_moments(label, x, origin, len(state.count))
        return merge(state._replace(origin=origin), batch)

    def fit(state):
        mean, variance, within = pool(state)
        has_examples = (state.count > 0)[:, None]
        means = jnp.where(has_examples, state.mean, mean[None])

        own = jnp.broadcast_to(within[None], state.variance.shape) if shared else state.variance
        variances = jnp.where(has_examples, own, variance[None]) + smoothing * jnp.max(variance)
        return state.origin[None] + means, jnp.where(variances > 0, variances, 1.0)

    def log_prob(parameters, x, floor):
        mean, variance = parameters
        nats = -jnp.sum((x - mean) ** 2 / variance + jnp.log(2 * jnp.pi * variance)) / 2
        return nats, 0.0

    def draw(key, parameters):
        mean, variance = parameters
        return mean + jnp.sqrt(variance) * jax.random.normal(key, mean.shape)

    return Feature('the finite numbers', jnp.isfinite, empty, add, fit, log_prob, draw)
