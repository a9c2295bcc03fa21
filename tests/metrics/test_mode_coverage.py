"""Coverage of modes by hand."""

import numpy as np
import pytest

from genjax.metrics.mode_coverage import mode_coverage


def test_coverage_by_hand():
    centres = np.array([[0.0, 0], [10, 0], [0, 10]])
    x = np.array(
        [[0.5, 0], [0, -1.0], [1.1, 0], [10, 0.9], [5, 5], [0, 8.9]]
    )  # on the rim counts, beyond it does not
    assert mode_coverage(x, centres, 1.0) == (2, pytest.approx(3 / 6))
    assert mode_coverage(x, centres, 1.2) == (3, pytest.approx(5 / 6))
    assert mode_coverage(x[4:5], centres, 1.0) == (0, 0)
