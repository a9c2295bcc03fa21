"""Pictures of diffusion in the plane: estimates as arrows, the ways of samplers, and draws.

Letters: N points, F frames, n ways, S arrows along each side of a square around the origin.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np
from jax import Array

from genjax.base import Key, State
from genjax.probes.figures import Measure, Sample, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# (state, x [N, 2], level) -> what is taken for the data at x [N, 2]
Estimate = Callable[[State, Array, float], Array]
# (key, state) -> frames [F, n, 2], from noise to data
Trajectory = Callable[[Key, State], Array]
# Distinct for every kind of colour vision.
COLOURS = ('#0072b2', '#d55e00', '#009e73')
GREY = '#999999'


def estimate_fields(
    exact: Estimate,
    learnt: Estimate,
    noisy: Callable[[Key, float], Array],
    levels: Sequence[float],
    real: np.ndarray,
    *,
    extent: float,
    arrows: int = 21,
) -> Measure:
    """The best estimate and a learnt one, each a row of fields of arrows towards it.

    Args:
      exact: the best estimate.
      learnt: the one that is looked at.
      noisy: (key, level) -> points [N, 2] where the two are compared.
      levels: of noise, a column each.
      real: points that are drawn below the arrows, [N, 2].
      extent: half the side of the square.
      arrows: S.

    Returns:
      A measure of the picture 'fields', and of the mean squared difference of an entry at each
      level, 'difference_LEVEL'.
    """
    side = np.linspace(-extent, extent, arrows, dtype=np.float32)
    places = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)

    @jax.jit
    def both(key, state):
        fields = []
        differences = []
        for level in levels:
            points = noisy(key, level)
            fields.append([of(state, places, level) - places for of in (exact, learnt)])
            gap = exact(state, points, level) - learnt(state, points, level)
            differences.append((gap**2).mean())
        return fields, differences

    def measure(key, state):
        fields, differences = jax.device_get(both(key, state))
        columns = zip(levels, fields, differences, strict=True)
        picture = _fields_picture(list(columns), places, real, extent)
        numbers = {
            f'difference_{level:g}': float(difference)
            for level, difference in zip(levels, differences, strict=True)
        }
        return {'fields': picture} | numbers

    return measure


def _fields_picture(columns, places, real, extent):
    """A column for each (level, the two fields, their difference), uint8 [H, W, 3]."""
    from matplotlib.figure import Figure

    figure = Figure((3.4 * len(columns), 7.2), 100, layout='constrained')
    grid = figure.subplots(2, len(columns), squeeze=False)
    spacing = 2 * extent / (len(places) ** 0.5 - 1)
    for column, (level, fields, difference) in enumerate(columns):
        # One scale for both rows, by which arrows are as long as they are apart, in the mean.
        mean_length = np.linalg.norm(fields[0], axis=-1).mean()
        for row, (name, field) in enumerate(zip(('exact', 'learnt'), fields, strict=True)):
            axes = grid[row, column]
            frame(axes, extent)
            axes.scatter(*real.T, s=2, color=GREY, alpha=0.5, linewidths=0)
            axes.quiver(
                *places.T,
                *field.T,
                color=COLOURS[row],
                angles='xy',
                scale_units='xy',
                scale=max(mean_length, 1e-30) / spacing,
                width=0.005,
            )
            axes.set_title(f'{name}, noise of {level:g}')
        axes.set_xlabel(f'mean squared difference {difference:.2g}')
    return render(figure)


def ways(
    trajectories: Mapping[str, Mapping[str, Trajectory]],
    real: np.ndarray,
    *,
    extent: float,
    columns: int = 5,
) -> Measure:
    """The ways of points from noise to data as lines, 'ways': a panel for each sampler.

    All are drawn from one key, so that ways which begin alike can be compared.

    Args:
      trajectories: name of the panel -> name of the lines -> (key, state) -> frames [F, n, 2].
      real: points that are drawn below the lines, [N, 2].
      extent: half the side of the square that is shown.
      columns: panels in a row.
    """

    def all_ways(key, state):
        return {
            name: {kind: trajectory(key, state) for kind, trajectory in kinds.items()}
            for name, kinds in trajectories.items()
        }

    compiled = jax.jit(all_ways)

    def measure(key, state):
        return {'ways': _ways_picture(jax.device_get(compiled(key, state)), real, extent, columns)}

    return measure


def _ways_picture(panels, real, extent, columns):
    """A panel for each name, of lines [F, n, 2] by their names, uint8 [H, W, 3]."""
    from matplotlib.figure import Figure

    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure((3.2 * columns, 3.4 * rows + 0.3), 100, layout='constrained')
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.axis('off')
    for axes, (name, kinds) in zip(grid, panels.items(), strict=False):
        frame(axes, extent)
        axes.set_title(name)
        axes.scatter(*real.T, s=2, color=GREY, alpha=0.4, linewidths=0)
        for i, (kind, frames) in enumerate(kinds.items()):
            # Thinner lines above, so that those below are seen where they agree.
            width = 3.0 / (1 + 2 * i)
            alpha = 0.4 if i == 0 else 0.9
            lines = axes.plot(
                *frames.transpose(2, 0, 1), color=COLOURS[i], linewidth=width, alpha=alpha
            )
            lines[0].set_label(kind)
            axes.scatter(*frames[-1].T, s=16 / (1 + 2 * i), color=COLOURS[i], zorder=3 + i)
    handles, names = grid[0].get_legend_handles_labels()
    figure.legend(handles, names, loc='outside upper center', ncols=len(names), frameon=False)
    return render(figure)


def clouds(
    samples: Mapping[str, Sample], real: np.ndarray, *, extent: float, columns: int | None = None
) -> Measure:
    """Real points and as many draws of each of several samplers, a panel each, 'clouds'.

    Args:
      samples: name -> (key, state, n) -> [n, 2]; all are drawn from one key.
      real: [N, 2].
      extent: half the side of the square that is shown.
      columns: panels in a row; None: all are in one.
    """
    draws = {name: jax.jit(sample, static_argnums=2) for name, sample in samples.items()}

    def measure(key, state):
        from matplotlib.figure import Figure

        drawn = {name: np.asarray(draw(key, state, len(real))) for name, draw in draws.items()}
        panels = {'data': real} | drawn
        across = columns or len(panels)
        down = -(-len(panels) // across)
        figure = Figure((4 * across, 4.3 * down), 100, layout='constrained')
        grid = figure.subplots(down, across, squeeze=False).ravel()
        for axes in grid[len(panels) :]:
            axes.axis('off')
        for axes, (name, points) in zip(grid, panels.items(), strict=False):
            frame(axes, extent)
            axes.scatter(*points.T, s=4, color=COLOURS[0], alpha=0.6, linewidths=0)
            axes.set_title(name)
        return {'clouds': render(figure)}

    return measure


def frame(axes: 'Axes', extent: float) -> None:
    """Limits matplotlib's axes to a square around the origin, without ticks."""
    axes.set(xlim=(-extent, extent), ylim=(-extent, extent), aspect='equal', xticks=(), yticks=())
