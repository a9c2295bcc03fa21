"""The figure of all curves: a panel for each subject and unit, slopes in the legends."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.growth.slopes import fit_slope
from benchmarks.growth.subject import Subject

COLUMNS = 4
MARKERS = 'osd^vP'
LEGEND_ROWS = 8  # of one column
TITLES = {'s': 'seconds of one core', 'GiB': 'memory at the peak, GiB', 'bytes': 'bytes a step'}


def curves(rows: Sequence[Mapping[str, Any]], subject: str, measure: str) -> dict[str, list]:
    """side -> its points (size, cost), by size; those of no cost have no logarithm."""
    found = {}
    for row in rows:
        cost = row.get('measures', {}).get(measure, 0)
        if row['subject'] == subject and cost > 0:  # the difference of two times may be below 0
            found.setdefault(row['side'], []).append((row['size'], cost))
    return {side: sorted(points) for side, points in found.items()}


def panels(
    rows: Sequence[Mapping[str, Any]], subjects: Mapping[str, Subject]
) -> list[tuple[str, str]]:
    """(subject, unit) of those that have points."""
    found = []
    for name, subject in subjects.items():
        for measure, about in subject.measures.items():
            panel = name, about.unit
            if panel not in found and curves(rows, name, measure):
                found.append(panel)
    return found


def draw_panel(axes, rows: Sequence[Mapping[str, Any]], name: str, subject: Subject, unit: str):
    """The curves of a subject in one unit: a colour for each side, a marker for each measure."""
    measures = [measure for measure, about in subject.measures.items() if about.unit == unit]
    colours = {side: f'C{i}' for i, side in enumerate(subject.sides)}
    for marker, measure in zip(MARKERS, measures, strict=False):
        for side, points in curves(rows, name, measure).items():
            sizes, costs = zip(*points, strict=True)
            fit = fit_slope(sizes, costs)
            slope = '' if fit is None else f' {fit.slope:.2f}'
            label = f'{side}, {measure}{slope}'
            axes.plot(sizes, costs, marker=marker, ms=4, lw=1, color=colours[side], label=label)
            if fit is not None:
                line = [fit.factor * size**fit.slope for size in sizes]
                axes.plot(sizes, line, ':', lw=0.8, color=colours[side])
    axes.set(xscale='log', yscale='log', xlabel=subject.varied, title=TITLES.get(unit, unit))
    set_ticks(axes, [size for line in axes.lines for size in line.get_xdata()])
    axes.grid(which='major', lw=0.3)
    # Below the panel, where it covers no curve.
    columns = 1 if len(axes.lines) <= 2 * LEGEND_ROWS else 2
    below = dict(loc='upper center', bbox_to_anchor=(0.5, -0.2), borderaxespad=0, frameon=False)
    axes.legend(fontsize=6, ncols=columns, columnspacing=1, **below)


def set_ticks(axes, sizes: Sequence[float]) -> None:
    """Ticks at the sizes that were measured, without those between, whose labels would overlap."""
    ticks = sorted(set(sizes))
    axes.set_xticks(ticks, [short(size) for size in ticks])
    axes.minorticks_off()


def short(size: float) -> str:
    """A size in few letters: 0.5, 4, 16k, 1M."""
    for unit, name in ((1e6, 'M'), (1e3, 'k')):
        if size >= unit:
            return f'{size / unit:.3g}{name}'
    return f'{size:g}'


def draw(
    rows: Sequence[Mapping[str, Any]], subjects: Mapping[str, Subject], path: pathlib.Path
) -> None:
    """Writes the figure as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = panels(rows, subjects)
    if not shown:
        return
    columns = min(COLUMNS, len(shown))
    lines = math.ceil(len(shown) / columns)
    figure = Figure((4.2 * columns, 4.4 * lines), layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, (name, unit) in zip(grid, shown, strict=False):
        draw_panel(axes, rows, name, subjects[name], unit)
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    figure.savefig(path, dpi=110)
