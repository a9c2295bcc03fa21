"""Structures of covariance of K Gaussians in D dimensions, for mixtures: full, tied, diagonal.

Covariances S_k are kept as factors L_k, S_k = L_k L_k^T, lower triangular: [K, D, D], or [1, D, D]
where one is shared by all. Diagonal ones are variances [K, D], and their factors standard
deviations.

A covariance itself is never formed. Data are whitened, w = L^-1 (x - m): in these coordinates the
scatter of what the factor was fitted to is near the identity, and the next factor is L times the
Cholesky factor of that. So a direction that varies little beside others keeps its digits, where
float32 sums of products of columns would have lost them.

C examples, D columns, K components; J is K or 1.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from genjax.numerics.gaussians import resolution, rounding_slack
from genjax.numerics.products import einsum, matmul
from genjax.numerics.triangular import lower_inverse

# How much of its own variance a component may take data to vary that lie in groups far apart.
APART = 2.0**14

# How many of its standard deviations a mean may be from the centre of all means, in any one column
# and squared on average over columns, for sums of squares to be taken about that centre.
NEAR = 4.0
NEAR_SQUARE = 0.5

# Weights r [C, K] -> the sums over x of r w, [K, D], and of r w w^T, shaped as covariances
WhitenedSums = Callable[[Array], tuple[Array, Array]]

# x [C, D] -> log N(x; m_k, S_k) in nats, [C, K], and the sums of this x
Normals = Callable[[Array], tuple[Array, WhitenedSums]]


class Covariance(NamedTuple):
    """A structure of covariances, which with their factors have shapes of its own."""

    # (means [K, D], factors) -> the densities
    normals: Callable[[Array, Array], Normals]
    # (r [K], w [K, D]) -> r w w^T, shaped as covariances
    outer: Callable[[Array, Array], Array]
    # masses r [K] -> what divides the scatter of these masses
    divisor: Callable[[Array], Array]
    # (weights [K], means, factors, floor) -> the least covariances, between L^-1 and L^-T
    least: Callable[[Array, Array, Array, float], Array]
    # x [..., D] -> more than rounding takes off the eigenvalues of a scatter of unit variances
    slack: Callable[[Array], float]
    # (factors, covariances between L^-1 and L^-T) -> their factors; NaN where these are singular
    from_whitened: Callable[[Array, Array], Array]
    # covariances -> factors; NaN where they are singular by more than rounding
    factor: Callable[[Array], Array]
    # factors -> covariances
    square: Callable[[Array], Array]
    # (one factor L, w [D]) -> L w
    colour: Callable[[Array, Array], Array]
    # (one factor L, d [D]) -> L^-1 d
    whiten: Callable[[Array, Array], Array]
    # (K, standard deviations [D]) -> factors of independent columns
    independent: Callable[[int, Array], Array]
    # factors -> parameters that any real numbers may be
    unconstrain: Callable[[Array], Array]
    # and back; zeros become the identity
    constrain: Callable[[Array], Array]
    # (K, D) -> the number of free parameters
    count: Callable[[int, int], int]


def _log_normaliser(log_scales):
    """log sqrt det 2 pi S, of the logarithms of the diagonal of L."""
    size = log_scales.shape[-1]
    return jnp.sum(log_scales, -1) + size / 2 * math.log(2 * math.pi)


def _full_normals(means, factors):
    inverses = lower_inverse(factors)
    constant = _log_normaliser(jnp.log(_diagonal(factors)))

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
    inverse = lower_inverse(factors)[0].T
    constant = _log_normaliser(jnp.log(_diagonal(factors)))
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
            weighted = r[..., None] * white
            mean = jnp.sum(weighted, 1)
            between = jnp.sum(r, 1, keepdims=True) * own - mean
            pairs = matmul(jax.nn.one_hot(nearest, len(means), dtype=x.dtype).T, r)
            apart = (jnp.sqrt(pairs)[..., None] * steps).reshape(-1, x.shape[1])
            scatter = matmul(mean.T, mean) - matmul(between.T, between) + matmul(apart.T, apart)
            return jnp.sum(weighted, 0), scatter[None]

        return -jnp.sum(white**2, -1) / 2 - constant[None], sums

    return normals


def _diagonal_normals(means, factors):
    constant = _log_normaliser(jnp.log(factors))
    centre = jnp.mean(means, 0)
    units = jnp.max(factors, 0)  # [D]
    shrunk = units[None] / factors
    places = (means - centre[None]) / factors
    # Where all means are near for all of them, products about one centre cancel little.
    squares = places**2
    near = (jnp.max(squares) < NEAR**2) & (jnp.max(jnp.mean(squares, -1)) < NEAR_SQUARE)
    near &= jnp.max(shrunk) < NEAR**2

    def normals(x):
        scaled = (x - centre[None]) * (1 / units)[None]
        powers = jnp.concatenate([scaled, scaled**2], -1)  # [C, 2 D]

        def squares_by_products():
            weights = jnp.concatenate([-2 * places * shrunk, shrunk**2], -1)
            return matmul(powers, weights.T) + jnp.sum(squares, -1)[None]

        def squares_one_by_one():
            return jax.vmap(_diagonal_squares, (0, None, None))(x, means, factors)

        def sums(r):
            def by_products():
                return _sums_by_products(r, powers, shrunk, places)

            def one_by_one():
                shift, scatter = _diagonal_sums(r, x, means)
                return shift / factors, scatter / factors**2

            return jax.lax.cond(near, by_products, one_by_one)

        white_squares = jax.lax.cond(near, squares_by_products, squares_one_by_one)
        return -white_squares / 2 - constant[None], sums

    return normals


def _diagonal_squares(x, means, factors):
    """The squares of L^-1 (x - m) of x [D], [K]."""
    places = means.T  # [D, K]
    scales = 1 / factors.T

    # A column at a time: vectors of the processor then run over components, not along a sum.
    def add(d, total):
        return total + ((x[d] - places[d]) * scales[d]) ** 2

    return jax.lax.fori_loop(0, len(x), add, jnp.zeros_like(means[:, 0]), unroll=8)


def _sums_by_products(r, powers, shrunk, places):
    """The sums of r w and of r w^2, [K, D], of w = u shrunk - places.

    Args:
      r: [C, K].
      powers: u and u^2, [C, 2 D].
      shrunk, places: [K, D].
    """
    first, second = jnp.split(matmul(r.T, powers), 2, -1)
    mass = jnp.sum(r, 0)[:, None]
    first = first * shrunk
    shift = first - places * mass
    scatter = second * shrunk**2 - 2 * places * first + places**2 * mass
    # Below this a variance would be negative: rounding, where it is next to nothing.
    least = shift**2 / jnp.maximum(mass, jnp.finfo(mass.dtype).tiny)
    return shift, jnp.maximum(scatter, least)


def _diagonal_sums(r, x, means):
    """The sums of r (x - m) and of r (x - m)^2, [K, D]."""

    def loop(r, x, means):
        def add(i, totals):
            first, second = totals
            centred = x[i][None] - means
            weighted = r[i][:, None] * centred
            return first + weighted, second + weighted * centred

        zeros = jnp.zeros_like(means)
        return jax.lax.fori_loop(0, len(x), add, (zeros, zeros), unroll=8)

    def product(r, x, means):
        centred = x[:, None] - means[None]
        return einsum('ck,ckd->kd', r, centred), einsum('ck,ckd->kd', r, centred**2)

    # Two formulas of one sum: on a CPU the loop takes a quarter of the product's time, elsewhere it
    # would be slow.
    return jax.lax.platform_dependent(r, x, means, cpu=loop, default=product)


def _triangular_least(apart, weights, means, factors, floor):
    """The floor, and under a positive one what float32 resolves of a column.

    That is a share of the column's variance in the whole mixture, which full-batch EM leaves as it
    is, so that it is no other floor at every step.
    """
    own = jnp.sum(factors**2, -1)  # [J, D]
    between = (means - (weights @ means)[None]) ** 2
    whole = jnp.sum(weights[:, None] * (own + between), 0)
    resolved = resolution(own.dtype) ** 2 * jnp.minimum(whole[None], apart * own)
    least = floor + resolved if floor > 0 else jnp.zeros_like(own)
    roots = lower_inverse(factors) * jnp.sqrt(least)[:, None]
    return matmul(roots, roots.swapaxes(-1, -2))


def _triangular_from_whitened(factors, covariances):
    return matmul(factors, jnp.linalg.cholesky(covariances))


def _triangular_factor(covariances):
    """Each column by its own unit; what rounding may have taken off is added where it is needed."""
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
    return rounding_slack(x.shape[-1], x.dtype)


def _triangular_square(factors):
    return matmul(factors, factors.swapaxes(-1, -2))


def _triangular_whiten(factor, d):
    return matmul(lower_inverse(factor), d)


def _triangular_unconstrain(factors):
    return _with_diagonal(factors, jnp.log)


def _triangular_constrain(parameters):
    return _with_diagonal(parameters, jnp.exp)


def _diagonal(factors):
    return jnp.diagonal(factors, axis1=-2, axis2=-1)


def _with_diagonal(factors, change):
    """The factors with a function of their diagonals on these, and 0 above."""
    diagonals = change(_diagonal(factors))[..., None]
    identity = jnp.eye(factors.shape[-1], dtype=factors.dtype)
    return jnp.tril(factors, -1) + diagonals * identity[None]


def _full_outer(r, w):
    return r[:, None, None] * w[:, :, None] * w[:, None]


def _full_divisor(r):
    return r[:, None, None]


def _full_independent(components, scales):
    return jnp.stack([jnp.diag(scales)] * components)


def _full_count(components, size):
    return components * size * (size + 1) // 2


full = Covariance(
    normals=_full_normals,
    outer=_full_outer,
    divisor=_full_divisor,
    least=partial(_triangular_least, APART),
    slack=_triangular_slack,
    from_whitened=_triangular_from_whitened,
    factor=_triangular_factor,
    square=_triangular_square,
    colour=matmul,
    whiten=_triangular_whiten,
    independent=_full_independent,
    unconstrain=_triangular_unconstrain,
    constrain=_triangular_constrain,
    count=_full_count,
)


def _tied_outer(r, w):
    return einsum('k,kd,ke->de', r, w, w)[None]


def _tied_divisor(r):
    return jnp.sum(r)[None, None, None]


def _tied_independent(components, scales):
    del components
    return jnp.diag(scales)[None]


def _tied_count(components, size):
    del components
    return size * (size + 1) // 2


tied = full._replace(
    normals=_tied_normals,
    outer=_tied_outer,
    divisor=_tied_divisor,
    least=partial(_triangular_least, math.inf),
    independent=_tied_independent,
    count=_tied_count,
)


def _diagonal_outer(r, w):
    return r[:, None] * w**2


def _diagonal_divisor(r):
    return r[:, None]


def _diagonal_least(weights, means, factors, floor):
    del weights, means
    return floor / factors**2


def _diagonal_slack(x):
    return rounding_slack(1, x.dtype)


def _diagonal_from_whitened(factors, variances):
    return factors * _roots(variances)


def _diagonal_whiten(factor, d):
    return d / factor


def _diagonal_independent(components, scales):
    return jnp.broadcast_to(scales, (components, len(scales)))


def _diagonal_count(components, size):
    return components * size


def _roots(variances):
    return jnp.sqrt(jnp.where(variances > 0, variances, jnp.nan))


diagonal = Covariance(
    normals=_diagonal_normals,
    outer=_diagonal_outer,
    divisor=_diagonal_divisor,
    least=_diagonal_least,
    slack=_diagonal_slack,
    from_whitened=_diagonal_from_whitened,
    factor=_roots,
    square=jnp.square,
    colour=jnp.multiply,
    whiten=_diagonal_whiten,
    independent=_diagonal_independent,
    unconstrain=jnp.log,
    constrain=jnp.exp,
    count=_diagonal_count,
)
