"""Distributions that are known exactly, sampled anew at every step.

They are mixtures of Gaussians in the plane, and distributions over finitely many outcomes.

Letters: B examples a batch, K Gaussians or outcomes.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.base import Batch, Data, Key, Resident
from genjax.data.resident import fingerprint

# Folded into key(seed). A trainer's steps lie below 2**31, its own keys at the end of uint32.
SAMPLES = 2**31 + 3

# key -> one example of a distribution, a dict of arrays
Draw = Callable[[Key], dict[str, Array]]


class Gaussians(NamedTuple):
    """Equally likely isotropic Gaussians in the plane, all of one deviation."""

    centres: np.ndarray  # [K, 2]
    deviation: float  # along each axis


def ring(modes: int = 8, radius: float = 2.0, deviation: float = 0.02) -> Gaussians:
    """Gaussians evenly spaced on a circle (Metz et al. 2017, arXiv:1611.02163).

    Args:
      modes: K.
      radius: distance of the centres from the origin.
      deviation: standard deviation of each Gaussian along each axis.

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
    """Gaussians on a square grid about the origin (Lin et al. 2018, arXiv:1712.04086).

    Args:
      side: Gaussians along a side of the grid; K = side^2.
      spacing: distance between neighbouring centres.
      deviation: standard deviation of each Gaussian along each axis.

    Raises:
      ValueError: side is below 1, or a length is not positive.
    """
    if not (side >= 1 and spacing > 0 and deviation > 0):
        raise ValueError(
            f'lattice of side {side}, spacing {spacing}, deviation {deviation}; '
            'all must be positive'
        )
    line = spacing * (np.arange(side) - (side - 1) / 2)
    grid = np.stack(np.meshgrid(line, line), -1)
    return Gaussians(grid.reshape(-1, 2), deviation)


def spirals(
    components: int = 32, radius: float = 2.0, turns: float = 0.75, deviation: float = 0.1
) -> Gaussians:
    """Gaussians along two arms that wind about the origin, each the other turned by half a turn.

    Along an arm the radius grows with the angle, and neighbours are equally far apart.

    Args:
      components: K, of both arms together.
      radius: distance of the last centre of an arm from the origin.
      turns: of an arm.
      deviation: standard deviation of each Gaussian along each axis.

    Raises:
      ValueError: components is no even number of at least 2, or a length or turns is not positive.
    """
    if components < 2 or components % 2:
        raise ValueError(f'spirals of components {components}; needed: an even number from 2 on')
    if not (radius > 0 and turns > 0 and deviation > 0):
        raise ValueError(
            f'spirals of radius {radius}, turns {turns}, deviation {deviation}; '
            'all must be positive'
        )
    angle = np.linspace(0, 2 * np.pi * turns, 10_001)
    # The length of r = c angle is c (angle sqrt(1 + angle^2) + arsinh(angle)) / 2.
    length = angle * np.hypot(1, angle) + np.arcsinh(angle)
    arm = components // 2
    # Half a distance from the origin, so that the arms do not share a centre.
    wanted = length[-1] * (np.arange(arm) + 0.5) / (arm - 0.5)
    angles = np.interp(wanted, length, angle)
    radii = radius * angles / angle[-1]
    one = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], -1)
    return Gaussians(np.concatenate([one, -one]), deviation)


def gaussian_mixture(gaussians: Gaussians) -> Draw:
    """Draws {'x': float32 [2]} of an even mixture of Gaussians."""
    centres = np.asarray(gaussians.centres, np.float32)

    def draw(key):
        component_key, noise_key = jax.random.split(key)
        component = jax.random.randint(component_key, (), 0, len(centres))
        noise = jax.random.normal(noise_key, (2,))
        return {'x': jnp.asarray(centres)[component] + gaussians.deviation * noise}

    return draw


def categorical(p: Sequence[float]) -> Draw:
    """Draws {'x': float32 [K]}, one of K outcomes as one-hot.

    Args:
      p: probabilities of the outcomes, [K].

    Raises:
      ValueError: p is no distribution.
    """
    log_p = np.log(_require_distribution(p))

    def draw(key):
        return {'x': jax.nn.one_hot(jax.random.categorical(key, log_p), len(log_p))}

    return draw


def constant(p: Sequence[float]) -> Draw:
    """Gives {'x': p}, float32 [K], whatever the key: expectations over p without sampling noise.

    Args:
      p: probabilities of the outcomes, [K].

    Raises:
      ValueError: p is no distribution.
    """
    p = _require_distribution(p)

    def draw(key):
        del key
        return {'x': jnp.asarray(p)}

    return draw


def _require_distribution(p: Sequence[float]) -> np.ndarray:
    """p as float32 [K], if it is a distribution."""
    p = np.asarray(p, np.float32)
    if not (p.ndim == 1 and len(p) and np.all(p > 0) and abs(p.sum() - 1) < 1e-5):
        raise ValueError(
            f'p is {p.tolist()}; probabilities must be a row of positive numbers with the sum 1'
        )
    return p


def sampled(draw: Draw, *, batch: int, seed: int, test: int = 1000) -> Data:
    """Batches of independent draws, new at every step, and a fixed test set.

    Args:
      draw: key -> one example.
      batch: B.
      seed: seed of all draws.
      test: number of test examples, which are one batch.

    Raises:
      ValueError: batch or test lies outside 1 to 10^6.
    """
    if not (1 <= batch <= 10**6 and 1 <= test <= 10**6):
        raise ValueError(f'batch is {batch}, test {test}; both take 1 to {10**6}')

    def draw_batch(key: Key, n: int) -> Batch:
        return jax.vmap(draw)(jax.random.split(key, n))

    def make_batch(key: Key, step: Array) -> Batch:
        return draw_batch(jax.random.fold_in(key, step), batch)

    train_key, test_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), SAMPLES))
    test_batch = jax.device_get(jax.jit(draw_batch, static_argnums=1)(test_key, test))
    return Data(Resident(train_key, make_batch, fingerprint(test_batch)), [test_batch])
