"""How an error falls with what is spent: curves with their slopes, and a table."""

from collections.abc import Callable, Mapping

import numpy as np

from genjax.probes.figures import Measure, render

# name of a method -> what is spent -> the error
Errors = Mapping[str, Mapping[int, float]]
MARKERS = 'os^vD<>p*X'
FITTED = 3  # points


def order(errors: Mapping[int, float]) -> float:
    """p of errors that fall as n^-p, by least squares through the last three points."""
    counts = np.array(list(errors), float)[-FITTED:]
    values = np.array(list(errors.values()))[-FITTED:]
    return -np.polyfit(np.log(counts), np.log(values), 1)[0]


def convergence(errors: Callable[[], Errors], spent: str) -> Measure:
    """Errors of several methods against what they spend, which no state changes.

    Args:
      errors: asked when measured; of each method two points or more, rising in what is spent.
      spent: the name of it.

    Returns:
      A measure of the picture 'curves', the table 'errors' with a row for each method, and the
      order of each, 'order_METHOD'.
    """

    def measure(key, state):
        del key, state
        found = errors()
        orders = {name: order(line) for name, line in found.items()}
        rows = [
            {'method': name, 'order': f'{orders[name]:.3f}'}
            | {f'{spent} {count}': f'{value:.4e}' for count, value in line.items()}
            for name, line in found.items()
        ]
        numbers = {f'order_{name}': value for name, value in orders.items()}
        return {'curves': _picture(found, orders, spent), 'errors': rows} | numbers

    return measure


def _picture(errors, orders, spent):
    """A line for each method on logarithmic axes, uint8 [H, W, 3]."""
    from matplotlib.figure import Figure

    figure = Figure((8, 6), 100, layout='constrained')
    axes = figure.add_subplot(xscale='log', yscale='log', xlabel=spent, ylabel='error')
    for i, (name, line) in enumerate(errors.items()):
        # Dashes of a different length each, since lines may lie on one another.
        axes.plot(
            list(line),
            list(line.values()),
            marker=MARKERS[i % len(MARKERS)],
            linestyle=(0, (4 + i, i)),
            color=f'C{i}',
            markersize=5,
            label=f'{name}: slope {-orders[name]:.2f}',
        )
    counts = sorted({count for line in errors.values() for count in line})
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.grid(color='#dddddd', linewidth=0.6)
    axes.legend()
    return render(figure)
