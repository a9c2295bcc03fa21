"""What the states of a hidden Markov model emit, as records of functions.

B sequences of L places, K states; V symbols, or D entries of an x.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import Key
from genjax.numerics.triangular import lower_inverse

Array = jax.Array
TINY = 1e-37  # holds a division by nought off
# A factor in float32 knows a column's standard deviation given the columns before it to eps / 2 of
# that of the column alone. At this share of the latter the error is a 32nd, and a likelihood off by
# no more than a thousandth.
RESOLUTION = 16 * float(np.finfo(np.float32).eps)


class Emission(NamedTuple):
    """One kind of emission. Sums are linear in their weights, and hold all that the maximum asks of
    the data."""

    init: Callable[
        [Key, Array, Array, int], Any
    ]  # (key, x, real [B, L], K) -> parameters; ValueError for other x
    log_prob: Callable[[Any, Array], Array]  # (parameters, x) -> log p(x | state), nats [B, L, K]
    sums: Callable[[Any, Array, Array], Any]  # (parameters, x, weights [B, L, K]) -> sums
    maximum: Callable[
        [Any, Any], tuple[Any, Any]
    ]  # (parameters, sums) -> best parameters, the sums in their terms
    draw: Callable[[Key, Any, Array], Array]  # (key, parameters, state) -> one x


def discrete(symbols: int, *, pseudocount: float = 0.0) -> Emission:
    """Symbols 0 to V - 1, x is int32 [B, L]; the parameters are P(symbol | state), [K, V], at first
    random.

    A symbol outside the range has a likelihood that is not a number, which ends a run.

    Args:
      symbols: V.
      pseudocount: added to every count of a batch, for the mode under a Dirichlet prior of
        parameter 1 + pseudocount.

    Raises:
      ValueError: no symbols, or a negative pseudocount; from `init`, an x of another kind.
    """
    if not (symbols >= 1 and pseudocount >= 0):
        raise ValueError(
            f'symbols are {symbols}, pseudocount {pseudocount}; needed: at least 1 symbol, at least 0'
        )

    def init(key, x, real, states):
        _require(x, x.ndim == 2 and jnp.issubdtype(x.dtype, jnp.integer), 'integers [B, L]')
        return jax.random.dirichlet(key, jnp.ones(symbols), (states,))

    def log_prob(table, x):
        return (
            jnp.log(table).T.at[jnp.where(x < 0, symbols, x)].get(mode='fill', fill_value=jnp.nan)
        )

    def sums(table, x, weights):
        # A sequence by itself first: one long float32 sum would stop counting.
        count = lambda x, weights: jnp.zeros(table.T.shape).at[x].add(weights)
        return jnp.sum(jax.vmap(count)(x, weights), 0).T

    def maximum(table, sums):
        counts = sums + pseudocount
        total = jnp.sum(counts, 1, keepdims=True)
        return jnp.where(total > 0, counts / jnp.maximum(total, TINY), table), sums

    draw = lambda key, table, state: jax.random.categorical(key, jnp.log(table[state]))
    return Emission(init, log_prob, sums, maximum, draw)


def _require(x, met, kind):
    if not met:
        raise ValueError(f'x is {x.dtype} {list(x.shape)}; the emission needs {kind}')


class Covariance(NamedTuple):
    """What a covariance is: its factor L, of which it is the square, and what is done in
    coordinates w = L^-1 d."""

    outer: Callable[[Array], Array]  # w [..., D] -> what a covariance is the mean of
    square: Callable[[Array], Array]  # L -> the covariance
    factor: Callable[[Array], Array]  # and back; NaN where it is singular
    apart: Callable[
        [Array], Array
    ]  # standard deviations [D] -> L of columns that have nothing to do with each other
    variances: Callable[[Array], Array]  # L -> the variances of the columns, [D]
    whiten: Callable[[Array, Array], tuple[Array, Array]]  # (L, d [..., D]) -> L^-1 d and log det L
    colour: Callable[[Array, Array], Array]  # (L, w [D]) -> L w
    grown: Callable[[Array, Array, Array], tuple[Array, Callable[[Array], Array]]]
    # (L, a scatter between L^-1 and L^-T, least variances [D]) -> the L of the most likely
    # covariance that has no less in any direction, and what brings a scatter from the coordinates
    # of the old L to those of the new


matmul = partial(
    jnp.matmul, precision='highest'
)  # accelerators would multiply in fewer bits than are added
einsum = partial(jnp.einsum, precision='highest')


def _diagonal_grown(factor, scatter, least):
    growth = jnp.sqrt(jnp.maximum(scatter, least / factor**2))
    return factor * growth, lambda scatter: scatter / growth**2


def _full_grown(factor, scatter, least):
    """Where the scatter is the identity, the least covariance has eigenvalues; those above 1 take
    the place of 1.

    To the scatter is first added what rounding may have taken off it, some millionths, and a
    thousandth of the least: these eigenvalues are then no more than a thousand.
    """
    size = len(factor)
    identity = jnp.eye(size, dtype=factor.dtype)
    ease = 16 * np.sqrt(size) * float(jnp.finfo(factor.dtype).eps) * identity
    roots = lower_inverse(factor) * jnp.sqrt(least)[None]
    scatter = scatter * (1 + ease) + matmul(roots, roots.T) / 1000
    seen = jnp.linalg.cholesky(scatter)
    # Of the covariances that are diagonal in these coordinates the best: no rounding makes them
    # indefinite.
    alone = jnp.diag(jnp.sqrt(jnp.maximum(jnp.diagonal(scatter), TINY)))
    seen = jnp.where(jnp.isfinite(seen).all(), seen, alone)
    floor = matmul(lower_inverse(seen), roots)
    values, axes = jnp.linalg.eigh(matmul(floor, floor.T))
    raised = matmul(seen, axes) * jnp.sqrt(jnp.maximum(values, 1))[None]
    growth = jnp.linalg.cholesky(matmul(raised, raised.T) * (1 + ease))
    growth = jnp.where(jnp.any(values > 1), growth, seen)

    def restated(scatter):
        back = lower_inverse(growth)
        return matmul(matmul(back, scatter), back.T)

    return matmul(factor, growth), restated


def _diagonal_whiten(factor, d):
    return d / factor.reshape(*[1] * (d.ndim - 1), -1), jnp.sum(jnp.log(factor))


def _full_whiten(factor, d):
    return matmul(d, lower_inverse(factor).T), jnp.sum(jnp.log(jnp.diagonal(factor)))


diagonal = Covariance(
    outer=jnp.square,
    square=jnp.square,
    factor=jnp.sqrt,
    apart=lambda deviations: deviations,
    variances=jnp.square,
    whiten=_diagonal_whiten,
    colour=lambda factor, w: factor * w,
    grown=_diagonal_grown,
)
full = Covariance(
    outer=lambda w: w[..., :, None] * w[..., None, :],
    square=lambda factor: matmul(factor, factor.swapaxes(-1, -2)),
    factor=jnp.linalg.cholesky,
    apart=jnp.diag,
    variances=lambda factor: jnp.sum(factor**2, -1),
    whiten=_full_whiten,
    colour=matmul,
    grown=_full_grown,
)


class Gaussians(NamedTuple):
    mean: Array  # [K, D]
    factor: Array  # [K, D] standard deviations, or [K, D, D] lower triangular

    @property
    def covariance(self) -> Array:
        """[K, D] or [K, D, D]; in float32, where the factor may know more than it."""
        structure = full if self.factor.ndim > self.mean.ndim else diagonal
        return structure.square(self.factor)


class Moments(NamedTuple):
    """Sums over the examples of a state, with w = L^-1 (x - m) of its mean and factor."""

    zeroth: Array  # [K]
    first: Array  # [K, D], of w
    second: Array  # as the covariance


def gaussian(covariance: Covariance = diagonal, *, floor: float = 1e-6) -> Emission:
    """One Gaussian a state, x is float32 [B, L, D]; the parameters are `Gaussians`.

    At first the means are spread over the batch as k-means++ does (Arthur and Vassilvitskii 2007),
    and every state has the covariance of the whole. Sums are about the means at hand, so that data
    far from nought lose no digits.

    Each state's sums are taken in the coordinates of its own factor, so a direction that varies
    little beside others keeps its digits too.

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
    functions = (
        _gaussian_init,
        _gaussian_log_prob,
        _gaussian_sums,
        _gaussian_maximum,
        _gaussian_draw,
    )
    return Emission(*(partial(function, covariance, floor) for function in functions))


def _gaussian_init(covariance, floor, key, x, real, states):
    _require(x, x.ndim == 3 and jnp.issubdtype(x.dtype, jnp.floating), 'floats [B, L, D]')
    weights = real[..., None].astype(x.dtype)
    about = x - x[0, 0][None, None]
    count = jnp.maximum(jnp.sum(weights), 1)
    centre = jnp.sum(weights * about, (0, 1)) / count
    variances = jnp.sum(weights * (about - centre[None, None]) ** 2, (0, 1)) / count
    whole = Gaussians((x[0, 0] + centre)[None], covariance.apart(jnp.sqrt(variances + floor))[None])
    for _ in range(2):  # the second time in the coordinates of the first
        whole, _ = _gaussian_maximum(
            covariance, floor, whole, _gaussian_sums(covariance, floor, whole, x, weights)
        )
    means = _spread(key, x.reshape(-1, x.shape[2]), real.ravel(), states)
    return Gaussians(means, jnp.broadcast_to(whole.factor, (states, *whole.factor.shape[1:])))


def _gaussian_white(covariance, gaussians, x):
    """x less each mean, in the coordinates of its factor, [B, L, K, D], and log det of these, [K]."""
    return jax.vmap(covariance.whiten, (0, 2), (2, 0))(gaussians.factor, _less(x, gaussians.mean))


def _gaussian_log_prob(covariance, floor, gaussians, x):
    white, log_det = _gaussian_white(covariance, gaussians, x)
    return -jnp.sum(white**2, -1) / 2 - log_det[None, None] - x.shape[-1] * np.log(2 * np.pi) / 2


def _gaussian_sums(covariance, floor, gaussians, x, weights):
    white, _ = _gaussian_white(covariance, gaussians, x)
    # A sequence by itself first: one long float32 sum would lose its small terms.
    total = lambda y: jnp.sum(
        jnp.sum(weights.reshape(*weights.shape, *[1] * (y.ndim - 3)) * y, 1), 0
    )
    return Moments(
        total(jnp.ones_like(white[..., 0])), total(white), total(covariance.outer(white))
    )


def _gaussian_maximum(covariance, floor, gaussians, sums):
    weights = sums.zeroth / jnp.maximum(jnp.sum(sums.zeroth), TINY)
    least = floor + RESOLUTION**2 * _whole(covariance, gaussians, weights)

    def one(mean, factor, zeroth, first, second):
        shift, scatter = first / jnp.maximum(zeroth, TINY), second / jnp.maximum(zeroth, TINY)
        # What rounding leaves of the shift is no trifle far from nought, beside a thin direction.
        moved = mean + covariance.colour(factor, shift)
        rest = shift - covariance.whiten(factor, moved - mean)[0]
        nearer = jnp.sum(rest**2) < jnp.sum(shift**2)
        rest = jnp.where(nearer, rest, shift)
        scatter = scatter - covariance.outer(shift) + covariance.outer(rest)
        grown, restated = covariance.grown(factor, scatter, least)
        found = Gaussians(jnp.where(nearer, moved, mean), grown), restated(scatter) * zeroth
        kept = Gaussians(mean, factor), second
        return jax.tree.map(lambda new, old: jnp.where(zeroth > 0, new, old), found, kept)

    found, second = jax.vmap(one)(*gaussians, *sums)
    return found, Moments(sums.zeroth, jnp.zeros_like(sums.first), second)


def _whole(covariance, gaussians, weights):
    """The variances of the columns of all states together, [D]; EM on all data leaves them as they
    are."""
    away = (gaussians.mean - (weights @ gaussians.mean)[None]) ** 2
    return weights @ (jax.vmap(covariance.variances)(gaussians.factor) + away)


def _gaussian_draw(covariance, floor, key, gaussians, state):
    mean, factor = gaussians.mean[state], gaussians.factor[state]
    return mean + covariance.colour(factor, jax.random.normal(key, mean.shape))


def _less(x, mean):
    return x[:, :, None] - mean[None, None]  # [B, L, K, D]


def _spread(key, rows, real, n):
    """n of the rows [N, D], each drawn in proportion to its squared distance from the nearest one
    before it."""

    def pick(distance, key):
        row = rows[jax.random.categorical(key, jnp.log(distance))]
        return jnp.minimum(distance, jnp.sum((rows - row[None]) ** 2, 1)), row

    alike = jnp.where(real, 1e30, 0.0)  # farther than any distance: the first is drawn evenly
    return jax.lax.scan(pick, alike, jax.random.split(key, n))[1]
