"""A Gaussian mixture for gradient descent, by parameters that any real numbers may be.

B examples, D columns, K components.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jax import Array
from jax.scipy.special import logsumexp

from genjax.algorithms.mixture.covariances import Covariance
from genjax.algorithms.mixture.density import Mixture, draw, log_joint
from genjax.algorithms.mixture.starts import hard_start
from genjax.base import Batch, Key
from genjax.parallel import example_keys


class Unconstrained(NamedTuple):
    """A density by its parameters: a `Mixture` of logits, means and unconstrained factors."""

    init: Callable[[Key, Batch], Mixture]
    log_prob: Callable[[Mixture, Array], Array]  # (params, x [B, D]) -> nats [B]
    sample: Callable[[Key, Mixture, int], Array]  # (key, params, n) -> [n, D]


def unconstrained(
    components: int, *, covariance: Covariance, floor: float = 1e-6, rows: int = 256
) -> Unconstrained:
    """The density of `mixture` as functions for `density`, which start from `hard_start`.

    Args:
      components: K.
      covariance: full, tied or diagonal.
      floor: of the start alone, as of `mixture`.
      rows: of the start, as of `mixture`.
    """

    def constrain(params):
        log_weights = jax.nn.log_softmax(params.log_weights)
        return Mixture(log_weights, params.means, covariance.constrain(params.factors))

    def init(key, batch):
        mixture = hard_start(key, covariance, batch['x'], components, floor, rows)
        return mixture._replace(factors=covariance.unconstrain(mixture.factors))

    def log_prob(params, x):
        return logsumexp(log_joint(covariance, constrain(params), x), -1)

    def sample(key, params, n):
        def draw_one(key):
            return draw(key, covariance, constrain(params))

        return jax.vmap(draw_one)(example_keys(key, n))

    return Unconstrained(init, log_prob, sample)
