"""Principal components: derived from moments, and maps to codes and back.

Tipping and Bishop 1999, "Probabilistic principal component analysis" (J. R. Statist. Soc. B 61),
whose equation numbers these are.

B rows, D columns, K components, N rows in all.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from genjax.algorithms.pca.levels import RESOLUTION, deflate
from genjax.algorithms.pca.moments import Moments
from genjax.algorithms.pca.solvers import Solver, exact
from genjax.numerics.products import matmul


class Components(NamedTuple):
    """Directions of largest variance."""

    variances: Array  # [K], along the directions, the largest first
    directions: Array  # [K, D], rows of unit length
    total: Array  # [], the variance of all columns together
    rest: Array  # [], the part of it that the directions leave out


def principal_components(
    moments: Moments, dimension: int, solver: Solver = exact, correction: int = 0
) -> Components:
    """The components of the rows of these moments.

    Args:
      moments: of N rows.
      dimension: K.
      solver: which directions are kept.
      correction: variances are sums divided by N - correction: 0 maximises the likelihood, 1 is
        unbiased.
    """
    count = moments.count.astype(jnp.float32)
    covariance = moments.covariance * (count / jnp.maximum(count - correction, 1))
    # A constant column's mean has been rounded.
    varies = jnp.diagonal(covariance) > (RESOLUTION * moments.shift) ** 2
    covariance = jnp.where(varies[:, None] & varies[None], covariance, 0)

    variances, directions = solver(covariance, dimension)
    independent = jnp.sum(directions**2 * jnp.diagonal(covariance)[None], 1)
    variances = jnp.where(variances > RESOLUTION * independent, variances, 0)
    order = jnp.argsort(-variances)
    rest = jnp.trace(deflate(covariance, directions))
    return Components(variances[order], directions[order], jnp.trace(covariance), rest)


def explained_variance_ratio(components: Components) -> Array:
    """The share of the variance of the data that each component has, [K]."""
    return components.variances / components.total


def noise_variance(components: Components) -> Array:
    """sigma^2, the mean variance of the directions left out (eq. 8), [].

    0 where there are none, or they do not vary. It is their own sum: the total less the variances
    kept would be rounded like the largest.
    """
    count, columns = components.directions.shape
    if count == columns:
        return jnp.zeros_like(components.rest)
    return components.rest / (columns - count)


def loadings(components: Components) -> Array:
    """W^T = (Lambda - sigma^2 I)^{1/2} U^T, [K, D] (eq. 7, without its arbitrary rotation)."""
    scale = jnp.sqrt(jnp.maximum(components.variances - noise_variance(components), 0))
    return scale[:, None] * components.directions


def project(components: Components, x: Array, whiten: bool = False) -> Array:
    """Codes [B, K] of centred rows.

    Args:
      components: K of them.
      x: [B, D], less the mean.
      whiten: scales codes to unit variance; those along which the rows do not vary are 0.
    """
    code = matmul(x, components.directions.T)
    scale = jnp.ones_like(components.variances)
    if whiten:
        scale = jnp.where(components.variances > 0, jnp.sqrt(components.variances), jnp.inf)
    return code / scale[None]


def reconstruct(components: Components, code: Array, whiten: bool = False) -> Array:
    """Rows [B, D], still centred, from codes [B, K] of `project`."""
    scale = jnp.ones_like(components.variances)
    if whiten:
        scale = jnp.sqrt(components.variances)
    return matmul(code * scale[None], components.directions)
