"""Charts drawn by Bokeh, as the JSON that its script draws them from.

A chart holds numbers alone. Which of its curves are shown, their names and their colours come from
the page (page.js), so that they are on it once, however many charts there are; the names of models
are those by which page.js finds them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from bokeh import resources
from bokeh.embed import json_item
from bokeh.layouts import column
from bokeh.models import (
    BooleanFilter,
    BoxZoomTool,
    CDSView,
    ColumnDataSource,
    DataRange1d,
    HoverTool,
    NumeralTickFormatter,
    PanTool,
    Range1d,
    ResetTool,
    SaveTool,
    WheelZoomTool,
)
from bokeh.plotting import figure

from launch.viewer.curves import Chart, Mean

HEIGHT = 260  # pixels
TOUCH = 14  # pixels: how wide a line is to the pointer
LOWEST = 1e-37  # that a band reaches on a logarithmic axis, whatever is shown: a float32 has it
FIELDS = [('', '@label'), ('step', '$snap_x{0,0}'), ('value', '$snap_y{%.5g}')]
FIELDS_OF_MEAN = [
    ('', '@label'),
    ('step', '@step{0,0}'),
    ('mean', '@mean{%.5g} ± @deviation{%.2g}'),
    ('runs', '@count'),
]
FORMATS = {'$snap_y': 'printf', '@mean': 'printf', '@deviation': 'printf'}


def script() -> str:
    """Bokeh's own script, of the installed package."""
    own, _ = resources.Resources(mode='inline', components=['bokeh'], minified=True).js_raw
    return own


def plot(chart: Chart, last: int) -> dict[str, Any]:
    """What Bokeh.embed.embed_item draws: a chart with a linear axis and, where anything is
    positive, the same with a logarithmic one, of which the page shows one.

    Args:
      chart: what it shows.
      last: the step at which all charts end, so that they can be compared.
    """
    sources = {
        'runs': _source(
            run=[curve.run for curve in chart.curves],
            xs=[_steps(curve.steps) for curve in chart.curves],
            ys=[curve.values.astype(np.float32) for curve in chart.curves],
        ),
        'means': _source(
            row=[mean.row for mean in chart.means],
            xs=[_steps(mean.steps) for mean in chart.means],
            ys=[mean.means.astype(np.float32) for mean in chart.means],
        ),
        'bands': _bands(chart.means, False),
    }
    drawn = {name: _drawn(name, source) for name, source in sources.items()}
    drawn['points'] = {'source': _points(chart.means)}
    across = Range1d(0, max(1, last))
    axes = [_figure('linear', across, drawn)]
    if any((curve.values > 0).any() for curve in chart.curves):
        if any((mean.means - mean.deviations <= 0).any() for mean in chart.means):
            drawn['bands'] = _drawn('bands-above-0', _bands(chart.means, True))
        axes.append(_figure('log', across, drawn))
    return _renumbered(json_item(column(axes, sizing_mode='stretch_width')))


def _source(**columns):
    """With columns that the page fills: names and looks."""
    count = len(next(iter(columns.values())))
    looks = {'label': [''] * count, 'colour': ['#888888'] * count, 'dash': ['solid'] * count}
    return ColumnDataSource(columns | looks)


def _drawn(name, source):
    """What a renderer draws: of a source nothing yet; the page says what."""
    source.name = name
    count = len(source.data['label'])
    shown = BooleanFilter(name=f'{name}-shown', booleans=[False] * count)
    return {'source': source, 'view': CDSView(filter=shown)}


def _steps(steps):
    """In as few bytes as hold them."""
    return steps.astype(np.int32 if steps[-1] < 2**31 else np.float64)


def _points(means: Sequence[Mean]) -> ColumnDataSource:
    """Every point of the means, with a nan after each: one line for the pointer, which tells a
    point of a line by its place."""
    nothing = {name: np.zeros(0) for name in ('row', 'step', 'value', 'deviation', 'count')}
    pieces = [nothing]
    for mean in means:
        columns = {
            'row': np.full(len(mean.steps), mean.row),
            'step': mean.steps,
            'value': mean.means,
            'deviation': mean.deviations,
            'count': mean.counts,
        }
        pieces.append(columns)
        pieces.append({name: column[-1:] for name, column in columns.items()} | {'value': [np.nan]})
    joined = {name: np.concatenate([piece[name] for piece in pieces]) for name in nothing}
    columns = {
        'row': joined['row'].astype(np.int32),
        'step': joined['step'],
        'value': joined['value'].astype(np.float32),
        'mean': np.full(len(joined['row']), np.nan, np.float32),  # the value where it is shown
        'deviation': joined['deviation'].astype(np.float32),
        'count': joined['count'].astype(np.int32),
    }
    return ColumnDataSource(columns, name='points')


def _bands(means: Sequence[Mean], above_0: bool) -> ColumnDataSource:
    """One deviation to either side of the means, as polygons."""
    rows = []
    xs = []
    ys = []
    for mean in means:
        pieces = list(_outlines(mean, above_0))
        if pieces:
            x, y = np.concatenate(pieces, axis=1)[:, :-1]
            rows.append(mean.row)
            xs.append(x.astype(np.float32))
            ys.append(y.astype(np.float32))
    return _source(row=rows, xs=xs, ys=ys)


def _outlines(mean: Mean, above_0: bool) -> Iterator[np.ndarray]:
    """The outline of each stretch with a deviation, and a nan, [2, points + 1]."""
    low = mean.means - mean.deviations
    high = mean.means + mean.deviations
    is_there = np.isfinite(high)
    if above_0:
        is_there &= high > 0
        low = np.maximum(low, LOWEST)
    places = np.flatnonzero(is_there)
    for piece in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1):
        if len(piece):
            there_and_back = np.concatenate([piece, piece[::-1]])
            x = mean.steps[there_and_back]
            y = np.concatenate([high[piece], low[piece[::-1]]])
            yield np.array([[*x, np.nan], [*y, np.nan]])


def _figure(kind, across, drawn):
    # No tool takes the wheel from the page: with ctrl it zooms.
    zoom = WheelZoomTool(modifiers='ctrl')
    box = BoxZoomTool()
    plotted = figure(
        name=kind,
        visible=kind == 'linear',
        height=HEIGHT,
        sizing_mode='stretch_width',
        x_range=across,
        y_range=DataRange1d(only_visible=True, range_padding=0.08),
        y_axis_type=kind,
        tools=[box, PanTool(), zoom, ResetTool(), SaveTool()],
        active_drag=box,
        active_scroll=zoom,
        toolbar_location='above',
        min_border=4,
        min_border_right=16,
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=None,
    )
    plotted.toolbar.logo = None
    plotted.xaxis.formatter = NumeralTickFormatter(format='0,0.[00]a')
    plotted.xaxis.ticker.desired_num_ticks = 5
    looks = {'line_color': 'colour', 'line_dash': 'dash', 'line_join': 'round'}
    plotted.patches(
        'xs', 'ys', **drawn['bands'], fill_color='colour', fill_alpha=0.2, line_color=None
    )
    lines = [
        plotted.multi_line('xs', 'ys', **drawn['runs'], **looks, line_width=1.4),
        plotted.multi_line('xs', 'ys', **drawn['means'], **looks, line_width=2.2),
    ]
    wide = plotted.multi_line('xs', 'ys', **drawn['runs'], line_alpha=0, line_width=TOUCH)
    points = plotted.line('step', 'mean', **drawn['points'], line_alpha=0, line_width=TOUCH)
    if kind == 'log':
        plotted.y_range.renderers = lines
    for renderer, fields in ((wide, FIELDS), (points, FIELDS_OF_MEAN)):
        hover = HoverTool(
            renderers=[renderer],
            tooltips=fields,
            formatters=FORMATS,
            line_policy='nearest',
            visible=False,
        )
        plotted.add_tools(hover)
    return plotted


def _renumbered(item: dict[str, Any]) -> dict[str, Any]:
    """With models numbered from 1, so that the same chart gives the same text in any process."""
    numbers: dict[str, str] = {}

    def of(model):
        return numbers.setdefault(model, f'm{len(numbers) + 1}')

    def walk(value):
        if isinstance(value, list):
            return [walk(entry) for entry in value]
        if isinstance(value, dict):
            return {key: of(entry) if key == 'id' else walk(entry) for key, entry in value.items()}
        return value

    return walk(item) | {'root_id': of(item['root_id'])}
