"""Learning curves: what of metrics.jsonl a chart shows, thinned so that hundreds of runs stay
quick."""

from collections.abc import Sequence
from typing import NamedTuple

from launch.viewer.runs import Run

POINTS = 200  # of one curve at the most
TOTAL = 20_000  # of one chart


class Chart(NamedTuple):
    name: str  # of the metric
    curves: list[tuple[int, list[int], list[float]]]  # number of the run, steps, values


def charts(runs: Sequence[tuple[int, Run]]) -> list[Chart]:
    """A chart for each metric that has a course: of the test set first, then as they come.

    Args:
      runs: with the number that each has on the page.
    """
    names = dict.fromkeys(name for _, run in runs for row in run.rows for name in row)
    shown = [name for name in names if name != 'step' and not name.startswith('time/')]
    made = [
        Chart(name, _curves(runs, name))
        for name in sorted(shown, key=lambda n: not n.startswith('test/'))
    ]
    return [chart for chart in made if any(len(steps) > 1 for _, steps, _ in chart.curves)]


def _curves(runs, name):
    found, most = [], max(20, min(POINTS, TOTAL // len(runs)))
    for number, run in runs:
        points = [(row['step'], row[name]) for row in run.rows if row.get(name) is not None]
        if points:
            steps, values = zip(*thinned(points, most), strict=True)
            found.append((number, list(steps), [float(f'{value:.6g}') for value in values]))
    return found


def thinned(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """At most so many of the points, in order: the first, the last, and of equal parts the lowest
    and the highest."""
    if len(points) <= most:
        return list(points)
    inner, parts = points[1:-1], (most - 2) // 2
    kept = {0, len(points) - 1}
    for i in range(parts):
        part = range(1 + len(inner) * i // parts, 1 + len(inner) * (i + 1) // parts)
        kept |= {extreme(part, key=lambda j: points[j][1]) for extreme in (min, max)}
    return [points[i] for i in sorted(kept)]
