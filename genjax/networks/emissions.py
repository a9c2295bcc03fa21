"""What the states of a hidden Markov model emit, as records of functions.

B sequences of L places, K states; V symbols, or D entries of an x.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from genjax.base import Key

Array = jax.Array
TINY = 1e-37  # holds a division by nought off


class Emission(NamedTuple):
    """One kind of emission. Sums are linear in their weights, and hold all that the maximum asks of the data."""

    init: Callable[[Key, Array, Array, int], Any]  # (key, x, real [B, L], K) -> parameters; ValueError for other x
    log_prob: Callable[[Any, Array], Array]  # (parameters, x) -> log p(x | state), nats [B, L, K]
    sums: Callable[[Any, Array, Array], Any]  # (parameters, x, weights [B, L, K]) -> sums
    maximum: Callable[[Any, Any], tuple[Any, Any]]  # (parameters, sums) -> best parameters, the sums in their terms
    draw: Callable[[Key, Any, Array], Array]  # (key, parameters, state) -> one x


def discrete(symbols: int, *, pseudocount: float = 0.0) -> Emission:
    """Symbols 0 to V - 1, x is int32 [B, L]; the parameters are P(symbol | state), [K, V], at first random.

    A symbol outside the range has a likelihood that is not a number, which ends a run.

    Args:
      symbols: V.
      pseudocount: added to every count of a batch, for the mode under a Dirichlet prior of parameter 1 + pseudocount.

    Raises:
      ValueError: no symbols, or a negative pseudocount; from `init`, an x of another kind.
    """
    if not (symbols >= 1 and pseudocount >= 0):
        raise ValueError(f'symbols are {symbols}, pseudocount {pseudocount}; needed: at least 1 symbol, at least 0')

    def init(key, x, real, states):
        _require(x, x.ndim == 2 and jnp.issubdtype(x.dtype, jnp.integer), 'integers [B, L]')
        return jax.random.dirichlet(key, jnp.ones(symbols), (states,))

    def log_prob(table, x):
        return jnp.log(table).T.at[jnp.where(x < 0, symbols, x)].get(mode='fill', fill_value=jnp.nan)

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
    """What a covariance is."""

    square: Callable[[Array], Array]  # d [..., D] -> what the covariance is the mean of
    floored: Callable[[Array, float], Array]  # the most likely one that has no variance below the floor
    root: Callable[[Array], Array]  # R, of which it is the square
    whiten: Callable[[Array, Array], tuple[Array, Array]]  # (R, d [D]) -> R^-1 d and log det R
    colour: Callable[[Array, Array], Array]  # (R, z [D]) -> R z


def _floored(covariance, floor):
    scales, axes = jnp.linalg.eigh(covariance)
    return (axes * jnp.maximum(scales, floor)[None]) @ axes.T


diagonal = Covariance(
    jnp.square,
    jnp.maximum,
    jnp.sqrt,
    lambda root, d: (d / root, jnp.sum(jnp.log(root))),
    lambda root, z: root * z,
)
full = Covariance(
    lambda d: d[..., :, None] * d[..., None, :],
    _floored,
    jnp.linalg.cholesky,
    lambda root, d: (solve_triangular(root, d, lower=True), jnp.sum(jnp.log(jnp.diagonal(root)))),
    lambda root, z: root @ z,
)


class Gaussians(NamedTuple):
    mean: Array  # [K, D]
    covariance: Array  # [K, D] or [K, D, D]


class Moments(NamedTuple):
    """Sums over the examples of a state, about its mean."""

    zeroth: Array  # [K]
    first: Array  # [K, D]
    second: Array  # as the covariance


def gaussian(covariance: Covariance = diagonal, *, floor: float = 1e-6) -> Emission:
    """One Gaussian a state, x is float32 [B, L, D]; the parameters are `Gaussians`.

    At first the means are spread over the batch as k-means++ does (Arthur and Vassilvitskii 2007), and every state has
    the covariance of the whole. Sums are about the means at hand, so that data far from nought lose no digits.

    Args:
      covariance: `diagonal`, or `full`.
      floor: the least variance in any direction, in the square of x's unit.

    Raises:
      ValueError: floor is not positive; from `init`, an x of another kind.
    """
    if not floor > 0:
        raise ValueError(f'floor is {floor}; a variance must be positive')
    functions = (_gaussian_init, _gaussian_log_prob, _gaussian_sums, _gaussian_maximum, _gaussian_draw)
    return Emission(*(partial(function, covariance, floor) for function in functions))


def _gaussian_init(covariance, floor, key, x, real, states):
    _require(x, x.ndim == 3 and jnp.issubdtype(x.dtype, jnp.floating), 'floats [B, L, D]')
    point = Gaussians(x[0, :1], covariance.square(x[0, :1]))
    sums = _gaussian_sums(covariance, floor, point, x, real[..., None].astype(x.dtype))
    whole = _gaussian_maximum(covariance, floor, point, sums)[0].covariance
    means = _spread(key, x.reshape(-1, x.shape[2]), real.ravel(), states)
    return Gaussians(means, jnp.broadcast_to(whole, (states, *whole.shape[1:])))


def _gaussian_log_prob(covariance, floor, gaussians, x):
    def one(root, d):
        z, log_det = covariance.whiten(root, d)
        return -jnp.sum(z**2) / 2 - log_det - len(d) * np.log(2 * np.pi) / 2

    points = jax.vmap(jax.vmap(one, (None, 0)), (None, 0))
    return jax.vmap(points, (0, 2), 2)(jax.vmap(covariance.root)(gaussians.covariance), _less(x, gaussians.mean))


def _gaussian_sums(covariance, floor, gaussians, x, weights):
    d = _less(x, gaussians.mean)
    # A sequence by itself first: one long float32 sum would lose its small terms.
    total = lambda y: jnp.sum(jnp.sum(weights.reshape(*weights.shape, *[1] * (y.ndim - 3)) * y, 1), 0)
    return Moments(total(jnp.ones_like(d[..., 0])), total(d), total(covariance.square(d)))


def _gaussian_maximum(covariance, floor, gaussians, sums):
    mean_of = lambda y: y / jnp.maximum(sums.zeroth, TINY).reshape(-1, *[1] * (y.ndim - 1))
    shift = mean_of(sums.first)
    moved = mean_of(sums.second) - covariance.square(shift)
    seen = (sums.zeroth > 0).reshape(-1, *[1] * (moved.ndim - 1))
    floored = jnp.where(seen, jax.vmap(lambda c: covariance.floored(c, floor))(moved), gaussians.covariance)
    second = sums.zeroth.reshape(seen.shape) * moved
    return Gaussians(gaussians.mean + shift, floored), Moments(sums.zeroth, jnp.zeros_like(shift), second)


def _gaussian_draw(covariance, floor, key, gaussians, state):
    mean, root = gaussians.mean[state], covariance.root(gaussians.covariance[state])
    return mean + covariance.colour(root, jax.random.normal(key, mean.shape))


def _less(x, mean):
    return x[:, :, None] - mean[None, None]  # [B, L, K, D]


def _spread(key, rows, real, n):
    """n of the rows [N, D], each drawn in proportion to its squared distance from the nearest one before it."""

    def pick(distance, key):
        row = rows[jax.random.categorical(key, jnp.log(distance))]
        return jnp.minimum(distance, jnp.sum((rows - row[None]) ** 2, 1)), row

    alike = jnp.where(real, 1e30, 0.0)  # farther than any distance: the first is drawn evenly
    return jax.lax.scan(pick, alike, jax.random.split(key, n))[1]
