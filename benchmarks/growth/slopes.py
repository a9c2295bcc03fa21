"""The exponent of a power law, by least squares in logarithms."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Fit(NamedTuple):
    """cost = factor size^slope."""

    slope: float
    error: float  # standard error of the slope; NaN of two points
    factor: float
    last: float  # the slope between the two largest sizes, where fixed costs count least


def fit_slope(sizes: Sequence[float], costs: Sequence[float]) -> Fit | None:
    """The power law through points; those of no cost have no logarithm and are left out.

    Returns:
      None where fewer than two points are left.
    """
    points = sorted((size, cost) for size, cost in zip(sizes, costs, strict=True) if cost > 0)
    if len(points) < 2:
        return None
    x, y = np.log(points).T
    centred = x - x.mean()
    slope = centred @ y / (centred @ centred)
    intercept = y.mean() - slope * x.mean()
    residual = y - intercept - slope * x
    error = np.nan
    if len(points) > 2:
        error = np.sqrt(residual @ residual / (len(points) - 2) / (centred @ centred))
    last = (y[-1] - y[-2]) / (x[-1] - x[-2])
    return Fit(float(slope), float(error), float(np.exp(intercept)), float(last))
