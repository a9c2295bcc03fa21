"""The share of symbols that are hidden at a time t, which goes from 0 at t = 0 to 1 at t = 1.

It is 1 - alpha(t) of Shi et al. 2024, arXiv:2406.04329, table 1. Not alpha: a share near 0 would be
rounded away beside 1, and the bound divides by it. t is an array of the host or of the device.
"""

from collections.abc import Callable

import numpy as np
from jax import Array

from genjax.numerics.namespace import namespace

Schedule = Callable[[Array], Array]


def linear(t: Array) -> Array:
    """t: alpha(t) = 1 - t."""
    return t


def cosine(t: Array) -> Array:
    """sin(pi t / 2): alpha(t) = 1 - cos(pi (1 - t) / 2), where few symbols are left for long."""
    return namespace(t).sin(np.pi / 2 * t)


def polynomial(power: float) -> Schedule:
    """t^power: alpha(t) = 1 - t^power.

    Raises:
      ValueError: the power is not positive.
    """
    if not power > 0:
        raise ValueError(f'power is {power}; a schedule needs a positive one')

    def schedule(t):
        return t**power

    return schedule
