"""The E step and the M step of a Gaussian mixture.

Dempster, Laird and Rubin 1977, "Maximum likelihood from incomplete data via the EM algorithm";
equation numbers are of Bishop 2006, section 9.2. Steps on part of the data: Cappe and Moulines
2009, "On-line expectation-maximization algorithm for latent data models".

The E step and the M step's sums are one pass over the batch, some rows at a time. All sums are
about the old means, in the coordinates of the old factors: float32 then does not cancel.

B examples, C of them at a time, D columns, K components.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.mixture.chunks import map_chunks
from genjax.algorithms.mixture.covariances import Covariance
from genjax.algorithms.mixture.density import Mixture, broadcast_factors
from genjax.numerics.gaussians import move_mean
from genjax.parallel import all_gather, by_shares, device_mean

EMPTY = 1e-4  # of a fair weight, 1 / K: a component below it has lost its examples


class Statistics(NamedTuple):
    """Means over the examples of a batch, weighted by responsibilities r.

    With w = L^-1 (x - m) of a given mixture.
    """

    mass: Array  # [K], of r
    shift: Array  # [K, D], of r w
    scatter: Array  # of r w w^T, shaped as covariances


Sums = TypeVar('Sums')

# x [C, D] -> responsibilities r [C, K], losses [C], and what is to be summed, a function of r
Assign = Callable[[Array], tuple[Array, Array, Callable[[Array], Sums]]]


def soft_assignment(covariance: Covariance, mixture: Mixture) -> Assign[Statistics]:
    """p(k | x) (9.13), -log p(x) in nats, and the `Statistics` under given responsibilities."""
    normals = covariance.normals(mixture.means, mixture.factors)

    def assign(x):
        log_normals, whitened_sums = normals(x)
        values = mixture.log_weights[None] + log_normals
        largest = jnp.max(values, 1, keepdims=True)
        # Compiled into both, values and largest may round apart, by hundreds where they are 1e9:
        # hence both bounds.
        terms = jnp.exp(jnp.minimum(values - largest, 0))
        total = jnp.maximum(jnp.sum(terms, 1, keepdims=True), 1)
        losses = (-largest - jnp.log(total))[:, 0]

        def statistics(r):
            return Statistics(jnp.sum(r, 0), *whitened_sums(r))

        return terms / total, losses, statistics

    return assign


def e_step(assign: Assign[Sums], x: Array, rows: int) -> tuple[Sums, Array]:
    """The E step of x [B, D], some rows at a time.

    Args:
      assign: the responsibilities of examples.
      x: the examples at hand, [B, D].
      rows: C.

    Returns:
      The mean over the whole batch of what `assign` sums, and the losses of the examples at hand,
      [B].
    """

    def chunk(x, mask):
        r, losses, sums = assign(x)
        return sums(jnp.where(mask[:, None], r, 0)), losses

    sums, losses = map_chunks(chunk, x, rows)
    return device_mean(jax.tree.map(lambda s: s / len(x), sums)), losses


def largest_losses(losses: Array, x: Array, n: int) -> Array:
    """The examples of the n largest losses in the whole batch, the largest first, [n, D].

    All of them, where there are fewer.
    """

    def select(losses, x):
        _, index = jax.lax.top_k(losses, min(n, len(losses)))
        return (), (losses[index], x[index])

    _, of_shares = by_shares(select, losses, x)
    _, (_, examples) = select(*all_gather(of_shares))
    return examples


def m_step(
    covariance: Covariance,
    old: Mixture,
    statistics: Statistics,
    seeds: Array,
    rate: Array | float,
    floor: float,
) -> tuple[Mixture, Array]:
    """The M step (9.24 to 9.26).

    With a positive floor every covariance is one that float32 can hold, see `mixture`; at 0 a
    singular one is NaN.

    Args:
      covariance: the structure.
      old: the mixture whose coordinates the statistics are in.
      statistics: of the batch.
      seeds: examples [n, D] for components to start at that are empty.
      rate: the share of the batch in the statistics; the old mixture has the rest.
      floor: added to every variance.

    Returns:
      The mixture, with each empty component started again: one of the seeds is its mean, the mean
      of all covariances its covariance, 1 / K its weight. And how many these are, float32 [].
    """
    past = (1 - rate) * jnp.exp(old.log_weights)
    mass = rate * statistics.mass
    weights = past + mass
    empty = weights * len(weights) < EMPTY
    divisor = jnp.maximum(weights, jnp.finfo(weights.dtype).tiny)
    shift = rate * statistics.shift / divisor[:, None]
    means, rest = move_means(covariance, old, shift)

    # In the coordinates of the old factors, where the old covariances are the identity.
    identity = covariance.constrain(jnp.zeros_like(old.factors))
    slack = covariance.slack(means) if floor > 0 else 0.0
    scatter = identity * covariance.divisor(past) + rate * statistics.scatter
    scatter = scatter * (1 + slack * identity)
    least = covariance.least(jax.nn.softmax(old.log_weights), old.means, old.factors, floor)
    scatter += covariance.divisor(mass) * least
    scatter += covariance.outer(weights, rest) - covariance.outer(weights, shift)
    covariances = scatter / covariance.divisor(divisor)
    factors = covariance.from_whitened(old.factors, covariances)
    if floor > 0:
        # Of the covariances that are diagonal in these coordinates the best: no rounding makes them
        # indefinite.
        sound = jnp.all(jnp.isfinite(factors), range(1, factors.ndim), keepdims=True)
        diagonal = covariance.colour(old.factors, jnp.sqrt(covariances * identity))
        factors = jnp.where(sound, factors, diagonal)

    # Empty components start again.
    restarted = covariance.divisor((~empty).astype(weights.dtype)) == 0
    parts = jnp.where(restarted, 0, covariance.square(factors) * covariance.divisor(weights))
    pooled = jnp.sum(parts, 0, keepdims=True) * (1 + slack * identity[:1])
    factors = jnp.where(restarted, covariance.factor(pooled), factors)
    means = jnp.where(empty[:, None], seeds[(jnp.cumsum(empty) - 1) % len(seeds)], means)
    weights = jnp.where(empty, 1 / len(weights), weights)
    log_weights = jnp.log(weights / jnp.sum(weights))
    return Mixture(log_weights, means, factors), jnp.sum(empty.astype(jnp.float32))


def move_means(covariance: Covariance, old: Mixture, shift: Array) -> tuple[Array, Array]:
    """The old means moved by L_k times the shift [K, D], and what rounding has left of it.

    See `move_mean`; [K, D] each.
    """

    def move(mean, factor, shift):
        return move_mean(mean, factor, shift, colour=covariance.colour, whiten=covariance.whiten)

    return jax.vmap(move)(old.means, broadcast_factors(old), shift)
