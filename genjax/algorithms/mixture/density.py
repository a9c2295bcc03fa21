"""The parameters of a Gaussian mixture, and its density: p(x) = sum_k w_k N(x; m_k, S_k).

C examples, D columns, K components.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.mixture.covariances import Covariance
from genjax.base import Key


class Mixture(NamedTuple):
    """The parameters."""

    log_weights: Array  # [K]
    means: Array  # [K, D]
    factors: Array  # L_k, S_k = L_k L_k^T, [K, D, D] in full


def from_covariances(
    covariance: Covariance, weights: Array, means: Array, covariances: Array
) -> Mixture:
    """A mixture of weights [K], means [K, D] and covariances in the shape of their structure."""
    factors = covariance.factor(jnp.asarray(covariances))
    return Mixture(jnp.log(weights), jnp.asarray(means), factors)


def log_joint(covariance: Covariance, mixture: Mixture, x: Array) -> Array:
    """log w_k N(x; m_k, S_k) of x [C, D], [C, K] in nats.

    Its logsumexp is log p(x), its softmax p(k | x).
    """
    log_normals, _ = covariance.normals(mixture.means, mixture.factors)(x)
    return mixture.log_weights[None] + log_normals


def draw(key: Key, covariance: Covariance, mixture: Mixture) -> Array:
    """One x [D]."""
    component_key, noise_key = jax.random.split(key)
    k = jax.random.categorical(component_key, mixture.log_weights)
    factors = broadcast_factors(mixture)
    noise = jax.random.normal(noise_key, mixture.means.shape[1:])
    return mixture.means[k] + covariance.colour(factors[k], noise)


def broadcast_factors(mixture: Mixture) -> Array:
    """The factors, one for each component, whether they are shared or not."""
    components = len(mixture.means)
    return jnp.broadcast_to(mixture.factors, (components, *mixture.factors.shape[1:]))
