"""Structures of covariance of K normal distributions in D dimensions, for mixtures of them: full,
tied, diagonal.

Covariances S_k are held as factors L_k, S_k = L_k L_k^T, lower triangular: [K, D, D], or [1, D, D]
where one is shared by all. Diagonal ones are variances [K, D], and their factors standard
deviations. J is K or 1.

A covariance itself is never formed. A factor is measured in its own coordinates, w = L^-1 (x - m),
where the scatter of what it was fitted to is near the identity, and the next factor is L times the
Cholesky factor of that. So a direction that varies little beside others keeps its digits, where
float32 sums of products of columns would have lost them.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.numerics.triangular import lower_inverse

# A factor in float32 knows a column's standard deviation given the columns before it to eps / 2 of
# that of the column alone. At this share of the latter the error is a 32nd, and a likelihood off by
# no more than a thousandth.
RESOLUTION = 16  # times the spacing of floats at 1
APART = (
    2.0**14
)  # how much of its own variance a component may take data to vary that lie in groups far apart

matmul = partial(
    jnp.matmul, precision='highest'
)  # accelerators would multiply in fewer bits than are added
einsum = partial(jnp.einsum, precision='highest')


class Covariance(NamedTuple):
    """A structure of covariances, which with their factors have shapes of its own.

    `normals(means, factors)` is a function of x [C, D] that returns log N(x; m_k, S_k) [C, K] in
    nats and a function of weights r [C, K] that returns the sums over x of r w [K, D] and of r w
    w^T, the latter shaped as covariances.
    """

    normals: Callable
    outer: Callable  # (r [K], w [K, D]) -> r w w^T, shaped as covariances
    over: Callable  # r [K] -> what divides the scatter of masses r
    # (weights [K], means, factors, floor) -> the least covariances, between L^-1 and L^-T
    floors: Callable
    # X [..., D] -> more than rounding takes off the eigenvalues of a scatter of unit variances, of
    # 1
    slack: Callable
    # (factors, covariances between L^-1 and L^-T) -> the factors of these; NaN where they are
    # singular
    grown: Callable
    factor: Callable  # covariances -> factors, NaN where they are singular by more than rounding
    square: Callable  # factors -> covariances
    move: Callable  # (one factor L, w [D]) -> L w
    whiten: Callable  # (one factor L, d [D]) -> L^-1 d
    # (K, standard deviations [D]) -> factors of columns that have nothing to do with each other
    apart: Callable
    free: Callable  # factors -> unconstrained parameters
    bound: Callable  # and back; from noughts, the identity
    count: Callable  # (K, D) -> number of free parameters


def _constant(log_scales):
    """log sqrt det 2 pi S, of the logarithms of the diagonal of L."""
    return jnp.sum(log_scales, -1) + log_scales.shape[-1] / 2 * math.log(2 * math.pi)


def _full_normals(means, factors):
    inverses, constant = lower_inverse(factors), _constant(jnp.log(_diagonal(factors)))

    def normals(x):
        # About each mean by itself: about a centre of all, components far apart would lose their
        # thin directions.
        white = einsum('kcd,ked->kce', x[None] - means[:, None], inverses)

        def sums(r):
            root = jnp.sqrt(r.T)
            part = white * root[..., None]
            return einsum('kc,kcd->kd', root, part), einsum('kcd,kce->kde', part, part)

        return -jnp.sum(white**2, -1).T / 2 - constant[None], sums

    return normals


def _tied_normals(means, factors):
    inverse, constant = lower_inverse(factors)[0].T, _constant(jnp.log(_diagonal(factors)))
    centre = jnp.mean(means, 0)
    places = matmul(means - centre[None], inverse)  # [K, D]
    steps = matmul((means[None] - means[:, None]).reshape(-1, len(centre)), inverse)
    steps = steps.reshape(len(means), *means.shape)  # [K, K, D], from j to k

    def normals(x):
        # One product for all k, about a centre, says which mean j is nearest; about that one
        # nothing cancels.
        rough = matmul(x - centre[None], inverse)[:, None] - places[None]
        nearest = jnp.argmin(jnp.sum(rough**2, -1), 1)
        own = matmul(x - means[nearest], inverse)  # [C, D]
        white = own[:, None] - steps[nearest]  # [C, K, D]

        def sums(r):
            # sum_k r_k w_k w_k^T of w_k = own - step_k is that of their mean, and of the steps
            # about theirs.
            weighed = r[..., None] * white
            mean = jnp.sum(weighed, 1)
            between = jnp.sum(r, 1, keepdims=True) * own - mean
            pairs = matmul(jax.nn.one_hot(nearest, len(means), dtype=x.dtype).T, r)
            apart = (jnp.sqrt(pairs)[..., None] * steps).reshape(-1, x.shape[1])
            scatter = matmul(mean.T, mean) - matmul(between.T, between) + matmul(apart.T, apart)
            return jnp.sum(weighed, 0), scatter[None]

        return -jnp.sum(white**2, -1) / 2 - constant[None], sums

    return normals


def _diagonal_normals(means, factors):
    places, scales = means.T, 1 / factors.T  # [D, K]
    constant = _constant(jnp.log(factors))

    def log_normals(x):
        # A column at a time: vectors of the processor then run over components, not along a sum.
        add = lambda d, total: total + ((x[d] - places[d]) * scales[d]) ** 2
        return -jax.lax.fori_loop(0, len(x), add, jnp.zeros_like(constant), unroll=8) / 2 - constant

    def normals(x):
        def sums(r):
            shift, scatter = _diagonal_sums(r, x, means)
            return shift / factors, scatter / factors**2

        return jax.vmap(log_normals)(x), sums

    return normals


def _diagonal_sums(r, x, means):
    """The sums of r (x - m) and of r (x - m)^2, [K, D]."""

    def loop(r, x, means):
        def add(i, totals):
            apart = x[i][None] - means
            weighed = r[i][:, None] * apart
            return totals[0] + weighed, totals[1] + weighed * apart

        return jax.lax.fori_loop(
            0, len(x), add, (jnp.zeros_like(means), jnp.zeros_like(means)), unroll=8
        )

    def product(r, x, means):
        apart = x[:, None] - means[None]
        return einsum('ck,ckd->kd', r, apart), einsum('ck,ckd->kd', r, apart**2)

    # Two formulas of one sum: on a CPU the loop takes a quarter of the product's time, elsewhere it
    # would be slow.
    return jax.lax.platform_dependent(r, x, means, cpu=loop, default=product)


def _triangular_floors(apart, weights, means, factors, floor):
    """The floor, and under a positive one what float32 resolves: a share of the variance of each
    column in the whole mixture, which full-batch EM leaves as it is, so that it is no other floor
    at every step."""
    own = jnp.sum(factors**2, -1)  # [J, D]
    away = (means - (weights @ means)[None]) ** 2
    whole = jnp.sum(weights[:, None] * (own + away), 0)
    share = (RESOLUTION * float(jnp.finfo(own.dtype).eps)) ** 2
    resolved = share * jnp.minimum(whole[None], apart * own)
    least = floor + resolved if floor > 0 else jnp.zeros_like(own)
    roots = lower_inverse(factors) * jnp.sqrt(least)[:, None]
    return matmul(roots, roots.swapaxes(-1, -2))


def _triangular_grown(factors, covariances):
    return matmul(factors, jnp.linalg.cholesky(covariances))


def _triangular_factor(covariances):
    """Each column by its own unit; with as much added as rounding has taken off, where it has taken
    too much."""
    scales = jnp.sqrt(_diagonal(covariances))
    correlations = covariances / scales[..., :, None] / scales[..., None, :]
    size = covariances.shape[-1]
    identity = jnp.eye(size, dtype=covariances.dtype)
    # Both in one call: see `triangular` for why not in two.
    both = jnp.stack([correlations, correlations + _triangular_slack(scales) * identity[None]])
    exact, eased = jnp.linalg.cholesky(both)
    sound = jnp.all(jnp.isfinite(exact), (-1, -2), keepdims=True)
    return scales[..., None] * jnp.where(sound, exact, eased)


def _triangular_slack(x):
    return 16 * math.sqrt(x.shape[-1]) * float(jnp.finfo(x.dtype).eps)


def _diagonal_slack(x):
    return 16 * float(jnp.finfo(x.dtype).eps)


def _diagonal(factors):
    return jnp.diagonal(factors, axis1=-2, axis2=-1)


def _with_diagonal(factors, change):
    diagonals = (
        change(_diagonal(factors))[..., None]
        * jnp.eye(factors.shape[-1], dtype=factors.dtype)[None]
    )
    return jnp.tril(factors, -1) + diagonals


def _roots(variances):
    return jnp.sqrt(jnp.where(variances > 0, variances, jnp.nan))


full = Covariance(
    normals=_full_normals,
    outer=lambda r, w: r[:, None, None] * w[:, :, None] * w[:, None],
    over=lambda r: r[:, None, None],
    floors=partial(_triangular_floors, APART),
    slack=_triangular_slack,
    grown=_triangular_grown,
    factor=_triangular_factor,
    square=lambda factors: matmul(factors, factors.swapaxes(-1, -2)),
    move=matmul,
    whiten=lambda factor, d: matmul(lower_inverse(factor), d),
    apart=lambda components, scales: jnp.stack([jnp.diag(scales)] * components),
    free=lambda factors: _with_diagonal(factors, jnp.log),
    bound=lambda free: _with_diagonal(free, jnp.exp),
    count=lambda components, size: components * size * (size + 1) // 2,
)
tied = full._replace(
    normals=_tied_normals,
    outer=lambda r, w: einsum('k,kd,ke->de', r, w, w)[None],
    over=lambda r: jnp.sum(r)[None, None, None],
    floors=partial(_triangular_floors, math.inf),
    apart=lambda components, scales: jnp.diag(scales)[None],
    count=lambda components, size: size * (size + 1) // 2,
)
diagonal = Covariance(
    normals=_diagonal_normals,
    outer=lambda r, w: r[:, None] * w**2,
    over=lambda r: r[:, None],
    floors=lambda weights, means, factors, floor: floor / factors**2,
    slack=_diagonal_slack,
    grown=lambda factors, variances: factors * _roots(variances),
    factor=_roots,
    square=jnp.square,
    move=jnp.multiply,
    whiten=lambda factor, d: d / factor,
    apart=lambda components, scales: jnp.broadcast_to(scales, (components, len(scales))),
    free=jnp.log,
    bound=jnp.exp,
    count=lambda components, size: components * size,
)
