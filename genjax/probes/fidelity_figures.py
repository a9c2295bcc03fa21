"""Pictures of how scores hang on the number of examples, uint8 pixels [H, W, 3]."""

from collections.abc import Mapping

import numpy as np

from genjax.metrics.frechet import Curve
from genjax.probes.figures import drawn

COLOURS = ('#0072b2', '#d55e00', '#009e73', '#999999')  # apart for every kind of colour vision
MARKERS = ('o', 's', '^', 'D')


def bias_picture(curves: Mapping[str, Curve], measure: str) -> np.ndarray:
    """Distances over 1/n by name, at most four, with the straight line to infinitely many examples
    and its value there.

    Args:
      curves: name -> Curve, such as of generated on real examples, and of real on other real ones.
      measure: what the distances are called.
    """
    from matplotlib.figure import Figure

    figure = Figure((8, 6), 100, layout='tight')
    axes = figure.add_subplot(xlabel='examples on each side, evenly spaced in 1/n', ylabel=measure)
    axes.axhline(0, color='black', linewidth=0.8)
    for (name, curve), colour, marker in zip(curves.items(), COLOURS, MARKERS, strict=False):
        x = 1 / curve.sizes
        far = x.max()
        slope = np.mean(curve.values - curve.limit) / np.mean(
            x
        )  # the line of least squares goes through the means
        axes.plot(
            [0, far],
            [curve.limit, curve.limit + slope * far],
            color=colour,
            linestyle='--',
            linewidth=1,
        )
        axes.scatter(
            x,
            curve.values,
            color=colour,
            marker=marker,
            label=f'{name}: {curve.limit:.4g} of infinitely many',
        )
        axes.scatter(
            [0], [curve.limit], edgecolors=colour, facecolors='white', marker=marker, s=80, zorder=3
        )
    sizes = np.unique(np.concatenate([curve.sizes for curve in curves.values()]))
    _name_sizes(axes, sizes)
    axes.legend(title='filled: measured; open: extrapolated')
    return drawn(figure)


def _name_sizes(axes, sizes):
    """Ticks at infinity and at about five sizes that lie apart."""
    places = np.linspace(1 / sizes.max(), 1 / sizes.min(), 5)
    shown = sizes[np.abs(1 / sizes[:, None] - places).argmin(0)]
    axes.set_xticks([0, *1 / shown], ['\u221e', *map(str, shown)])
