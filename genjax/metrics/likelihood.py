"""Likelihoods, bounds on them and divergences: KL(q, p) = integral of q ln(q / p), in nats.

Densities are given by their parameters where there is a closed form, and else by their logarithms,
functions x [M, D] -> nats [M]. Formulas take one q and one p of D features; `jax.vmap` gives many.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular

from genjax.base import Batch, Key, State
from genjax.parallel import batch_length, pad_batch, shard_batch
from genjax.probes.figures import Measure

LogDensity = Callable[[Array], Array]


class Estimate(NamedTuple):
    value: Array
    error: Array  # the standard error of the value


def standard_kl(mean: Array, log_scale: Array) -> Array:
    """KL(N(mean, scale^2), N(0, I)) of independent features, mean and log_scale [D] (Kingma and
    Welling 2014, arXiv:1312.6114, appendix B)."""
    # expm1(r) - r is never below zero; scale^2 - 1 - r would lose its digits close to N(0, I),
    # where r is small.
    return jnp.sum(mean**2 + jnp.expm1(2 * log_scale) - 2 * log_scale) / 2


def diagonal_kl(q: tuple[Array, Array], p: tuple[Array, Array]) -> Array:
    """KL(q, p) between Gaussians of independent features, each a pair (mean [D], log of the scale
    [D])."""
    (mean, log_scale), (p_mean, p_log_scale) = q, p
    return standard_kl((mean - p_mean) * jnp.exp(-p_log_scale), log_scale - p_log_scale)


def gaussian_kl(q: tuple[Array, Array], p: tuple[Array, Array]) -> Array:
    """KL(q, p) between Gaussians, each a pair (mean [D], covariance [D, D]); NaN if one is not
    positive definite."""
    (mean, factor), (p_mean, p_factor) = (
        (m, jnp.linalg.cholesky(covariance)) for m, covariance in (q, p)
    )
    # The affine map that makes p N(0, I) leaves the divergence as it is.
    factor = solve_triangular(p_factor, factor, lower=True)
    mean = solve_triangular(p_factor, mean - p_mean, lower=True)
    return standard_kl(mean, jnp.log(jnp.diag(factor))) + jnp.sum(jnp.tril(factor, -1) ** 2) / 2


def categorical_kl(q: Array, p: Array) -> Array:
    """KL(q, p) between distributions over C outcomes by their logits [C]; infinite where p is 0 and
    q is not.

    The logits of probabilities are their logarithms, of a probability of 0 -infinity; 0 ln 0 = 0.
    """
    return jnp.sum(_contributions(jax.nn.log_softmax(q), jax.nn.log_softmax(p)))


def _contributions(log_q, log_p):
    """q ln(q / p), and 0 where q is 0, with gradients that are finite there too."""
    seen = log_q > -jnp.inf
    return jnp.exp(log_q) * (jnp.where(seen, log_q, 0.0) - jnp.where(seen, log_p, 0.0))


def quadrature_kl(log_q: LogDensity, log_p: LogDensity, points: Array, cell: float) -> Array:
    """KL(q, p) as a sum over points [M, D] that stand each for a cell of this volume and together
    for all of q."""
    return cell * jnp.sum(_contributions(log_q(points), log_p(points)))


def monte_carlo_kl(
    key: Key, log_q: LogDensity, log_p: LogDensity, sample: Callable[[Key, int], Array], n: int
):
    """KL(q, p) as an `Estimate` from n samples of q.

    Raises:
      ValueError: n is below 2, which leaves no standard error.
    """
    if n < 2:
        raise ValueError(f'n is {n}; a standard error needs at least 2 samples')
    x = sample(key, n)
    ratios = log_q(x) - log_p(x)
    return Estimate(jnp.mean(ratios), jnp.std(ratios, ddof=1) / math.sqrt(n))


def importance(
    log_likelihood: Callable[[Key, State, Batch], Array], batches: Sequence[Batch], *, samples: int
) -> Measure:
    """A measure of test likelihood, {'nll_K': mean of -log p(x) over all examples of all batches,
    nats}.

    Args:
      log_likelihood: (key, state, batch) -> log p(x), nats [B], estimated by importance sampling
        (Burda et al. 2016, arXiv:1509.00519, eq. 8); batch i gets a key of its own.
      batches: the last may be shorter.
      samples: K, how many of them the estimate takes for each example.
    """
    compiled = jax.jit(lambda key, state, batch: log_likelihood(key, state, shard_batch(batch)))

    def measure(key, state):
        whole = (pad_batch(batch, batches[0]) for batch in batches)
        found = [
            compiled(jax.random.fold_in(key, i), state, batch) for i, batch in enumerate(whole)
        ]
        real = map(batch_length, batches)
        values = np.concatenate(
            [rows[:n] for rows, n in zip(jax.device_get(found), real, strict=True)]
        )
        return {f'nll_{samples}': -math.fsum(values) / len(values)}

    return measure


def bound_table(terms: Callable[[Key, State], Any]) -> Measure:
    """A variational bound term by term.

    Args:
      terms: (key, state) -> [B, T + 1], the terms of each example in bits/dim, those of the last
        step at the end.

    Returns:
      A measure of the mean total, 'bits_per_dim', and the mean of each term, a table of t and
      bits_per_dim.
    """
    compiled = jax.jit(terms)

    def measure(key, state):
        means = np.mean(np.asarray(compiled(key, state), np.float64), 0)
        rows = [{'t': t, 'bits_per_dim': f'{term:.6g}'} for t, term in enumerate(means)]
        return {'bits_per_dim': means.sum(), 'terms': rows}

    return measure
