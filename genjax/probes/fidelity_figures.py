"""Pictures of fidelity: shares of classes, and how scores depend on the number of examples.

All are uint8 pixels, [H, W, 3].
"""

from collections.abc import Mapping

import numpy as np

from genjax.metrics.frechet import BiasCurve
from genjax.probes.figures import render

COLOURS = ('#0072b2', '#d55e00', '#009e73', '#999999')  # distinct for every kind of colour vision
MARKERS = ('o', 's', '^', 'D')


def class_picture(shares: Mapping[str, np.ndarray]) -> np.ndarray:
    """Shares of classes as bars beside each other, 1 where they are uniform.

    Args:
      shares: name -> shares [K], at most four.
    """
    from matplotlib.figure import Figure

    figure = Figure((8, 5), 100, layout='tight')
    axes = figure.add_subplot(
        xlabel='class that the extractor finds', ylabel='share, uniform being 1'
    )
    width = 0.8 / len(shares)
    for i, ((name, share), colour) in enumerate(zip(shares.items(), COLOURS, strict=False)):
        classes = np.arange(len(share))
        shift = (i - (len(shares) - 1) / 2) * width
        axes.bar(classes + shift, share * len(share), width, color=colour, label=name)
    for multiple in (0.5, 1, 2):
        style = '-' if multiple == 1 else ':'
        axes.axhline(multiple, color='black', linewidth=0.8, linestyle=style)
    axes.set_xticks(classes if len(classes) <= 20 else [])
    axes.legend()
    return render(figure)


def bias_picture(curves: Mapping[str, BiasCurve], measure: str) -> np.ndarray:
    """Distances over 1/n, with the straight line to infinitely many examples and its value there.

    Args:
      curves: name -> curve, at most four, such as of generated on real examples, and of real on
        other real ones.
      measure: the name of the distance.
    """
    from matplotlib.figure import Figure

    figure = Figure((8, 6), 100, layout='tight')
    axes = figure.add_subplot(xlabel='examples on each side, evenly spaced in 1/n', ylabel=measure)
    axes.axhline(0, color='black', linewidth=0.8)
    for (name, curve), colour, marker in zip(curves.items(), COLOURS, MARKERS, strict=False):
        x = 1 / curve.sizes
        x_max = x.max()
        # The line of least squares goes through the means.
        slope = np.mean(curve.values - curve.limit) / np.mean(x)
        line = [curve.limit, curve.limit + slope * x_max]
        label = f'{name}: {curve.limit:.4g} of infinitely many'
        axes.plot([0, x_max], line, color=colour, linestyle='--', linewidth=1)
        axes.scatter(x, curve.values, color=colour, marker=marker, label=label)
        axes.scatter(
            [0], [curve.limit], edgecolors=colour, facecolors='white', marker=marker, s=80, zorder=3
        )
    sizes = np.unique(np.concatenate([curve.sizes for curve in curves.values()]))
    _label_sizes(axes, sizes)
    axes.legend(title='filled: measured; open: extrapolated')
    return render(figure)


def _label_sizes(axes, sizes):
    """Ticks at infinity and at about five sizes that lie apart."""
    places = np.linspace(1 / sizes.max(), 1 / sizes.min(), 5)
    labelled = sizes[np.abs(1 / sizes[:, None] - places).argmin(0)]
    axes.set_xticks([0, *1 / labelled], ['\u221e', *map(str, labelled)])
