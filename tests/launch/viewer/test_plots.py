"""What Bokeh is told to draw."""

import base64
import gzip
import json

import numpy as np
import pytest

from launch.viewer.curves import Chart, Curve, mean_of
from launch.viewer.plots import LOWEST, plot

NAN = float('nan')


def chart(*values):
    """Of two seeds of one row, each with these values."""
    curves = [Curve(i, np.arange(1, len(v) + 1), np.array(v)) for i, v in enumerate(values)]
    return Chart('loss', curves, [mean_of(3, curves)], False)


def models(value):
    """Every model of a plot."""
    if isinstance(value, dict):
        if value.get('type') == 'object':
            yield value
        for entry in value.values():
            yield from models(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from models(entry)


def column(item, source, name):
    """A column of numbers, or a list of them."""
    (found,) = [m for m in models(item) if m.get('attributes', {}).get('name') == source]
    return decoded(dict(found['attributes']['data']['entries'])[name])


def decoded(value):
    if isinstance(value, list):
        return [decoded(entry) for entry in value]
    if isinstance(value, dict):
        content = gzip.decompress(base64.b64decode(value['array']['data']))
        return np.frombuffer(content, value['dtype'])
    return value


def test_a_plot_has_the_numbers_of_its_chart():
    item = plot(chart([1.0, 2.0, 4.0], [3.0, NAN, 5.0]), 3)
    assert column(item, 'runs', 'run') == [0, 1]
    np.testing.assert_array_equal(column(item, 'runs', 'xs'), [[1, 2, 3]] * 2)
    np.testing.assert_array_equal(column(item, 'runs', 'ys'), [[1, 2, 4], [3, NAN, 5]])
    np.testing.assert_array_equal(column(item, 'means', 'ys'), [[2, NAN, 4.5]])
    np.testing.assert_array_equal(column(item, 'points', 'row'), [3, 3, 3, 3])
    np.testing.assert_array_equal(column(item, 'points', 'count'), [2, 2, 2, 2])
    np.testing.assert_array_equal(column(item, 'points', 'value'), [2, NAN, 4.5, NAN])
    a, b = 2**0.5, 0.5**0.5
    np.testing.assert_allclose(column(item, 'points', 'deviation'), [a, NAN, b, b], rtol=1e-6)
    # Each stretch there and back, with a gap between them.
    (x,), (y,) = column(item, 'bands', 'xs'), column(item, 'bands', 'ys')
    np.testing.assert_array_equal(x, [1, 1, NAN, 3, 3])
    np.testing.assert_allclose(y, [2 + a, 2 - a, NAN, 4.5 + b, 4.5 - b], rtol=1e-6)


@pytest.mark.parametrize(
    ('values', 'kinds', 'has_own_bands'),
    [
        (([4.0, 5.0], [4.0, 6.0]), ['linear', 'log'], False),
        (([1.0, -1.0], [7.0, -2.0]), ['linear', 'log'], True),  # of 1 and 7: 4 - 4.24 < 0
        (([-1.0, 0.0], [-1.0, NAN]), ['linear'], False),
    ],
)
def test_a_logarithmic_axis_where_anything_is_positive(values, kinds, has_own_bands):
    item = plot(chart(*values), 2)
    figures = [m['attributes']['name'] for m in models(item) if m['name'] == 'Figure']
    assert figures == kinds
    names = [m.get('attributes', {}).get('name') for m in models(item)]
    assert ('bands-above-0' in names) == has_own_bands
    if has_own_bands:
        (y,) = column(item, 'bands-above-0', 'ys')
        np.testing.assert_allclose(y, [4 + 18**0.5, LOWEST], rtol=1e-6)


def test_the_same_chart_gives_the_same_text():
    same = chart([1.0, 2.0], [2.0, 3.0])
    assert json.dumps(plot(same, 2)) == json.dumps(plot(same, 2))
