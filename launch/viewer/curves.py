"""Learning curves: what of metrics.jsonl a chart shows, thinned so that hundreds of runs stay
quick."""

from collections.abc import Sequence
from typing import NamedTuple

from launch.viewer.runs import Run

POINTS = 200  # of one curve at the most
FEWEST_POINTS = 20  # to which curves are thinned, however many they are
TOTAL = 20_000  # of one chart


class Chart(NamedTuple):
    name: str  # of the metric
    curves: list[tuple[int, list[int], list[float]]]  # number of the run, steps, values


def charts(runs: Sequence[tuple[int, Run]]) -> list[Chart]:
    """A chart for each metric with more than one point: of the test set first, then as they come.

    Args:
      runs: with the number that each has on the page.
    """
    names = dict.fromkeys(name for _, run in runs for row in run.rows for name in row)
    metrics = [name for name in names if name != 'step' and not name.startswith('time/')]
    metrics.sort(key=lambda name: not name.startswith('test/'))
    all_charts = [Chart(name, _curves(runs, name)) for name in metrics]
    return [chart for chart in all_charts if any(len(steps) > 1 for _, steps, _ in chart.curves)]


def _curves(runs, name):
    curves = []
    most = max(FEWEST_POINTS, min(POINTS, TOTAL // len(runs)))
    for number, run in runs:
        points = [(row['step'], row[name]) for row in run.rows if row.get(name) is not None]
        if points:
            steps, values = zip(*thinned(points, most), strict=True)
            rounded = [float(f'{value:.6g}') for value in values]
            curves.append((number, list(steps), rounded))
    return curves


def thinned(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """At most so many of the points, in order: the first, the last, and of equal parts the lowest
    and the highest."""
    if len(points) <= most:
        return list(points)

    def value(i):
        return points[i][1]

    inner = len(points) - 2
    parts = (most - 2) // 2
    kept = {0, len(points) - 1}
    for i in range(parts):
        part = range(1 + inner * i // parts, 1 + inner * (i + 1) // parts)
        kept.add(min(part, key=value))
        kept.add(max(part, key=value))
    return [points[i] for i in sorted(kept)]
