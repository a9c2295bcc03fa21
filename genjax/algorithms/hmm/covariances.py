"""Structures of one covariance, diagonal or full, kept as a factor L with S = L L^T.

Scatters are taken in whitened coordinates, w = L^-1 d, where a direction that varies little beside
others keeps its digits.

D columns.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from genjax.algorithms.hmm.chain import TINY
from genjax.numerics.gaussians import rounding_slack
from genjax.numerics.products import matmul
from genjax.numerics.triangular import lower_inverse

# A scatter in the coordinates of the old factor -> the same in those of the new one
Restate = Callable[[Array], Array]


class Covariance(NamedTuple):
    """A structure of covariances: [D] where it is diagonal, else [D, D]; a factor has its shape."""

    outer: Callable[[Array], Array]  # w [..., D] -> what a covariance is the mean of
    square: Callable[[Array], Array]  # L -> the covariance
    factor: Callable[[Array], Array]  # and back; NaN where it is singular
    independent: Callable[[Array], Array]  # standard deviations [D] -> L of independent columns
    variances: Callable[[Array], Array]  # L -> the variances of the columns, [D]
    whiten: Callable[[Array, Array], Array]  # (L, d [..., D]) -> L^-1 d
    log_det: Callable[[Array], Array]  # L -> log det L
    colour: Callable[[Array, Array], Array]  # (L, w [D]) -> L w
    # (L, a scatter between L^-1 and L^-T, least variances [D]) -> the factor of the most likely
    # covariance that has no less in any direction, and what restates a scatter in its coordinates
    fit: Callable[[Array, Array, Array], tuple[Array, Restate]]


def _diagonal_whiten(factor, d):
    return d / jnp.expand_dims(factor, tuple(range(d.ndim - 1)))


def _diagonal_log_det(factor):
    return jnp.sum(jnp.log(factor))


def _diagonal_fit(factor, scatter, least):
    growth = jnp.sqrt(jnp.maximum(scatter, least / factor**2))

    def restate(scatter):
        return scatter / growth**2

    return factor * growth, restate


diagonal = Covariance(
    outer=jnp.square,
    square=jnp.square,
    factor=jnp.sqrt,
    independent=lambda deviations: deviations,
    variances=jnp.square,
    whiten=_diagonal_whiten,
    log_det=_diagonal_log_det,
    colour=jnp.multiply,
    fit=_diagonal_fit,
)


def _full_outer(w):
    return w[..., :, None] * w[..., None, :]


def _full_square(factor):
    return matmul(factor, factor.swapaxes(-1, -2))


def _full_variances(factor):
    return jnp.sum(factor**2, -1)


def _full_whiten(factor, d):
    return matmul(d, lower_inverse(factor).T)


def _full_log_det(factor):
    return jnp.sum(jnp.log(jnp.diagonal(factor)))


def _full_fit(factor, scatter, least):
    """Where the scatter is the identity the least covariance has eigenvalues; all above 1 are kept.

    To the scatter is first added what rounding may have taken off it, some millionths, and a
    thousandth of the least: these eigenvalues are then no more than a thousand.
    """
    size = len(factor)
    identity = jnp.eye(size, dtype=factor.dtype)
    slack = rounding_slack(size, factor.dtype) * identity
    least_root = lower_inverse(factor) * jnp.sqrt(least)[None]
    scatter = scatter * (1 + slack) + matmul(least_root, least_root.T) / 1000

    root = jnp.linalg.cholesky(scatter)
    # Of the covariances that are diagonal in these coordinates the best: no rounding makes them
    # indefinite.
    diagonal_root = jnp.diag(jnp.sqrt(jnp.maximum(jnp.diagonal(scatter), TINY)))
    root = jnp.where(jnp.isfinite(root).all(), root, diagonal_root)

    relative_least = matmul(lower_inverse(root), least_root)
    eigenvalues, axes = jnp.linalg.eigh(matmul(relative_least, relative_least.T))
    raised = matmul(root, axes) * jnp.sqrt(jnp.maximum(eigenvalues, 1))[None]
    growth = jnp.linalg.cholesky(matmul(raised, raised.T) * (1 + slack))
    growth = jnp.where(jnp.any(eigenvalues > 1), growth, root)

    def restate(scatter):
        inverse = lower_inverse(growth)
        return matmul(matmul(inverse, scatter), inverse.T)

    return matmul(factor, growth), restate


full = Covariance(
    outer=_full_outer,
    square=_full_square,
    factor=jnp.linalg.cholesky,
    independent=jnp.diag,
    variances=_full_variances,
    whiten=_full_whiten,
    log_det=_full_log_det,
    colour=matmul,
    fit=_full_fit,
)
