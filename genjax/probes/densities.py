"""Pictures of densities in the plane."""

from collections.abc import Callable

import jax
import numpy as np
from jax import Array

from genjax.base import State
from genjax.probes.figures import Measure, Sample, render
from genjax.probes.plane import frame


def densities(
    exact: Callable[[Array], Array],
    learnt: Callable[[State, Array], Array],
    sample: Sample,
    real: np.ndarray,
    *,
    extent: float,
    points: int = 300,
) -> Measure:
    """The density of the data and a learnt one, on one scale, beside draws of both: 'densities'.

    Args:
      exact: x [M, 2] -> log p(x), nats [M].
      learnt: (state, x [M, 2]) -> nats [M].
      sample: (key, state, n) -> [n, 2].
      real: draws of the data, [N, 2]; as many samples are drawn.
      extent: half the side of the square that is shown.
      points: along each side, where the densities are taken.
    """
    side = np.linspace(-extent, extent, points, dtype=np.float32)
    plane = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)

    @jax.jit
    def all_values(key, state):
        return exact(plane), learnt(state, plane), sample(key, state, len(real))

    def measure(key, state):
        log_exact, log_learnt, drawn = jax.device_get(all_values(key, state))
        panels = {
            'density of the data': np.exp(log_exact),
            'learnt density': np.exp(log_learnt),
            'draws of the data': real,
            'samples': drawn,
        }
        return {'densities': _picture(panels, side, extent)}

    return measure


def _picture(panels, side, extent):
    """Densities [S^2] above, points [N, 2] below, by their titles: uint8 [H, W, 3]."""
    from matplotlib.figure import Figure

    figure = Figure((8, 8.4), 100, layout='constrained')
    largest = next(iter(panels.values())).max()
    for axes, (title, values) in zip(figure.subplots(2, 2).ravel(), panels.items(), strict=True):
        frame(axes, extent)
        axes.set_title(title)
        if values.ndim == 1:
            picture = values.reshape(len(side), -1)
            limits = (-extent, extent, -extent, extent)
            axes.imshow(picture, origin='lower', extent=limits, vmin=0, vmax=largest)
        else:
            axes.scatter(*values.T, s=3, alpha=0.5, linewidths=0)
    return render(figure)
