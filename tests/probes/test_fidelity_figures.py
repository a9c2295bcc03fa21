"""Pictures of fidelity, by their pixels."""

import numpy as np

from genjax.metrics.frechet import BiasCurve, default_sizes
from genjax.probes.fidelity_figures import COLOURS, bias_picture, class_picture


def test_the_picture_shows_every_curve_and_where_it_goes():
    def curve(limit, slope):
        return BiasCurve(default_sizes(400), limit + slope / default_sizes(400), limit)

    picture = bias_picture(
        {'generated': curve(2.0, 100), 'real': curve(0.0, 100)}, 'Frechet distance (toy)'
    )
    assert picture.dtype == np.uint8 and picture.shape == (600, 800, 3)
    blue, orange = ((picture == colour).all(-1) for colour in [(0, 0x72, 0xB2), (0xD5, 0x5E, 0)])
    right = slice(180, 800)  # of the open marks at 0; the legend is upper left
    rows = [np.nonzero(each[120:, right])[0].mean() for each in (blue, orange)]
    assert rows[0] < rows[1]  # the generated examples' distances lie higher
    assert all(each[:, 80:140].any() for each in (blue, orange))


def test_bars_are_as_high_as_the_shares():
    shares = np.array([0.1, 0.2, 0.7])
    pixels = class_picture({'a': shares, 'b': shares[::-1]})
    for colour, expected in zip(COLOURS, (shares, shares[::-1]), strict=False):
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        found = (np.abs(pixels.astype(int) - rgb) < 8).all(-1)
        columns = np.flatnonzero(found.sum(0) > 30)  # the legend's patches are lower
        heights = [
            found[:, bar].sum(0).mean()
            for bar in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
        ]
        np.testing.assert_allclose(np.array(heights) / sum(heights), expected, atol=0.02)
