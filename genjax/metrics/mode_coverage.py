"""Which modes of a mixture samples reach (Lin et al. 2018, arXiv:1712.04086).

N samples, K modes.
"""

from typing import NamedTuple

import numpy as np


class Coverage(NamedTuple):
    """Which modes samples reach."""

    modes: int  # that have a sample within reach
    good: float  # share of samples within reach of a mode


def mode_coverage(x: np.ndarray, centres: np.ndarray, reach: float) -> Coverage:
    """Assigns each sample to its nearest mode, and counts it where it lies within reach.

    Args:
      x: samples, [N, 2].
      centres: of the modes, [K, 2].
      reach: the largest distance, commonly three standard deviations, within which 98.9 % of the
        modes' own draws lie.
    """
    distance = np.linalg.norm(np.float64(x)[:, None] - np.float64(centres)[None], axis=-1)  # [N, K]
    good = distance.min(1) <= reach
    reached = np.unique(distance.argmin(1)[good])
    return Coverage(len(reached), float(good.mean()))
