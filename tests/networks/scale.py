"""Trees compared to within a share of each leaf's largest value."""

import jax
import numpy as np

from tests.trees import assert_trees_close


def assert_trees_close_to_scale(actual, expected, *, rtol, atol):
    """Sees that |a - b| <= rtol |b| + atol max |b| in each leaf, b of `expected`."""
    scales = jax.tree.map(_scale, expected)
    assert_trees_close(
        jax.tree.map(_divide, actual, scales),
        jax.tree.map(_divide, expected, scales),
        rtol=rtol,
        atol=atol,
    )


def _scale(x):
    """The largest absolute value of x; 1 where all are zero."""
    return float(np.abs(np.asarray(x, np.float64)).max()) or 1.0


def _divide(x, scale):
    return np.asarray(x, np.float64) / scale
