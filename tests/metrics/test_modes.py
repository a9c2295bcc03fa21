"""Modes, class shares and the classifier score: closed forms."""

import numpy as np
import pytest

from genjax.metrics.frechet import default_sizes
from genjax.metrics.modes import (
    class_shares,
    classifier_score,
    entropy,
    extremes,
    modes,
    score_limit,
    stacked_labels,
)


def test_shares_of_classes():
    shares = class_shares([0, 2, 2, 3], 4)
    np.testing.assert_array_equal(shares, [0.25, 0, 0.5, 0.25])
    assert extremes(shares) == (0, 2)
    assert entropy(shares) == pytest.approx(1.5 * np.log(2))
    assert entropy(np.full(7, 1 / 7)) == pytest.approx(np.log(7))
    assert extremes(class_shares(np.arange(10), 10)) == pytest.approx((1, 1))


def test_three_digits_are_one_of_a_thousand_modes():
    digits = np.stack(np.meshgrid(*[np.arange(10)] * 3, indexing='ij'), -1).reshape(-1, 3)
    np.testing.assert_array_equal(stacked_labels(digits), np.arange(1000))
    assert modes(stacked_labels(digits), 1000) == (1000, pytest.approx(0, abs=1e-12))
    assert modes(stacked_labels(digits[:250]), 1000) == (250, pytest.approx(np.log(4)))
    assert modes([7] * 50, 1000) == (1, pytest.approx(np.log(1000)))


def test_the_divergence_from_other_shares():
    found = modes([0, 1, 1, 1], 3, np.array([0.5, 0.25, 0.25]))
    assert found == (2, pytest.approx(0.25 * np.log(0.5) + 0.75 * np.log(3)))
    assert modes([0, 1], 2, np.array([1.0, 0.0])).kl == np.inf


def test_the_divergence_of_few_perfect_examples_is_as_said():
    draw = np.random.default_rng(0)
    found = [modes(draw.integers(0, 10, 1000), 10).kl for _ in range(400)]
    assert np.mean(found) == pytest.approx(9 / 2000, abs=4 * np.std(found) / 20)


def test_a_score_of_one_for_saying_nothing_and_of_k_for_sure_and_even_classes():
    assert classifier_score(np.zeros((100, 7))) == (pytest.approx(1), pytest.approx(0, abs=1e-12))
    one_hot = 1000.0 * np.tile(np.eye(5), (20, 1))
    assert classifier_score(one_hot) == (pytest.approx(5), pytest.approx(0, abs=1e-12))
    # Sure, but of one class in every half: over both splits apart 1, over all 2.
    halves = 1000.0 * np.repeat(np.eye(2), 50, 0)
    assert classifier_score(halves, splits=2).mean == pytest.approx(1)
    assert classifier_score(halves, splits=1).mean == pytest.approx(2)


def test_the_score_is_the_mutual_information():
    """By entropies, H(mean p) - mean H(p), of three splits of unequal lengths."""
    logits = np.random.default_rng(1).normal(size=(20, 4)) * 3
    p = np.exp(logits) / np.exp(logits).sum(1)[:, None]
    parts = [p[:6], p[6:13], p[13:]]
    expected = [np.exp(entropy(q.mean(0)) - np.mean([entropy(row) for row in q])) for q in parts]
    assert classifier_score(logits, splits=3) == (
        pytest.approx(np.mean(expected)),
        pytest.approx(np.std(expected)),
    )


def test_the_limit_of_a_score_takes_the_bias_of_few_examples_away():
    """Sure of one of 50 even classes: 50 is the truth, and n examples reach about exp(ln 50 - 49 /
    2n)."""
    draw, sizes = np.random.default_rng(2), default_sizes(1000)
    sets = [1000.0 * np.eye(50)[draw.integers(0, 50, 1000)] for _ in range(30)]
    whole = np.mean([classifier_score(logits, splits=1).mean for logits in sets])
    limit = np.mean([score_limit(draw, logits, sizes=sizes) for logits in sets])
    assert whole == pytest.approx(50 * np.exp(-49 / 2000), abs=0.2)
    assert limit == pytest.approx(50, abs=0.4)


def test_what_cannot_be_measured_is_refused_in_one_line():
    with pytest.raises(ValueError, match='^labels are 0 to 3; some from 0 to 2 are wanted$'):
        class_shares([0, 3], 3)
    with pytest.raises(ValueError, match='^labels are -1 to 1; some'):
        modes([1, -1], 3)
    with pytest.raises(ValueError, match='^labels are none; some'):
        class_shares([], 3)
    with pytest.raises(ValueError, match='^splits is 10; 4 examples'):
        classifier_score(np.zeros((4, 2)))
