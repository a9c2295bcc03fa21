"""Learning curves: what of metrics.jsonl a chart shows, of each run and of its seeds together,
thinned so that hundreds of runs stay quick."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from launch.viewer.runs import Run

POINTS = 400  # of one curve at the most
FEWEST_POINTS = 40  # to which curves are thinned, however many they are
TOTAL = 20_000  # of the curves of one chart


class Curve(NamedTuple):
    """One metric of one run; a value that was not finite is nan, and the curve has a gap there."""

    run: int  # its number on the page
    steps: np.ndarray  # [T], increasing
    values: np.ndarray  # [T]


class Mean(NamedTuple):
    """One metric over the runs that differ in their seed alone."""

    row: int  # of the page's table
    steps: np.ndarray  # [T], increasing
    means: np.ndarray  # [T], nan where one of the values was not finite
    deviations: np.ndarray  # [T], of a sample, n - 1; nan where there are fewer than two values
    counts: np.ndarray  # [T], of the runs that came this far


class Chart(NamedTuple):
    name: str  # of the metric
    curves: list[Curve]
    means: list[Mean]
    thinned: bool  # whether there are points that it does not have


def charts(rows: Sequence[Sequence[tuple[int, Run]]]) -> list[Chart]:
    """A chart for each metric with more than one point: of the test set first, then as they come.

    Args:
      rows: the rows of the page's table; of each its runs, with the number that each has on the
        page.
    """
    runs = [run for row in rows for _, run in row]
    names = dict.fromkeys(name for run in runs for line in run.rows for name in line)
    metrics = [name for name in names if name != 'step' and not name.startswith('time/')]
    metrics.sort(key=lambda name: not name.startswith('test/'))
    all_charts = [_chart(name, rows) for name in metrics]
    return [chart for chart in all_charts if any(len(curve.steps) > 1 for curve in chart.curves)]


def _chart(name, rows):
    curves = []
    means = []
    for place, row in enumerate(rows):
        whole = [_curve(number, run, name) for number, run in row]
        whole = [curve for curve in whole if len(curve.steps)]
        curves += whole
        if whole and len(row) > 1:
            means.append(mean_of(place, whole))
    most_of_run = _most(len(curves))
    most_of_mean = _most(len(means))
    return Chart(
        name,
        [_thinned_curve(curve, most_of_run) for curve in curves],
        [_thinned_mean(mean, most_of_mean) for mean in means],
        any(len(curve.steps) > most_of_run for curve in curves),
    )


def _most(curves):
    return max(FEWEST_POINTS, min(POINTS, TOTAL // max(1, curves)))


def _curve(number, run, name):
    points = {line['step']: _number(line[name]) for line in run.rows if name in line}
    steps = sorted(points)
    return Curve(number, np.array(steps), np.array([points[step] for step in steps]))


def _number(value: Any) -> float:
    """A finite number, or else nan."""
    is_number = isinstance(value, int | float)
    return float(value) if is_number and np.isfinite(value) else np.nan


def mean_of(row: int, curves: Sequence[Curve]) -> Mean:
    """The mean over some curves and their deviation, at every step that one of them has.

    Args:
      row: of the page's table.
      curves: of its runs; at a step that some do not have it is over the others.
    """
    steps = np.unique(np.concatenate([curve.steps for curve in curves]))
    counts = np.zeros(len(steps), int)
    sums = np.zeros(len(steps))
    for curve in curves:
        here = np.searchsorted(steps, curve.steps)
        counts[here] += 1
        sums[here] += curve.values
    means = sums / counts
    squares = np.zeros(len(steps))
    for curve in curves:
        here = np.searchsorted(steps, curve.steps)
        squares[here] += (curve.values - means[here]) ** 2
    variances = np.where(counts > 1, squares / np.maximum(1, counts - 1), np.nan)
    return Mean(row, steps, means, np.sqrt(variances), counts)


def _thinned_curve(curve, most):
    kept = thinned(curve.values, most)
    return Curve(curve.run, curve.steps[kept], curve.values[kept])


def _thinned_mean(mean, most):
    kept = thinned(mean.means, most)
    return Mean(mean.row, *(column[kept] for column in mean[1:]))


def thinned(values: np.ndarray, most: int) -> np.ndarray:
    """The places of at most so many of the values, in order.

    They are the first, the last, and of equal parts of the rest the lowest, the highest and, where
    there is one, the first that is nan.

    Args:
      values: [T].
      most: at least 5.
    """
    if len(values) <= most:
        return np.arange(len(values))
    is_gap = np.isnan(values)
    of_a_part = 3 if is_gap.any() else 2
    kept = {0, len(values) - 1}
    for part in np.array_split(np.arange(1, len(values) - 1), (most - 2) // of_a_part):
        kept.add(part[np.argmin(np.where(is_gap[part], np.inf, values[part]))])
        kept.add(part[np.argmax(np.where(is_gap[part], -np.inf, values[part]))])
        if is_gap[part].any():
            kept.add(part[np.argmax(is_gap[part])])
    return np.array(sorted(kept))
