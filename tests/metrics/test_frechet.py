"""The Frechet distance: closed forms, scipy's root of a matrix, and the bias of few examples."""

import functools
import math

import numpy as np
import pytest

from genjax.metrics import frechet as module
from genjax.metrics.frechet import (
    Moments,
    bias_curve,
    default_sizes,
    extrapolate,
    frechet_distance,
    merge,
    moment_distance,
    moments,
)


def population(mean, covariance):
    return Moments(np.asarray(mean, float), np.asarray(covariance, float), math.inf)


def random_covariance(rng, d):
    root = rng.normal(size=(d, d + 3))
    return root @ root.T / d


def test_two_gaussians_on_a_line():
    a = population([1.0], [[4.0]])
    b = population([-2.0], [[0.25]])
    assert moment_distance(a, b) == pytest.approx(3**2 + (2 - 0.5) ** 2, rel=1e-12)


def test_gaussians_with_common_axes():
    """Commuting covariances, of which each axis, one without variance, counts by itself."""
    rng = np.random.default_rng(0)
    axes, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    scales = rng.gamma(1, size=(2, 6)) * [[1, 1, 1, 0, 1, 1], [1, 1, 1, 1, 0, 1]]
    means = np.eye(6)[:2]
    a = population(means[0], axes * scales[0] ** 2 @ axes.T)
    b = population(means[1], axes * scales[1] ** 2 @ axes.T)
    expected = 2 + ((scales[0] - scales[1]) ** 2).sum()
    # Rounding of a variance 0 is 1e-8 in its root.
    assert moment_distance(a, b) == pytest.approx(expected, rel=1e-7)
    assert moment_distance(b, a) == pytest.approx(moment_distance(a, b), rel=1e-12)


def test_it_is_the_formula_with_scipys_root():
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(1)
    for d in (2, 17, 60):
        a = random_covariance(rng, d)
        b = random_covariance(rng, d)
        mean = rng.normal(size=d)
        expected = mean @ mean + np.trace(a + b - 2 * sqrtm(a @ b).real)
        distance = moment_distance(population(mean, a), population(np.zeros(d), b))
        assert distance == pytest.approx(expected, rel=1e-9)


def test_fewer_examples_than_features():
    """The trace of the root is also the nuclear norm of the centred cross product."""
    rng = np.random.default_rng(2)
    a = rng.normal(size=(12, 80))
    b = rng.normal(size=(20, 80)) * 2 + 1
    centred_a = (a - a.mean(0)) / np.sqrt(len(a) - 1)
    centred_b = (b - b.mean(0)) / np.sqrt(len(b) - 1)
    trace_root = np.linalg.norm(centred_a @ centred_b.T, 'nuc')
    of_means = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = of_means + (centred_a**2).sum() + (centred_b**2).sum() - 2 * trace_root
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)
    of_copies = frechet_distance(a, rng.permutation(a))
    assert abs(of_copies) < 1e-12 * np.trace(moments(a).covariance)


def test_features_that_are_always_zero_change_nothing():
    rng = np.random.default_rng(3)
    a = rng.normal(size=(200, 5))
    b = rng.normal(size=(300, 5)) + 0.3
    wider = [np.concatenate([x, np.zeros((len(x), 40))], 1) for x in (a, b)]
    assert frechet_distance(*wider) == pytest.approx(frechet_distance(a, b), rel=1e-6)


@pytest.mark.parametrize('edges', [[50], [1, 2, 60], list(range(1, 100))])
def test_moments_of_parts_merge_to_those_of_the_whole(edges):
    # Around 1e4 sums of squares would lose 8 digits.
    features = np.random.default_rng(4).normal(size=(100, 4)) + 1e4
    whole = moments(features)
    parts = [moments(part) for part in np.split(features, edges)]
    merged = functools.reduce(merge, parts)
    np.testing.assert_allclose(whole.covariance, np.cov(features.T), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-14)
    np.testing.assert_allclose(merged.covariance, whole.covariance, rtol=1e-9, atol=1e-10)
    assert merged.n == 100


def exact_bias(n):
    """E of the distance between two sets of n from N(0, 1).

    Means give 2 / n, scales 2 (1 - c_4(n)^2).
    """
    c4 = math.sqrt(2 / (n - 1)) * math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2))
    return 2 / n + 2 * (1 - c4**2)


def test_the_bias_of_few_examples_is_the_exact_one():
    rng = np.random.default_rng(5)
    for n in (3, 10):
        distances = [frechet_distance(*rng.normal(size=(2, n, 1))) for _ in range(3000)]
        error = np.std(distances) / np.sqrt(len(distances))
        assert np.mean(distances) == pytest.approx(exact_bias(n), abs=4 * error)


def test_the_curve_starts_at_the_bias_and_goes_to_the_truth():
    """One feature, N(0, 1) and N(1, 1): the truth is 1; the whole set itself is a little off it."""
    rng = np.random.default_rng(6)
    a = rng.normal(size=(4000, 1))
    b = rng.normal(size=(4000, 1)) + 1
    sizes = np.repeat([20, 30, 60], 400)
    for other, truth, whole in [(b, 1, frechet_distance(a, b)), (None, 0, 0)]:
        curve = bias_curve(rng, a, other, sizes=sizes)
        smallest = curve.values[sizes == 20]
        error = smallest.std() / np.sqrt(len(smallest))
        assert smallest.mean() == pytest.approx(whole + exact_bias(20), abs=4 * error)
        # The line goes on from 1 / 20 and 1 / 60 to 0.
        assert curve.limit == pytest.approx(whole, abs=8 * error)
        assert abs(curve.limit - truth) < abs(smallest.mean() - truth)


def test_the_limit_is_near_the_truth_in_many_dimensions():
    """N(0, I) and N(m, I) of D features, |m| = 1.

    n examples add 2 D / n by their means and, to first order in 1/n, D (D + 1) / 2n by their
    covariances.
    """
    rng = np.random.default_rng(1)
    d = 24
    n = 200
    pairs = [(rng.normal(size=(n, d)), rng.normal(size=(n, d)) + d**-0.5) for _ in range(30)]
    distances = [frechet_distance(a, b) for a, b in pairs]
    expected = 1 + 2 * d / n + d * (d + 1) / 2 / n
    assert np.mean(distances) == pytest.approx(expected, rel=0.05)
    limits = [bias_curve(rng, a, b, sizes=default_sizes(n, 5)).limit for a, b in pairs]
    assert np.mean(limits) == pytest.approx(1, abs=4 * np.std(limits) / np.sqrt(30))


def test_a_line_in_one_over_n_is_continued_exactly_and_sizes_are_even_on_it():
    sizes = default_sizes(1000)
    assert extrapolate(sizes, 3 + 70 / sizes) == pytest.approx(3, rel=1e-10)
    assert (sizes[0], sizes[-1]) == (250, 1000)
    np.testing.assert_allclose(np.diff(1 / sizes), -0.003 / 9, rtol=0.03)


def test_subsets_hold_no_example_twice_and_share_none(monkeypatch):
    calls = []

    def record(left, right):
        calls.append((left, right))
        return 0.0

    monkeypatch.setattr(module, 'frechet_distance', record)
    a = np.arange(10)[:, None]
    b = np.arange(10, 17)[:, None]
    bias_curve(np.random.default_rng(0), a, sizes=[2, 5])
    bias_curve(np.random.default_rng(0), a, b, sizes=[2, 7])
    assert [(len(left), len(right)) for left, right in calls] == [(2, 2), (5, 5), (2, 2), (7, 7)]
    for left, right in calls:
        assert len(np.unique([left, right])) == 2 * len(left)
    assert all((right >= 10).all() for _, right in calls[2:])


def test_what_cannot_be_measured_is_refused_in_one_line():
    a = np.ones((4, 3))
    with pytest.raises(ValueError, match='^moments of 3 and 2 features cannot be compared$'):
        frechet_distance(a, a[:, :2])
    with pytest.raises(ValueError, match='^4 and 1 examples; a covariance needs at least 2$'):
        frechet_distance(a, a[:1])
    with pytest.raises(ValueError, match=r'^features have shape \(4,\); a table'):
        moments(a[:, 0])
    with pytest.raises(ValueError, match=r'^features are not finite in columns \[1\]$'):
        moments(a * [[1, np.nan, 1]])
    with pytest.raises(
        ValueError,
        match=r'^sizes are \[2, 3\]; at least two different ones from 2 to 2 are wanted$',
    ):
        bias_curve(np.random.default_rng(0), a, sizes=[2, 3])
    with pytest.raises(ValueError, match=r'^sizes are \[3, 3\]; at least two different'):
        bias_curve(np.random.default_rng(0), a, a, sizes=[3, 3])
