"""Accuracies of codes where they are known."""

import numpy as np
import pytest
from scipy.stats import norm

from genjax.metrics.code_accuracy import linear_accuracy, neighbour_accuracy

DRAW = np.random.default_rng(0)


def rings(n):
    """Two classes in rings around one centre: codes [n, 2] and labels [n]."""
    label = np.arange(n) % 2
    angle = DRAW.uniform(0, 2 * np.pi, n)
    radius = 1 + label + 0.1 * DRAW.normal(size=n)
    codes = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
    return codes.astype(np.float32), label


def test_neighbours_tell_rings_apart_and_a_line_does_not():
    known, asked = rings(400), rings(200)
    assert neighbour_accuracy(*known, *asked, k=5) > 0.98
    assert 0.3 < linear_accuracy(*known, *asked) < 0.7


def test_a_line_finds_the_bayes_accuracy_of_two_normal_classes_however_scaled():
    """Means a distance d apart, variance 1: Phi(d / 2) of the examples can be told."""
    label = np.arange(4000) % 2
    codes = DRAW.normal(size=(4000, 3)) + 2.0 * label[:, None] * np.array([[1, 0, 0]])
    codes = codes * np.array([[1e-4, 1.0, 1e4]]) + np.array([[5, 0, 0]])
    codes = np.concatenate([codes, np.full((4000, 1), 3.0)], 1)  # and an entry that says nothing
    found = linear_accuracy(codes[:2000], label[:2000], codes[2000:], label[2000:])
    assert found == pytest.approx(norm.cdf(1), abs=4 * np.sqrt(norm.cdf(1) * norm.cdf(-1) / 2000))


def test_neighbours_vote():
    """The nearest is of class 1, two of the three nearest of class 0."""
    codes, label = np.array([[0.1], [0.2], [-0.3], [9.0]]), np.array([1, 0, 0, 1])

    def accuracy(k):
        return neighbour_accuracy(codes, label, np.zeros((1, 1)), np.array([0]), k=k)

    assert (accuracy(1), accuracy(3)) == (0.0, 1.0)
