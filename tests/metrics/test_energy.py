"""The energy distance by the closed form of normal laws."""

import numpy as np
import pytest
from scipy.stats import norm

from genjax.metrics import energy
from genjax.metrics.energy import energy_distance


def mean_distance(mean, variance):
    """E|d| of d normal."""
    s = np.sqrt(variance)
    return s * np.sqrt(2 / np.pi) * np.exp(-(mean**2) / 2 / variance) + mean * (
        1 - 2 * norm.cdf(-mean / s)
    )


def test_it_is_that_of_normal_laws(monkeypatch):
    monkeypatch.setattr(energy, 'BLOCK', 300)  # which does not divide the number of points
    rng = np.random.default_rng(0)
    found = [
        energy_distance(rng.normal(0.4, 0.7, (1000, 1)), rng.normal(-0.2, 1.2, (800, 1)))
        for _ in range(30)
    ]
    variances = (0.49, 1.44)
    expected = 2 * mean_distance(0.6, sum(variances)) - sum(
        mean_distance(0.0, 2 * variance) for variance in variances
    )
    assert abs(np.mean(found) - expected) < 4.5 * np.std(found) / np.sqrt(30)
    assert np.std(found) < 0.2 * expected


def test_it_is_zero_in_the_mean_for_one_law():
    rng = np.random.default_rng(1)
    found = [energy_distance(*rng.normal(size=(2, 100, 2))) for _ in range(200)]
    assert abs(np.mean(found)) < 4.5 * np.std(found) / np.sqrt(200)


def test_sets_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r'^points have shapes \(1, 2\) and \(3, 2\); rows'):
        energy_distance(np.zeros((1, 2)), np.zeros((3, 2)))
