"""Distributions that are known exactly, of which every step draws anew: Gaussians in the plane, and
finite ones.

A distribution is given by `draw`: key -> one example, a dict of arrays. Letters: B examples a
batch, K Gaussians or atoms.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.base import Data, Key, Resident
from genjax.data.resident import fingerprint

ANEW = (
    2**31 + 3
)  # folded into key(seed); a trainer's steps lie below 2**31, its own keys at the end of uint32

Draw = Callable[[Key], dict[str, Array]]


class Gaussians(NamedTuple):
    """Equally likely Gaussians in the plane, all round and equally wide."""

    centres: np.ndarray  # [K, 2]
    deviation: float  # along each axis


def ring(modes: int = 8, radius: float = 2.0, deviation: float = 0.02) -> Gaussians:
    """Gaussians evenly around the origin (Metz et al. 2017, arXiv:1611.02163).

    Raises:
      ValueError: modes is below 1, or a length is not positive.
    """
    if not (modes >= 1 and radius > 0 and deviation > 0):
        raise ValueError(
            f'ring of modes {modes}, radius {radius}, deviation {deviation}; all must be positive'
        )
    angles = 2 * np.pi * np.arange(modes) / modes
    return Gaussians(radius * np.stack([np.cos(angles), np.sin(angles)], -1), deviation)


def lattice(side: int = 5, spacing: float = 2.0, deviation: float = 0.05) -> Gaussians:
    """Gaussians on a square grid around the origin, side^2 of them (Lin et al. 2018,
    arXiv:1712.04086).

    Raises:
      ValueError: side is below 1, or a length is not positive.
    """
    if not (side >= 1 and spacing > 0 and deviation > 0):
        raise ValueError(
            f'lattice of side {side}, spacing {spacing}, deviation {deviation}; all must be positive'
        )
    line = spacing * (np.arange(side) - (side - 1) / 2)
    return Gaussians(np.stack(np.meshgrid(line, line), -1).reshape(-1, 2), deviation)


def planar(gaussians: Gaussians) -> Draw:
    """Draws {'x': float32 [2]}."""
    centres = np.asarray(gaussians.centres, np.float32)

    def draw(key):
        which, where = jax.random.split(key)
        centre = jnp.asarray(centres)[jax.random.randint(which, (), 0, len(centres))]
        return {'x': centre + gaussians.deviation * jax.random.normal(where, (2,))}

    return draw


def atoms(p: Sequence[float]) -> Draw:
    """Draws {'x': float32 [K]}, one of K atoms with probabilities p [K], as one-hot.

    Raises:
      ValueError: p is no distribution.
    """
    log_p = np.log(_distribution(p))
    return lambda key: {'x': jax.nn.one_hot(jax.random.categorical(key, log_p), len(log_p))}


def itself(p: Sequence[float]) -> Draw:
    """Gives {'x': p}, float32 [K], whatever the key: expectations over p without the noise of
    draws.

    Raises:
      ValueError: p is no distribution.
    """
    p = _distribution(p)
    return lambda key: {'x': jnp.asarray(p)}


def _distribution(p):
    p = np.asarray(p, np.float32)
    if not (p.ndim == 1 and len(p) and np.all(p > 0) and abs(p.sum() - 1) < 1e-5):
        raise ValueError(
            f'p is {p.tolist()}; probabilities must be a row of positive numbers with the sum 1'
        )
    return p


def anew(draw: Draw, *, batch: int, seed: int, test: int = 1000) -> Data:
    """Batches of independent draws, other ones at every step, and a test set that stays; both
    follow from the seed.

    Args:
      draw: of one example.
      batch: B.
      seed: of all draws.
      test: number of test examples, in one batch.

    Raises:
      ValueError: batch or test lies outside 1 to 10^6.
    """
    if not (1 <= batch <= 10**6 and 1 <= test <= 10**6):
        raise ValueError(f'batch is {batch}, test {test}; both take 1 to {10**6}')
    train, held_out = jax.random.split(jax.random.fold_in(jax.random.key(seed), ANEW))
    draws = lambda key, n: jax.vmap(draw)(jax.random.split(key, n))
    tests = jax.device_get(jax.jit(draws, static_argnums=1)(held_out, test))
    feed = Resident(
        train, lambda key, step: draws(jax.random.fold_in(key, step), batch), fingerprint(tests)
    )
    return Data(feed, [tests])
