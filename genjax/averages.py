"""How an average of the parameters forgets, and averages that are made after the training.

After an update that follows n others an average a moves towards the new parameters theta,

    a <- a + f(n) (theta - a),

and a `Decay` is the share f, which is 1 - beta where beta is how much of the average is kept. All
of them give weights that sum to 1 to the parameters of the past, those at the beginning among them.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


class Decay(NamedTuple):
    """How an average forgets.

    Attributes:
      name: what scores and tables call the average.
      forgotten: n, the number of updates before, float [] -> f(n) in [0, 1], the share that an
        update replaces. It is not computed from beta, which near 1 has few digits of it. None: all
        of it, so that the average equals the parameters to the bit.
    """

    name: str
    forgotten: Callable[[Array], Array | float] | None


def fixed(decay: float) -> Decay:
    """The same share at every update: a <- decay * a + (1 - decay) * theta.

    The parameters at the beginning keep the weight decay^n: the average is of use after a few
    times 1 / (1 - decay) updates.

    Raises:
      ValueError: decay lies outside [0, 1).
    """
    _require_decay(decay)

    def forgotten(n):
        del n
        return 1 - decay

    return Decay(f'decay {decay}', forgotten)


def warmed(decay: float) -> Decay:
    """A fixed decay that grows to its value: beta is the lesser of decay and (1 + n) / (10 + n).

    It is of use from the first update, after which the parameters at the beginning have a weight of
    0.1. As in TensorFlow's `ExponentialMovingAverage` where it is given `num_updates`.

    Raises:
      ValueError: decay lies outside [0, 1).
    """
    _require_decay(decay)

    def forgotten(n):
        return jnp.maximum(1 - decay, 9 / (10 + n))

    return Decay(f'decay {decay} with warm-up', forgotten)


def half_life(examples: float, batch: int, ramp: float | None = 0.05) -> Decay:
    """Weights that halve with every so many examples seen since (Karras et al. 2022, EDM).

    arXiv:2206.00364, whose settings for CIFAR-10 are 500,000 examples and a ramp of 0.05.

    Args:
      examples: the half-life.
      batch: examples of an update.
      ramp: the half-life is at most this share of the examples seen before, so that the parameters
        at the beginning are forgotten; None for no such limit.

    Raises:
      ValueError: one of them is not positive.
    """
    if not (examples > 0 and batch > 0 and (ramp is None or ramp > 0)):
        raise ValueError(
            f'half_life of {examples} examples, batch {batch}, ramp {ramp}; all must be positive'
        )
    longest = examples / batch

    def forgotten(n):
        updates = longest if ramp is None else jnp.minimum(longest, ramp * n)
        return -jnp.expm1(-math.log(2) / updates)

    limit = '' if ramp is None else f', at most {ramp} of those seen'
    return Decay(f'half-life {examples:,} examples{limit}', forgotten)


def power(gamma: float) -> Decay:
    """Weights that grow as a power of time, tau^gamma (Karras et al. 2024, EDM2).

    arXiv:2312.02696, eq. 121 and 127: after t updates those of update i are exactly the integral of
    `Profile` over [i - 1, i], (i^(gamma + 1) - (i - 1)^(gamma + 1)) / t^(gamma + 1). The parameters
    at the beginning have none. At gamma = 0 all updates weigh alike.

    Raises:
      ValueError: gamma is negative.
    """
    _require_gamma(gamma)

    def forgotten(n):
        # beta = (1 - 1 / t)^(gamma + 1), where t counts this update too.
        return -jnp.expm1((gamma + 1) * jnp.log1p(-1 / (n + 1)))

    return Decay(f'power {gamma:.6g}', forgotten)


def gamma_of(relative_deviation: float) -> float:
    """The gamma at which the weights of a power average have this deviation, as a share of time.

    EDM2, eq. 123 and 126: s^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3)), of which the largest
    root is taken.

    Raises:
      ValueError: the deviation is not positive, or more than that of equal weights, sqrt(1 / 12).
    """
    if not 0 < relative_deviation <= 12**-0.5:
        raise ValueError(
            f'relative_deviation is {relative_deviation}; it must lie in (0, {12**-0.5:.4f}]'
        )
    precision = float(relative_deviation) ** -2
    return float(np.roots([1, 7, 16 - precision, 12 - precision]).real.max())


def as_decay(decay: Decay | float) -> Decay:
    """What a number means: 0 no average, any other a fixed decay with warm-up.

    Raises:
      ValueError: the number lies outside [0, 1).
    """
    if isinstance(decay, Decay):
        return decay
    _require_decay(decay)
    return warmed(decay) if decay else Decay('none', None)


def move(decay: Decay, updates: Array, average: Any, params: Any) -> Any:
    """The average after an update.

    Args:
      decay: how it forgets.
      updates: how many came before, int32 [].
      average: before.
      params: the new parameters.
    """
    if decay.forgotten is None:
        return jax.tree.map(jnp.copy, params)  # two trees, since a state's buffers are donated
    share = jnp.asarray(decay.forgotten(jnp.asarray(updates, float)), float)

    def move_leaf(a, p):
        return a + share.astype(a.dtype) * (p - a)

    return jax.tree.map(move_leaf, average, params)


def _require_decay(decay):
    if not 0 <= decay < 1:
        raise ValueError(f'decay is {decay}; the average needs 0 <= decay < 1')


def _require_gamma(gamma):
    if not gamma >= 0:
        raise ValueError(f'gamma is {gamma}; a power average needs 0 or more')


class Profile(NamedTuple):
    """The weights of a power average over time: (gamma + 1) tau^gamma / t^(gamma + 1) on [0, t].

    Attributes:
      updates: t, when the average was taken.
      gamma: of `power`.
    """

    updates: float
    gamma: float


class Reconstruction(NamedTuple):
    """An average as a sum of others.

    Attributes:
      weights: of the snapshots, float64 [N], whose sum is 1.
      misfit: what is left between the two profiles, as a share of the wished one, both in L2.
    """

    weights: np.ndarray
    misfit: float


def inner_products(profiles: Sequence[Profile], others: Sequence[Profile]) -> np.ndarray:
    """The integrals of the products of two profiles each, float64 [N, M] (EDM2, eq. 151)."""
    t, gamma = (column[:, None] for column in np.array(profiles, np.float64).T)
    s, delta = (column[None] for column in np.array(others, np.float64).T)
    end = np.minimum(t, s)  # where the first of both ends
    rise = (gamma + 1) * (delta + 1) / (gamma + delta + 1)
    return rise * (end / t) ** gamma * (end / s) ** delta * end / (t * s)


def reconstruction(snapshots: Sequence[Profile], wished: Profile) -> Reconstruction:
    """Which sum of snapshots is nearest to an average that was not kept (EDM2, algorithm 3).

    The sum of their profiles is the nearest to the wished one in L2, and is then scaled to weights
    whose sum is 1, as the authors' code does.

    Args:
      snapshots: of power averages of one run; with two of each moment, of gamma_of(0.05) and
        gamma_of(0.10), and 16 moments, the misfit of what lies between is some thousandths.
      wished: another average of that run.

    Raises:
      ValueError: there are no snapshots, a time is not positive, or a gamma negative.
    """
    if not snapshots:
        raise ValueError('a reconstruction needs at least one snapshot')
    for profile in (*snapshots, wished):
        _require_gamma(profile.gamma)
        if not profile.updates > 0:
            raise ValueError(f'updates are {profile.updates}; an average needs at least one')

    gram = inner_products(snapshots, snapshots)
    towards = inner_products(snapshots, [wished])[:, 0]
    weights, *_ = np.linalg.lstsq(gram, towards, rcond=None)  # snapshots may be alike
    weights = weights / weights.sum()
    whole = inner_products([wished], [wished])[0, 0]
    left = weights @ gram @ weights - 2 * weights @ towards + whole
    return Reconstruction(weights, math.sqrt(max(left, 0.0) / whole))


def combine(weights: Sequence[float], trees: Sequence[Any]) -> Any:
    """The sum of trees by their weights, in float64; leaves keep the dtypes of the first tree."""

    def add(*leaves):
        parts = (w * np.asarray(leaf, np.float64) for w, leaf in zip(weights, leaves, strict=True))
        return np.asarray(sum(parts)).astype(leaves[0].dtype)

    return jax.tree.map(add, *trees)
