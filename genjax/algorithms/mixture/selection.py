"""How many components a mixture should have."""

import math

from jax import Array

from genjax.algorithms.mixture.covariances import Covariance


def parameters(covariance: Covariance, components: int, size: int) -> int:
    """The number of free parameters for D columns: of covariances, means and weights.

    Args:
      covariance: the structure.
      components: K.
      size: D.
    """
    return covariance.count(components, size) + components * size + components - 1


def bic(loss: Array | float, parameters: int, examples: int) -> Array | float:
    """The Bayesian information criterion of Schwarz 1978; lower is better.

    Args:
      loss: mean -log p(x) over the examples fitted, in nats.
      parameters: free ones.
      examples: fitted.
    """
    return 2 * examples * loss + parameters * math.log(examples)
