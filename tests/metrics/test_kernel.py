"""The kernel distance: unbiased, by enumeration and by many draws."""

import itertools

import numpy as np
import pytest

from genjax.metrics import kernel as module
from genjax.metrics.kernel import kernel_distance, kernel_distances

ATOMS = np.array([[0.0, 1.0], [2.0, -1.0], [1.5, 0.5]])
P = np.array([0.2, 0.5, 0.3])
Q = np.array([0.6, 0.1, 0.3])


def unbiased_by_hand(a, b):
    """Pair by pair, without those of an example with itself."""

    def kernel(x, y):
        return (x @ y / len(x) + 1) ** 3

    def within(x):
        return np.mean([kernel(x[i], x[j]) for i, j in itertools.permutations(range(len(x)), 2)])

    between = np.mean([kernel(x, y) for x in a for y in b])
    return within(a) + within(b) - 2 * between


def biased(a, b):
    """With the pairs of an example with itself."""

    def mean_kernel(x, y):
        return ((x @ y.T / x.shape[1] + 1) ** 3).mean()

    return mean_kernel(a, a) + mean_kernel(b, b) - 2 * mean_kernel(a, b)


@pytest.mark.parametrize('block', [1, 7, 256])
def test_it_is_the_mean_over_pairs(block, monkeypatch):
    monkeypatch.setattr(module, 'BLOCK', block)
    rng = np.random.default_rng(0)
    a = rng.normal(size=(23, 5))
    b = rng.normal(size=(31, 5)) + 0.5
    expected = unbiased_by_hand(a, b)
    assert kernel_distance(a, b) == pytest.approx(expected, rel=1e-11)
    assert kernel_distance(a.astype(np.float32), b) == pytest.approx(expected, rel=1e-5)


def expectation(estimate, p, q):
    """Over all sets of 2 from p and 3 from q, each with its probability."""
    total = 0.0
    for atoms in itertools.product(range(3), repeat=5):
        left = list(atoms[:2])
        right = list(atoms[2:])
        probability = np.prod(p[left]) * np.prod(q[right])
        total += probability * estimate(ATOMS[left], ATOMS[right])
    return total


def test_the_expectation_over_every_possible_set_is_the_true_discrepancy():
    gram = (ATOMS @ ATOMS.T / 2 + 1) ** 3
    assert expectation(kernel_distance, P, Q) == pytest.approx((P - Q) @ gram @ (P - Q), rel=1e-10)
    assert expectation(kernel_distance, P, P) == pytest.approx(0, abs=1e-12)
    assert expectation(biased, P, P) > 1


def test_the_mean_over_many_draws_of_one_distribution_is_zero():
    rng = np.random.default_rng(1)
    pairs = [rng.normal(size=(2, 10, 3)) for _ in range(1500)]
    distances = [kernel_distance(a, b) for a, b in pairs]
    error = np.std(distances) / np.sqrt(len(distances))
    assert abs(np.mean(distances)) < 4 * error
    assert np.mean([biased(a, b) for a, b in pairs]) > 10 * error


def test_subsets_estimate_the_same_and_scatter_about_it():
    rng = np.random.default_rng(2)
    a = rng.normal(size=(400, 4))
    b = rng.normal(size=(500, 4)) + 0.5
    whole, subsets = kernel_distances(rng, a, b, subsets=200, size=50)
    assert whole == pytest.approx(kernel_distance(a, b), rel=1e-12)
    assert subsets.mean == pytest.approx(whole, abs=4 * subsets.deviation / np.sqrt(200))
    _, full_subsets = kernel_distances(rng, a, b[:400], subsets=3, size=400)
    assert full_subsets.mean == pytest.approx(kernel_distance(a, b[:400]))
    assert full_subsets.deviation < 1e-12


def test_each_subset_has_the_distance_that_it_has_alone():
    a, b = np.random.default_rng(3).normal(size=(2, 300, 4))
    rng = np.random.default_rng(4)

    def draw_subset(x):
        return x[rng.choice(300, 20, replace=False)]

    alone = [kernel_distance(draw_subset(a), draw_subset(b)) for _ in range(5)]
    _, together = kernel_distances(np.random.default_rng(4), a, b, subsets=5, size=20)
    assert together == pytest.approx((np.mean(alone), np.std(alone)), rel=1e-10)


def test_what_cannot_be_measured_is_refused_in_one_line():
    a = np.ones((4, 3))
    rng = np.random.default_rng(0)
    with pytest.raises(
        ValueError, match=r'^features have shapes \(4, 3\) and \(1, 3\); rows as long, two or more'
    ):
        kernel_distance(a, a[:1])
    with pytest.raises(ValueError, match=r'^features have shapes \(4, 3\) and \(4, 2\)'):
        kernel_distance(a, a[:, :2])
    with pytest.raises(ValueError, match='^size is 5; subsets of 4 and 6 examples'):
        kernel_distances(rng, a, np.ones((6, 3)), size=5)
