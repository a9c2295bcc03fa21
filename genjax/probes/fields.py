"""Samples in the plane over the field of a function of it, and how many modes of a mixture they
cover.

Letters: N samples, K modes, S points along each side of a square around the origin.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import Key, State
from genjax.probes.figures import Measure, drawn


class Coverage(NamedTuple):
    """Which modes samples reach."""

    modes: int  # that have a sample within reach
    good: float  # share of samples within reach of a mode


def coverage(x: np.ndarray, centres: np.ndarray, reach: float) -> Coverage:
    """A sample counts for its nearest mode, where it lies within reach (Lin et al. 2018,
    arXiv:1712.04086).

    Args:
      x: samples, [N, 2].
      centres: of the modes, [K, 2].
      reach: the largest distance, commonly three standard deviations, within which 98.9 % of the
        modes' own draws lie.
    """
    distance = np.linalg.norm(np.float64(x)[:, None] - np.float64(centres)[None], axis=-1)  # [N, K]
    good = distance.min(1) <= reach
    return Coverage(len(np.unique(distance.argmin(1)[good])), float(good.mean()))


class Field(NamedTuple):
    """A function on a square of points: row i has the ordinate side[i], column j the abscissa
    side[j]."""

    side: np.ndarray  # [S]
    value: np.ndarray  # [S, S]
    gradient: np.ndarray  # [S, S, 2]


def field(function: Callable[[jax.Array], jax.Array], extent: float, points: int) -> Field:
    """A function x [N, 2] -> [N], which sees each point by itself, on `points` in a row from
    -extent to extent."""
    side = np.linspace(-extent, extent, points, dtype=np.float32)
    plane = jnp.asarray(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2))
    value, pull = jax.vjp(function, plane)
    (gradient,) = pull(jnp.ones_like(value))
    return Field(
        side,
        np.asarray(value).reshape(points, points),
        np.asarray(gradient).reshape(points, points, 2),
    )


def field_picture(
    field: Field, real: np.ndarray, fake: np.ndarray, *, every: int = 5
) -> np.ndarray:
    """Filled contours of a field, its gradient as arrows, and points upon it, uint8 [H, W, 3].

    Args:
      field: an arrow is as long in proportion as the slope; the title says what the longest is.
      real, fake: drawn as crosses and as dots, [N, 2] each.
      every: points of the field for an arrow.
    """
    from matplotlib.figure import Figure

    figure = Figure((8, 7), 100, layout='tight')
    extent = field.side[0], field.side[-1]
    axes = figure.add_subplot(
        xlabel='$x_1$', ylabel='$x_2$', aspect='equal', xlim=extent, ylim=extent
    )
    levels = axes.contourf(
        field.side, field.side, field.value, levels=25, cmap='viridis', alpha=0.75
    )
    figure.colorbar(levels, ax=axes, label="the discriminator's logit", shrink=0.85)
    arrows, places = (
        field.gradient[every // 2 :: every, every // 2 :: every],
        field.side[every // 2 :: every],
    )
    slope = np.linalg.norm(arrows, axis=-1).max()
    scale = max(slope, 1e-30) / (places[1] - places[0])
    axes.quiver(
        places,
        places,
        *arrows.transpose(2, 0, 1),
        color='white',
        angles='xy',
        scale_units='xy',
        scale=scale,
    )
    axes.scatter(*real.T, s=14, marker='x', linewidths=0.8, color='black', label='real')
    axes.scatter(*fake.T, s=5, color='#d55e00', label='generated')
    axes.set_title(f'the longest arrow is a slope of {slope:.3g}')
    axes.legend(loc='upper right')
    return drawn(figure)


def modes(
    sample: Callable[[Key, State, int], Any], centres: np.ndarray, reach: float, *, n: int = 2500
) -> Measure:
    """'covered', the number of modes, and 'good', the share of n samples at one; see `coverage`."""
    draw = jax.jit(sample, static_argnums=2)

    def measure(key, state):
        found = coverage(np.asarray(draw(key, state, n)), centres, reach)
        return {'covered': found.modes, 'good': found.good}

    return measure


def landscape(
    sample: Callable[[Key, State, int], Any],
    logit: Callable[[State, jax.Array], jax.Array],
    real: np.ndarray,
    *,
    extent: float,
    points: int = 101,
) -> Measure:
    """As many samples as there are real points [N, 2], over the field of logit (state, x [M, 2]) ->
    [M]."""
    draw = jax.jit(sample, static_argnums=2)

    def measure(key, state):
        seen = field(lambda x: logit(state, x), extent, points)
        return {'field': field_picture(seen, real, np.asarray(draw(key, state, len(real))))}

    return measure
