"""The kernel distance: unbiased, by enumeration and by many draws."""

import itertools

import numpy as np
import pytest

from genjax.metrics import kernel as module
from genjax.metrics.kernel import kernel_distance, kernel_distances


def by_hand(a, b, *, biased=False):
    """Pair by pair; biased takes an example with itself too."""

    def kernel(x, y):
        return (x @ y / len(x) + 1) ** 3

    def pairs(x):
        return [
            kernel(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if biased or i != j
        ]

    return np.mean(pairs(a)) + np.mean(pairs(b)) - 2 * np.mean([kernel(x, y) for x in a for y in b])


@pytest.mark.parametrize('block', [1, 7, 256])
def test_it_is_the_mean_over_pairs(block, monkeypatch):
    monkeypatch.setattr(module, 'BLOCK', block)
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(23, 5)), draw.normal(size=(31, 5)) + 0.5
    assert kernel_distance(a, b) == pytest.approx(by_hand(a, b), rel=1e-11)
    assert kernel_distance(a.astype(np.float32), b) == pytest.approx(by_hand(a, b), rel=1e-5)


ATOMS = np.array([[0.0, 1.0], [2.0, -1.0], [1.5, 0.5]])
P, Q = np.array([0.2, 0.5, 0.3]), np.array([0.6, 0.1, 0.3])


def expectation(estimate, p, q):
    """Over all sets of 2 from p and 3 from q that there are, each with its probability."""
    return sum(
        np.prod(p[list(drawn[:2])])
        * np.prod(q[list(drawn[2:])])
        * estimate(ATOMS[list(drawn[:2])], ATOMS[list(drawn[2:])])
        for drawn in itertools.product(range(3), repeat=5)
    )


def test_the_expectation_over_every_possible_set_is_the_true_discrepancy():
    gram = (ATOMS @ ATOMS.T / 2 + 1) ** 3
    assert expectation(kernel_distance, P, Q) == pytest.approx((P - Q) @ gram @ (P - Q), rel=1e-10)
    assert expectation(kernel_distance, P, P) == pytest.approx(0, abs=1e-12)
    assert (
        expectation(lambda a, b: by_hand(a, b, biased=True), P, P) > 1
    )  # what pairs of one example with itself add


def test_the_mean_over_many_draws_of_one_distribution_is_zero():
    draw = np.random.default_rng(1)
    pairs = [draw.normal(size=(2, 10, 3)) for _ in range(1500)]
    found, biased = (
        [estimate(a, b) for a, b in pairs] for estimate in (kernel_distance, with_itself)
    )
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 4 * error
    assert np.mean(biased) > 10 * error


def with_itself(a, b):
    def mean(x, y):
        return ((x @ y.T / 3 + 1) ** 3).mean()

    return mean(a, a) + mean(b, b) - 2 * mean(a, b)


def test_subsets_estimate_the_same_and_scatter_about_it():
    draw = np.random.default_rng(2)
    a, b = draw.normal(size=(400, 4)), draw.normal(size=(500, 4)) + 0.5
    whole, spread = kernel_distances(draw, a, b, subsets=200, size=50)
    assert whole == pytest.approx(kernel_distance(a, b), rel=1e-12)
    assert spread.mean == pytest.approx(whole, abs=4 * spread.deviation / np.sqrt(200))
    _, all_of_one = kernel_distances(draw, a, b[:400], subsets=3, size=400)
    assert (
        all_of_one.mean == pytest.approx(kernel_distance(a, b[:400]))
        and all_of_one.deviation < 1e-12
    )


def test_each_subset_has_the_distance_that_it_has_alone():
    draw, again = np.random.default_rng(3), np.random.default_rng(3)
    a, b = draw.normal(size=(2, 300, 4))
    again.normal(size=(2, 300, 4))

    def pick(x):
        return x[again.choice(300, 20, replace=False)]

    alone = [kernel_distance(pick(a), pick(b)) for _ in range(5)]
    _, spread = kernel_distances(draw, a, b, subsets=5, size=20)
    assert spread == pytest.approx((np.mean(alone), np.std(alone)), rel=1e-10)


def test_what_cannot_be_measured_is_refused_in_one_line():
    a, rng = np.ones((4, 3)), np.random.default_rng(0)
    with pytest.raises(
        ValueError, match=r'^features have shapes \(4, 3\) and \(1, 3\); rows as long, two or more'
    ):
        kernel_distance(a, a[:1])
    with pytest.raises(ValueError, match=r'^features have shapes \(4, 3\) and \(4, 2\)'):
        kernel_distance(a, a[:, :2])
    with pytest.raises(ValueError, match='^size is 5; subsets of 4 and 6 examples'):
        kernel_distances(rng, a, np.ones((6, 3)), size=5)
