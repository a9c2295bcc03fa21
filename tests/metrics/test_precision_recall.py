"""Precision, recall, density and coverage: by their definitions, and of one distribution."""

import itertools
import math

import numpy as np
import pytest

from genjax.metrics import kernel
from genjax.metrics import precision_recall as module
from genjax.metrics.precision_recall import density_coverage, expected_coverage, precision_recall


def by_hand(real, fake, k):
    """(precision, recall, density, coverage), point by point."""

    def radius(x, others):
        return sorted(np.linalg.norm(others - x, axis=1))[k]  # the first is x itself

    def inside(point, centre, others):
        return np.linalg.norm(point - centre) <= radius(centre, others)

    in_real_ball = np.array([[inside(y, x, real) for y in fake] for x in real])  # [N, M]
    in_fake_ball = np.array([[inside(x, y, fake) for x in real] for y in fake])  # [M, N]
    precision = in_real_ball.any(0).mean()
    recall = in_fake_ball.any(0).mean()
    density = in_real_ball.sum(0).mean() / k
    coverage = in_real_ball.any(1).mean()
    return precision, recall, density, coverage


@pytest.mark.parametrize('block', [1, 7, 256])
@pytest.mark.parametrize('k', [1, 4])
def test_they_are_what_the_definitions_say(block, k, monkeypatch):
    monkeypatch.setattr(module, 'BLOCK', block)
    rng = np.random.default_rng(k)
    real = rng.normal(size=(40, 3)) + 1e4
    fake = 0.7 * rng.normal(size=(25, 3)) + 1e4 + 0.5
    found = (*precision_recall(real, fake, k=k), *density_coverage(real, fake, k=k))
    np.testing.assert_allclose(found, by_hand(real, fake, k), rtol=1e-12)
    assert all(0 < value < 1 for value in found[:2])


def test_narrow_and_distant_examples():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(300, 2))
    narrow = precision_recall(real, 0.05 * rng.normal(size=(300, 2)))
    assert narrow.precision == 1 and narrow.recall < 0.05
    wide = precision_recall(real, 20 * rng.normal(size=(300, 2)))
    assert wide.precision < 0.05 and wide.recall > 0.9
    distant = real + 100
    assert precision_recall(real, distant) == (0, 0)
    assert density_coverage(real, distant) == (0, 0)
    # All at one real example: in the k balls about it and its neighbours, on average of centres in
    # k + 1 each.
    at_one = density_coverage(real, np.repeat(real[:1], 50, 0) + 1e-9)
    assert at_one.coverage < 0.06 and at_one.density > 0.2


def test_one_distribution_has_density_one_and_the_coverage_of_the_lemma():
    rng = np.random.default_rng(1)
    results = []
    for _ in range(1500):
        examples = rng.uniform(size=(35, 2))
        results.append(density_coverage(examples[:20], examples[20:], k=3))
    errors = np.std(results, 0) / np.sqrt(len(results))
    expected = [1, expected_coverage(20, 15, 3)]
    assert (np.abs(np.mean(results, 0) - expected) < 4 * errors).all()


def test_the_lemma_is_a_count_of_orders():
    """A ball is missed where of N - 1 real and M fake examples the k nearest are real.

    With as many of each it is the paper's formula.
    """
    orders = list(itertools.combinations(range(3 + 4), 4))  # the places of 4 fake ones among 3 real
    missed = np.mean([min(places) >= 2 for places in orders])
    assert expected_coverage(4, 4, 2) == pytest.approx(1 - missed)
    n, k = 50, 5
    paper = 1 - math.prod(range(n - k, n)) / math.prod(range(2 * n - k, 2 * n))
    assert expected_coverage(n, n, k) == pytest.approx(paper)
    assert expected_coverage(3, 5, 3) == 1  # there are no three other real ones


def test_no_table_of_all_distances_is_held(monkeypatch):
    import tracemalloc

    monkeypatch.setattr(module, 'BLOCK', 64)
    monkeypatch.setattr(kernel, 'BLOCK', 64)
    real, fake = np.random.default_rng(2).normal(size=(2, 1200, 4))
    tracemalloc.start()
    try:
        precision_recall(real, fake)
        density_coverage(real, fake)
        kernel.kernel_distance(real, fake)
        _, peak = tracemalloc.get_traced_memory()
        assert peak < 1200 * 1200 * 8 / 3
    finally:
        tracemalloc.stop()


def test_what_cannot_be_measured_is_refused_in_one_line():
    a = np.ones((4, 3))
    with pytest.raises(ValueError, match='^k is 4; 4 examples have 1 to 3 neighbours$'):
        precision_recall(a, np.ones((9, 3)), k=4)
    with pytest.raises(ValueError, match='^k is 0; 4 examples'):
        density_coverage(a, a, k=0)
    with pytest.raises(
        ValueError, match=r'^features have shapes \(4, 3\) and \(4, 2\); rows as long are wanted$'
    ):
        density_coverage(a, a[:, :2])
