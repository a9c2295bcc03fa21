"""Where EM of a Gaussian mixture starts: at the clusters of k-means.

B examples, C of them at a time, D columns, K components.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.mixture.covariances import Covariance
from genjax.algorithms.mixture.density import Mixture
from genjax.algorithms.mixture.em import (
    Assign,
    Statistics,
    Sums,
    e_step,
    largest_losses,
    m_step,
)
from genjax.base import Key
from genjax.numerics.kmeans import plus_plus
from genjax.parallel import device_mean

ROUNDS = 20  # of k-means


def nearest_mean(means: Array, sums: Callable[[Array], Callable[[Array], Sums]]) -> Assign[Sums]:
    """1 for the nearest of the means [K, D] and 0 for the others, and its squared distance.

    Args:
      means: [K, D].
      sums: x [C, D] -> a function of these assignments, what is to be summed.
    """

    def assign(x):
        distances = jnp.sum((x[:, None] - means[None]) ** 2, -1)
        nearest = jax.nn.one_hot(jnp.argmin(distances, 1), len(means), dtype=x.dtype)
        return nearest, jnp.min(distances, 1), sums(x)

    return assign


def kmeans(key: Key, x: Array, components: int, rows: int) -> Array:
    """The means of K clusters of x [B, D] by Lloyd's rounds from `plus_plus`, [K, D]."""

    def update(_, means):
        def sums(x):
            centre = jnp.mean(means, 0)

            def mass_and_shift(r):
                # r^T (x - means), about a centre near both so that nothing cancels.
                mass = jnp.sum(r, 0)
                shift = r.T @ (x - centre[None]) - mass[:, None] * (means - centre[None])
                return mass, shift

            return mass_and_shift

        (mass, shift), _ = e_step(nearest_mean(means, sums), x, rows)
        return means + shift / jnp.maximum(mass, jnp.finfo(x.dtype).tiny)[:, None]

    return jax.lax.fori_loop(0, ROUNDS, update, plus_plus(key, x, components))


@partial(jax.jit, static_argnames=('covariance', 'components', 'floor', 'rows'))
def hard_start(
    key: Key, covariance: Covariance, x: Array, components: int, floor: float, rows: int
) -> Mixture:
    """The M step of a batch whose examples belong to the nearest of K means of k-means.

    Compiled as one program, since it would be hundreds of small ones.

    Args:
      key: of k-means++.
      covariance: the structure.
      x: [B, D].
      components: K.
      floor: as of `mixture`.
      rows: C.

    Raises:
      ValueError: B < K.
    """
    if len(x) < components:
        raise ValueError(f'{components} components for {len(x)} examples; each needs one')

    means = kmeans(key, x, components, rows)
    factors = covariance.independent(components, standard_deviations(x, floor))
    blank = Mixture(jnp.zeros_like(means[:, 0]), means, factors)

    def fit(_, mixture):
        old = mixture._replace(means=means)
        normals = covariance.normals(means, old.factors)

        def sums(x):
            _, whitened_sums = normals(x)

            def statistics(r):
                return Statistics(jnp.sum(r, 0), *whitened_sums(r))

            return statistics

        statistics, losses = e_step(nearest_mean(means, sums), x, rows)
        seeds = largest_losses(losses, x, components)
        fitted, _ = m_step(covariance, old, statistics, seeds, 1, floor)
        return fitted

    return jax.lax.fori_loop(0, 2, fit, blank)  # the second in the coordinates of the first


def standard_deviations(x: Array, floor: float) -> Array:
    """Of the columns of a batch x [B, D], with the floor under the variances, [D]."""
    centred = x - device_mean(jnp.mean(x, 0))[None]
    return jnp.sqrt(device_mean(jnp.mean(centred**2, 0)) + floor)
