"""Probabilistic PCA: the density N(mean, W W^T + sigma^2 I) of rows, and draws from it.

Tipping and Bishop 1999, "Probabilistic principal component analysis" (J. R. Statist. Soc. B 61),
whose equation numbers these are.

All is float32. A sum of products holds the entry i, j of a covariance C to some eps sqrt(C_ii
C_jj), so the variance v^T C v of a direction v is measured against that of independent columns,
sum_i v_i^2 C_ii:

- The density that `losses` reports is that of the `loadings` and the `noise_variance`, whatever the
  data.
- That density is within 1e-2 nats of the likeliest, as float64 computes it, while in every
  direction the variance of the likeliest is over D RESOLUTION of that of independent columns, and
  updates are few beside 1 / eps. Columns may differ in scale, and the variances of separate columns
  with them, by any factor that float32 holds.
- Beyond, as where columns of like scale nearly determine each other, a direction is given the
  variance that its sums show, in which rounding has a share, and under RESOLUTION 0: then it does
  not vary.

B rows, D columns, K components.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.algorithms.pca.components import (
    Components,
    loadings,
    noise_variance,
    project,
    reconstruct,
)
from genjax.base import Key, Metrics
from genjax.numerics.products import matmul


def losses(components: Components, x: Array) -> Metrics:
    """'loss', -log p(x) in nats, and 'squared_error' of the reconstruction, [B] each.

    W and sigma^2 are those of `loadings` and `noise_variance`. In the basis of the components the
    covariance is diagonal: Lambda, or sigma^2 where that is larger, then sigma^2. Where sigma^2 is
    0 the likelihood has no bound, as after no more than K + 1 rows: the loss is infinite. With
    K = D it is that of the full Gaussian.

    Args:
      components: K of them.
      x: [B, D], less the mean.
    """
    count, columns = components.directions.shape
    code = project(components, x)
    residual = x - reconstruct(components, code)
    # Once more: the first is rounded like x, not like itself.
    residual = residual - reconstruct(components, project(components, residual))
    errors = jnp.sum(residual**2, -1)

    noise = noise_variance(components)
    least = noise if count < columns else components.variances[-1]
    variances = jnp.maximum(components.variances, noise)  # as `loadings` have them
    variances = jnp.where(variances > 0, variances, 1.0)
    noise = jnp.where(noise > 0, noise, 1.0)

    squares = jnp.sum(code**2 / variances[None], -1) + errors / noise
    log_determinant = jnp.sum(jnp.log(variances)) + (columns - count) * jnp.log(noise)
    nats = (columns * np.log(2 * np.pi) + log_determinant + squares) / 2
    return {'loss': jnp.where(least > 0, nats, jnp.inf), 'squared_error': errors}


def draw(key: Key, components: Components) -> Array:
    """One centred row, [D]: W z + noise, z standard normal (eq. 1)."""
    latent_key, noise_key = jax.random.split(key)
    rows = loadings(components)
    dimension, columns = rows.shape
    z = jax.random.normal(latent_key, (dimension,))
    noise = jax.random.normal(noise_key, (columns,))
    return matmul(z, rows) + jnp.sqrt(noise_variance(components)) * noise
