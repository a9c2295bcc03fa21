"""Samples in the plane over the field of a function of it, and how many modes they cover.

Letters: N samples, K modes, S points along each side of a square around the origin.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import State
from genjax.metrics.mode_coverage import mode_coverage
from genjax.probes.figures import Measure, Sample, render


class Field(NamedTuple):
    """A function on a square of points.

    Row i has the ordinate side[i], column j the abscissa side[j].
    """

    side: np.ndarray  # [S]
    value: np.ndarray  # [S, S]
    gradient: np.ndarray  # [S, S, 2]


def field(function: Callable[[jax.Array], jax.Array], extent: float, points: int) -> Field:
    """Values and gradients of a function on a square grid from -extent to extent.

    Args:
      function: x [N, 2] -> [N], which maps each point by itself.
      extent: half the side of the square.
      points: S, along each side.
    """
    side = np.linspace(-extent, extent, points, dtype=np.float32)
    plane = jnp.asarray(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2))
    value, pull_back = jax.vjp(function, plane)
    (gradient,) = pull_back(jnp.ones_like(value))
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
      field: an arrow is as long in proportion as the slope; the title gives the longest.
      real: drawn as crosses, [N, 2].
      fake: drawn as dots, [N, 2].
      every: points of the field for an arrow.
    """
    from matplotlib.figure import Figure

    figure = Figure((8, 7), 100, layout='tight')
    extent = (field.side[0], field.side[-1])
    axes = figure.add_subplot(
        xlabel='$x_1$', ylabel='$x_2$', aspect='equal', xlim=extent, ylim=extent
    )
    levels = axes.contourf(
        field.side, field.side, field.value, levels=25, cmap='viridis', alpha=0.75
    )
    figure.colorbar(levels, ax=axes, label="the discriminator's logit", shrink=0.85)

    chosen = slice(every // 2, None, every)
    places = field.side[chosen]
    arrows = field.gradient[chosen, chosen]
    slope = np.linalg.norm(arrows, axis=-1).max()
    axes.quiver(
        places,
        places,
        *arrows.transpose(2, 0, 1),
        color='white',
        angles='xy',
        scale_units='xy',
        scale=max(slope, 1e-30) / (places[1] - places[0]),
    )
    axes.scatter(*real.T, s=14, marker='x', linewidths=0.8, color='black', label='real')
    axes.scatter(*fake.T, s=5, color='#d55e00', label='generated')
    axes.set_title(f'the longest arrow is a slope of {slope:.3g}')
    axes.legend(loc='upper right')
    return render(figure)


def covered_modes(sample: Sample, centres: np.ndarray, reach: float, *, n: int = 2500) -> Measure:
    """How many modes samples cover.

    Args:
      sample: (key, state, n) -> x [n, 2].
      centres: of the modes, [K, 2].
      reach: as in `mode_coverage`.
      n: how many samples.

    Returns:
      A measure of 'covered', the number of modes, and 'good', the share of samples at one.
    """
    draw = jax.jit(sample, static_argnums=2)

    def measure(key, state):
        coverage = mode_coverage(np.asarray(draw(key, state, n)), centres, reach)
        return {'covered': coverage.modes, 'good': coverage.good}

    return measure


def landscape(
    sample: Sample,
    logit: Callable[[State, jax.Array], jax.Array],
    real: np.ndarray,
    *,
    extent: float,
    points: int = 101,
) -> Measure:
    """Samples and real points over the field of a discriminator's logit, 'field'.

    Args:
      sample: (key, state, n) -> x [n, 2].
      logit: (state, x [M, 2]) -> [M].
      real: [N, 2]; as many samples are drawn.
      extent: half the side of the square.
      points: of the field, along each side.
    """
    draw = jax.jit(sample, static_argnums=2)

    def measure(key, state):
        logits = field(lambda x: logit(state, x), extent, points)
        fake = np.asarray(draw(key, state, len(real)))
        return {'field': field_picture(logits, real, fake)}

    return measure
