"""What charts show: curves of runs, means over seeds, and what is left out."""

import pathlib

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from launch.viewer.curves import Curve, charts, mean_of, thinned
from launch.viewer.runs import Run

NAN = float('nan')


def run(rows):
    return Run(pathlib.Path('a'), 'toy', {}, [], rows, 'done', '')


def test_a_chart_for_each_metric_of_more_than_one_point_the_test_set_first():
    rows = [
        {'step': 1, 'time/seconds': 1.0, 'once': 1.0, 'loss': 4.0, 'test/loss': 3.0},
        {'step': 2, 'time/seconds': 2.0, 'loss': 2.0, 'test/loss': 1.5},
    ]
    found = charts([[(0, run(rows)), (1, run([]))], [(7, run(rows[:1]))]])
    assert [chart.name for chart in found] == ['test/loss', 'loss']
    assert [curve.run for curve in found[1].curves] == [0, 7]
    np.testing.assert_array_equal(found[1].curves[0].steps, [1, 2])
    np.testing.assert_array_equal(found[1].curves[0].values, [4, 2])
    assert [mean.row for mean in found[1].means] == [0]  # one run has no mean


def test_a_value_that_was_not_finite_is_a_gap_and_a_step_without_one_is_not():
    rows = [{'step': step, 'loss': value} for step, value in enumerate([1.0, None, NAN, 'x', 2.0])]
    rows.insert(2, {'step': 1.5, 'other': 1.0})
    (chart,) = charts([[(0, run(rows))]])
    np.testing.assert_array_equal(chart.curves[0].steps, range(5))
    np.testing.assert_array_equal(chart.curves[0].values, [1, NAN, NAN, NAN, 2])


def test_a_mean_is_over_the_runs_that_came_so_far_and_nan_hides_in_none():
    curves = [
        Curve(0, np.array([1, 2, 3]), np.array([1.0, 2.0, NAN])),
        Curve(1, np.array([1, 3]), np.array([3.0, 5.0])),
        Curve(2, np.array([1, 4]), np.array([8.0, 6.0])),
    ]
    mean = mean_of(5, curves)
    assert mean.row == 5
    np.testing.assert_array_equal(mean.steps, [1, 2, 3, 4])
    np.testing.assert_array_equal(mean.counts, [3, 1, 2, 1])
    np.testing.assert_allclose(mean.means, [4, 2, NAN, 6])
    np.testing.assert_allclose(mean.deviations, [np.std([1, 3, 8], ddof=1), NAN, NAN, NAN])


@given(
    st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(NAN)), min_size=1, max_size=400),
    st.integers(5, 40),
)
def test_a_thinned_curve_keeps_its_ends_and_its_extremes_and_its_gaps(values, most):
    values = np.array(values)
    kept = thinned(values, most)
    assert len(kept) <= most
    assert list(kept) == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    if not np.isnan(values).all():
        assert {np.nanmin(values), np.nanmax(values)} <= set(values[kept])
    assert np.isnan(values).any() == np.isnan(values[kept]).any()


def test_a_long_curve_says_that_it_is_thinned():
    rows = [{'step': step, 'loss': float(step == 1234)} for step in range(5000)]
    (chart,) = charts([[(0, run(rows)), (1, run(rows))]])
    assert chart.thinned
    assert len(chart.curves[0].steps) <= 400
    assert 1234 in chart.curves[0].steps and 1234 in chart.means[0].steps
    (chart,) = charts([[(0, run(rows[:400]))]])
    assert not chart.thinned and len(chart.curves[0].steps) == 400
