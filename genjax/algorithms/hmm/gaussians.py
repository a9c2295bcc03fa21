"""Emissions of a hidden Markov model that are Gaussian, one a state.

B sequences of L places, K states, D entries of an x.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.algorithms.hmm.chain import TINY
from genjax.algorithms.hmm.covariances import Covariance, diagonal, full
from genjax.algorithms.hmm.emissions import Emission, require_kind
from genjax.base import Key
from genjax.numerics.gaussians import move_mean, resolution
from genjax.numerics.kmeans import masked_plus_plus

RESOLUTION = resolution(jnp.float32)


class Gaussians(NamedTuple):
    """One Gaussian a state."""

    mean: Array  # [K, D]
    factor: Array  # [K, D] standard deviations, or [K, D, D] lower triangular

    @property
    def covariance(self) -> Array:
        """[K, D] or [K, D, D]; in float32, where the factor may know more than it."""
        structure = full if self.factor.ndim > self.mean.ndim else diagonal
        return structure.square(self.factor)


class WhitenedSums(NamedTuple):
    """Sums over the examples of a state, with w = L^-1 (x - m) of its mean and factor."""

    zeroth: Array  # [K], of the weights
    first: Array  # [K, D], of w
    second: Array  # of w w^T, in the shape of the covariance


def initial_gaussians(
    covariance: Covariance, floor: float, key: Key, x: Array, mask: Array, states: int
) -> Gaussians:
    """Means by k-means++, and the covariance of the whole batch for every state.

    Args:
      covariance: the structure.
      floor: as of `gaussian`.
      key: of the means.
      x: [B, L, D].
      mask: [B, L], False at padding.
      states: K.
    """
    weights = mask[..., None].astype(x.dtype)
    offsets = x - x[0, 0][None, None]
    count = jnp.maximum(jnp.sum(weights), 1)
    centre = jnp.sum(weights * offsets, (0, 1)) / count
    variances = jnp.sum(weights * (offsets - centre[None, None]) ** 2, (0, 1)) / count

    factor = covariance.independent(jnp.sqrt(variances + floor))
    whole = Gaussians((x[0, 0] + centre)[None], factor[None])
    for _ in range(2):  # the second time in the coordinates of the first
        whole, _ = gaussian_m_step(
            covariance, floor, whole, gaussian_sums(covariance, whole, x, weights)
        )

    means = masked_plus_plus(key, x.reshape(-1, x.shape[2]), mask.ravel(), states)
    return Gaussians(means, jnp.broadcast_to(whole.factor, (states, *whole.factor.shape[1:])))


def whitened(covariance: Covariance, gaussians: Gaussians, x: Array) -> Array:
    """x [B, L, D] less each mean, in the coordinates of its factor, [B, L, K, D]."""
    centred = x[:, :, None] - gaussians.mean[None, None]
    return jax.vmap(covariance.whiten, (0, 2), 2)(gaussians.factor, centred)


def gaussian_log_prob(covariance: Covariance, gaussians: Gaussians, x: Array) -> Array:
    """log N(x; m_k, S_k) of x [B, L, D], nats [B, L, K]."""
    white = whitened(covariance, gaussians, x)
    log_det = jax.vmap(covariance.log_det)(gaussians.factor)
    return -jnp.sum(white**2, -1) / 2 - log_det[None, None] - x.shape[-1] * np.log(2 * np.pi) / 2


def gaussian_sums(
    covariance: Covariance, gaussians: Gaussians, x: Array, weights: Array
) -> WhitenedSums:
    """The weighted sums of x [B, L, D], in the coordinates of each state's factor.

    Args:
      covariance: the structure.
      gaussians: whose means and factors are the coordinates.
      x: [B, L, D].
      weights: [B, L, K], or [B, L, 1] for one Gaussian.
    """
    white = whitened(covariance, gaussians, x)

    def total(values):
        trailing = tuple(range(weights.ndim, values.ndim))
        weighted = jnp.expand_dims(weights, trailing) * values
        # A sequence by itself first: one long float32 sum would lose its small terms.
        return jnp.sum(jnp.sum(weighted, 1), 0)

    ones = jnp.ones_like(white[..., 0])
    return WhitenedSums(total(ones), total(white), total(covariance.outer(white)))


def gaussian_m_step(
    covariance: Covariance, floor: float, gaussians: Gaussians, sums: WhitenedSums
) -> tuple[Gaussians, WhitenedSums]:
    """The most likely Gaussians for the sums, and the sums in the coordinates of these.

    A state without examples stays as it is.
    """
    weights = sums.zeroth / jnp.maximum(jnp.sum(sums.zeroth), TINY)
    least = floor + RESOLUTION**2 * overall_variances(covariance, gaussians, weights)

    def fit(mean, factor, zeroth, first, second):
        divisor = jnp.maximum(zeroth, TINY)
        shift = first / divisor
        scatter = second / divisor

        new_mean, rest = move_mean(
            mean, factor, shift, colour=covariance.colour, whiten=covariance.whiten
        )
        scatter = scatter - covariance.outer(shift) + covariance.outer(rest)
        new_factor, restate = covariance.fit(factor, scatter, least)

        fitted = Gaussians(new_mean, new_factor), restate(scatter) * zeroth
        kept = Gaussians(mean, factor), second
        return jax.tree.map(lambda new, old: jnp.where(zeroth > 0, new, old), fitted, kept)

    fitted, second = jax.vmap(fit)(*gaussians, *sums)
    return fitted, WhitenedSums(sums.zeroth, jnp.zeros_like(sums.first), second)


def overall_variances(covariance: Covariance, gaussians: Gaussians, weights: Array) -> Array:
    """The variances of the columns of all states together, [D]; EM on all data leaves them alone.

    Args:
      covariance: the structure.
      gaussians: of K states.
      weights: of the states, [K], which sum to 1.
    """
    mean = weights @ gaussians.mean
    between = (gaussians.mean - mean[None]) ** 2
    return weights @ (jax.vmap(covariance.variances)(gaussians.factor) + between)


def draw_gaussian(covariance: Covariance, key: Key, gaussians: Gaussians, state: Array) -> Array:
    """One x [D] of a state."""
    mean = gaussians.mean[state]
    noise = jax.random.normal(key, mean.shape)
    return mean + covariance.colour(gaussians.factor[state], noise)


def gaussian(
    covariance: Covariance = diagonal, *, floor: float = 1e-6
) -> Emission[Gaussians, WhitenedSums]:
    """One Gaussian a state: x is float32 [B, L, D], the parameters are `Gaussians`.

    At first the means are rows of the batch by k-means++, and every state has the covariance of
    the whole. Sums are about the means at hand, so that data far from 0 lose no digits, and in the
    coordinates of each state's own factor, so that a direction that varies little beside others
    keeps its digits too.

    Args:
      covariance: `diagonal`, or `full`.
      floor: the least variance in any direction, in the square of x's unit. Under it lies what
        float32 resolves, and is added to it: (16 eps)^2 = 3.6e-12 of the variance that each column
        has in all data.

    Raises:
      ValueError: floor is not positive; from `init`, an x of another kind.
    """
    if not floor > 0:
        raise ValueError(f'floor is {floor}; a variance must be positive')

    def init(key, x, mask, states):
        floats = x.ndim == 3 and jnp.issubdtype(x.dtype, jnp.floating)
        require_kind(x, floats, 'floats [B, L, D]')
        return initial_gaussians(covariance, floor, key, x, mask, states)

    def log_prob(gaussians, x):
        return gaussian_log_prob(covariance, gaussians, x)

    def sums(gaussians, x, weights):
        return gaussian_sums(covariance, gaussians, x, weights)

    def m_step(gaussians, sums):
        return gaussian_m_step(covariance, floor, gaussians, sums)

    def draw(key, gaussians, state):
        return draw_gaussian(covariance, key, gaussians, state)

    return Emission(init, log_prob, sums, m_step, draw)
