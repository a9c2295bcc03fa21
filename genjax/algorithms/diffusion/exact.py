"""Data whose denoiser is known: mixtures of normal laws, and so also any finite set of points.

B examples, K components, D entries of an example.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from genjax.algorithms.diffusion.paths import Path
from genjax.algorithms.diffusion.samplers.steps import Denoise


def mixture_denoiser(
    path: Path, weights: ArrayLike, means: ArrayLike, variances: ArrayLike
) -> Denoise:
    """E[x_0 | x_t] where x_0 is a mixture of isotropic normal laws, for x_t [B, D].

    Given its component k, x_t is normal about alpha m_k with the variance alpha^2 v_k + sigma^2.
    So Bayes' rule gives the weight of each component, and within it x_0 is regressed on x_t
    (Bishop 2006, equations 2.116 and 2.117).

    Args:
      path: of x_t.
      weights: of the components, [K].
      means: m, [K, D].
      variances: v, of each entry, [K]; 0 for a point, which needs sigma > 0.

    Raises:
      ValueError: the weights are no distribution, a variance is negative or too large for float32,
        or the shapes do not go together.
    """
    weights, means, variances = (np.asarray(x, np.float64) for x in (weights, means, variances))
    shapes = (weights.shape, means.shape, variances.shape)
    if means.ndim != 2 or shapes[0] != means.shape[:1] or shapes[2] != means.shape[:1]:
        raise ValueError(
            f'weights, means and variances have shapes {shapes}; needed: [K], [K, D], [K]'
        )
    if not (weights.min() > 0 and abs(weights.sum() - 1) < 1e-6):
        raise ValueError(f'weights are {weights}; needed: positive numbers with the sum 1')
    largest = np.finfo(np.float32).max
    if not (variances.min() >= 0 and variances.max() <= largest):
        raise ValueError(f'variances are {variances}; needed: 0 to {largest:g}')
    log_weights = np.log(weights)
    dimension = means.shape[1]

    def denoise_one(x, t):
        alpha = path.alpha(t)
        own = jnp.asarray(variances, x.dtype)
        total = alpha**2 * own + path.sigma(t) ** 2  # [K]
        residual = x[None] - alpha * jnp.asarray(means, x.dtype)  # [K, D]
        squares = jnp.sum(residual**2, -1)
        fit = jnp.asarray(log_weights, x.dtype) - dimension / 2 * jnp.log(total)
        share = jax.nn.softmax(fit - squares / 2 / total)
        regressed = jnp.asarray(means, x.dtype) + (alpha * own / total)[:, None] * residual
        return share @ regressed

    return jax.vmap(denoise_one)
