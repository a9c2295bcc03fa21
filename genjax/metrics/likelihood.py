"""Kullback-Leibler divergences: KL(q, p) = integral of q ln(q / p), in nats.

Densities are given by their parameters where there is a closed form, and else by their logarithms,
functions x [M, D] -> nats [M]. Formulas take one q and one p of D features; `jax.vmap` gives many.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular

from genjax.base import Key

LogDensity = Callable[[Array], Array]


class Estimate(NamedTuple):
    """A Monte Carlo estimate."""

    value: Array
    error: Array  # the standard error of the value


def standard_kl(mean: Array, log_scale: Array) -> Array:
    """KL(N(mean, scale^2), N(0, I)) of independent features, mean and log_scale [D].

    Source: Kingma and Welling 2014, arXiv:1312.6114, appendix B.
    """
    # expm1(r) - r is never below zero; scale^2 - 1 - r would lose its digits close to N(0, I),
    # where r is small.
    return jnp.sum(mean**2 + jnp.expm1(2 * log_scale) - 2 * log_scale) / 2


def diagonal_kl(q: tuple[Array, Array], p: tuple[Array, Array]) -> Array:
    """KL(q, p) between Gaussians of independent features.

    Args:
      q: mean [D] and logarithm of the scale [D].
      p: the same of p.
    """
    mean, log_scale = q
    p_mean, p_log_scale = p
    return standard_kl((mean - p_mean) * jnp.exp(-p_log_scale), log_scale - p_log_scale)


def gaussian_kl(q: tuple[Array, Array], p: tuple[Array, Array]) -> Array:
    """KL(q, p) between Gaussians; NaN if a covariance is not positive definite.

    Args:
      q: mean [D] and covariance [D, D].
      p: the same of p.
    """
    mean, covariance = q
    p_mean, p_covariance = p
    factor = jnp.linalg.cholesky(covariance)
    p_factor = jnp.linalg.cholesky(p_covariance)
    # The affine map that makes p N(0, I) leaves the divergence as it is.
    factor = solve_triangular(p_factor, factor, lower=True)
    mean = solve_triangular(p_factor, mean - p_mean, lower=True)
    return standard_kl(mean, jnp.log(jnp.diag(factor))) + jnp.sum(jnp.tril(factor, -1) ** 2) / 2


def categorical_kl(q: Array, p: Array) -> Array:
    """KL(q, p) between distributions over C outcomes; infinite where p is 0 and q is not.

    Args:
      q: logits [C]. The logits of probabilities are their logarithms, of a probability of 0
        -infinity; 0 ln 0 = 0.
      p: logits [C].
    """
    return jnp.sum(_integrand(jax.nn.log_softmax(q), jax.nn.log_softmax(p)))


def quadrature_kl(log_q: LogDensity, log_p: LogDensity, points: Array, cell: float) -> Array:
    """KL(q, p) as a sum over the cells of a grid.

    Args:
      log_q, log_p: log-densities.
      points: [M, D], one in each cell; the cells cover all of q.
      cell: the volume of a cell.
    """
    return cell * jnp.sum(_integrand(log_q(points), log_p(points)))


def _integrand(log_q, log_p):
    """q ln(q / p), and 0 where q is 0, with gradients that are finite there too."""
    positive = log_q > -jnp.inf
    return jnp.exp(log_q) * (jnp.where(positive, log_q, 0.0) - jnp.where(positive, log_p, 0.0))


def monte_carlo_kl(
    key: Key, log_q: LogDensity, log_p: LogDensity, sample: Callable[[Key, int], Array], n: int
) -> Estimate:
    """KL(q, p) from samples of q.

    Args:
      key: consumed.
      log_q, log_p: log-densities.
      sample: (key, n) -> samples of q [n, D].
      n: how many.

    Raises:
      ValueError: n is below 2, which leaves no standard error.
    """
    if n < 2:
        raise ValueError(f'n is {n}; a standard error needs at least 2 samples')
    x = sample(key, n)
    ratios = log_q(x) - log_p(x)
    return Estimate(jnp.mean(ratios), jnp.std(ratios, ddof=1) / math.sqrt(n))
