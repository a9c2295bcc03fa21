"""Structures of covariance of K normal distributions in D dimensions, for mixtures of them: full, tied, diagonal.

Covariances S_k are held as factors L_k, S_k = L_k L_k^T, lower triangular: [K, D, D], or [1, D, D] where one is shared
by all. Diagonal ones are variances [K, D], and their factors standard deviations.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular


class Covariance(NamedTuple):
    """A structure of covariances, which with their factors have shapes of its own."""

    log_normals: Callable  # (means, factors) -> (x [D] -> log N(x; m_k, S_k) [K], nats)
    scatter: Callable  # (r [C, K], x [C, D], means) -> sums of r (x - m)(x - m)^T, shaped as covariances
    over: Callable  # w [K] -> what divides the scatter of masses w
    factor: Callable  # covariances -> factors, NaN where they are singular
    square: Callable  # factors -> covariances
    move: Callable  # (one factor, standard normal [D]) -> [D]
    free: Callable  # factors -> unconstrained parameters
    bound: Callable  # and back; from noughts, the identity
    count: Callable  # (K, D) -> number of free parameters


def _triangular_normals(means, factors):
    """Whitens x - m_k as L^-1 x - L^-1 m_k, one product for all k, about a centre, so that little cancels."""
    size, centre = means.shape[1], jnp.mean(means, 0)
    inverses = solve_triangular(factors, jnp.broadcast_to(jnp.eye(size, dtype=means.dtype), factors.shape), lower=True)
    rows, places = inverses.reshape(-1, size).T, (inverses @ (means - centre[None])[..., None])[..., 0]
    constant = jnp.sum(jnp.log(_diagonal(factors)), -1) + size / 2 * math.log(2 * math.pi)  # [J]
    white = lambda x: ((x - centre) @ rows).reshape(-1, size) - places  # [K, D]
    return lambda x: -jnp.sum(white(x) ** 2, -1) / 2 - constant


def _diagonal_normals(means, factors):
    places, scales = means.T, 1 / factors.T  # [D, K]
    constant = jnp.sum(jnp.log(factors), -1) + means.shape[1] / 2 * math.log(2 * math.pi)

    def log_normals(x):
        # A column at a time: vectors of the processor then run over components, not along a sum.
        add = lambda d, total: total + ((x[d] - places[d]) * scales[d]) ** 2
        return -jax.lax.fori_loop(0, len(x), add, jnp.zeros_like(constant), unroll=8) / 2 - constant

    return log_normals


def _full_scatter(r, x, means):
    moved = r[:, :, None] * (x[:, None] - means[None])  # [C, K, D]
    products = (x.T @ moved.reshape(len(x), -1)).reshape(-1, *means.shape)  # with x, not x - m: one product for all k
    return products.swapaxes(0, 1) - means[:, :, None] * jnp.sum(moved, 0)[:, None]


def _tied_scatter(r, x, means):
    moved = r[:, :, None] * (x[:, None] - means[None])
    return (x.T @ jnp.sum(moved, 1) - means.T @ jnp.sum(moved, 0))[None]


def _diagonal_scatter(r, x, means):
    # Two formulas of one sum: on a CPU the loop takes a quarter of the product's time, elsewhere it would be slow.
    add = lambda i, total: total + r[i][:, None] * (x[i][None] - means) ** 2
    loop = lambda r, x, means: jax.lax.fori_loop(0, len(x), add, jnp.zeros_like(means), unroll=8)
    product = lambda r, x, means: jnp.einsum('ck,ckd->kd', r, (x[:, None] - means[None]) ** 2)
    return jax.lax.platform_dependent(r, x, means, cpu=loop, default=product)


def _diagonal(factors):
    return jnp.diagonal(factors, axis1=-2, axis2=-1)


def _with_diagonal(factors, change):
    diagonals = change(_diagonal(factors))[..., None] * jnp.eye(factors.shape[-1], dtype=factors.dtype)[None]
    return jnp.tril(factors, -1) + diagonals


full = Covariance(
    log_normals=_triangular_normals,
    scatter=_full_scatter,
    over=lambda w: w[:, None, None],
    factor=jnp.linalg.cholesky,
    square=lambda factors: factors @ factors.swapaxes(-1, -2),
    move=jnp.matmul,
    free=lambda factors: _with_diagonal(factors, jnp.log),
    bound=lambda free: _with_diagonal(free, jnp.exp),
    count=lambda components, size: components * size * (size + 1) // 2,
)
tied = full._replace(
    scatter=_tied_scatter,
    over=lambda w: jnp.sum(w)[None, None, None],
    count=lambda components, size: size * (size + 1) // 2,
)
diagonal = Covariance(
    log_normals=_diagonal_normals,
    scatter=_diagonal_scatter,
    over=lambda w: w[:, None],
    factor=lambda variances: jnp.sqrt(jnp.where(variances > 0, variances, jnp.nan)),
    square=jnp.square,
    move=jnp.multiply,
    free=jnp.log,
    bound=jnp.exp,
    count=lambda components, size: components * size,
)
