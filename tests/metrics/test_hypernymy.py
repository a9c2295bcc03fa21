"""Scores of hypernymy."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from genjax.base import Embedding
from genjax.data.words import HYPER
from genjax.metrics.hypernymy import (
    choose_threshold,
    close_transitively,
    hypernymy_scores,
    precision_recall_f1,
)


@pytest.mark.parametrize('values', [5, 1000])  # with and without ties
def test_no_threshold_has_a_greater_f1(values):
    rng = np.random.default_rng(values)
    for _ in range(20):
        lengths = rng.integers(values, size=40).astype(np.float32)
        labels = rng.random(40) < 0.3
        labels[0] = True
        f1 = {delta: precision_recall_f1(lengths <= delta, labels).f1 for delta in lengths.tolist()}
        assert f1[choose_threshold(lengths, labels)] == max(f1.values())


def test_scores_are_those_of_scikit_learn():
    nothing = np.zeros(50, bool)
    everything = np.ones(50, bool)
    some, others = np.random.default_rng(5).random((2, 50)) < 0.4
    for called, labels in [
        (some, others),
        (nothing, some),
        (some, nothing),
        (everything, some),
        (some, some),
    ]:
        expected = (
            precision_score(labels, called, zero_division=0),
            recall_score(labels, called, zero_division=0),
            f1_score(labels, called, zero_division=0),
        )
        assert precision_recall_f1(called, labels) == pytest.approx(expected)


@pytest.mark.parametrize('density', [0.02, 0.06, 0.3])  # chains, circles, all in one circle
def test_closure_adds_what_links_reach_and_nothing_else(density):
    rng = np.random.default_rng(int(100 * density))
    pairs = np.argwhere(~np.eye(30, dtype=bool))
    called = rng.random(len(pairs)) < density
    links = np.zeros((30, 30), bool)
    links[tuple(pairs[called].T)] = True
    reached = links
    for _ in range(30):
        reached = links | (reached @ links)
    closed = close_transitively(pairs, called)
    np.testing.assert_array_equal(closed, reached[tuple(pairs.T)])
    assert closed.sum() > called.sum()
    # Only pairs that are asked for are given, whatever lies between them.
    np.testing.assert_array_equal(close_transitively(pairs[:0], called[:0]), [])


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match='none of 3 labels is true'):
        choose_threshold(np.arange(3.0), np.zeros(3))
    with pytest.raises(ValueError, match='train has 1 pairs, none of them hyper with vectors'):
        hypernymy_scores(Embedding(['a'], np.ones((1, 2), np.float32)), [('a', 'b', HYPER)], [], [])


def rotated_words():
    """Words on a circle with hypernyms 1 radian further on; half a radian more or less is wrong."""
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)

    def on_circle(a):
        return np.stack([np.cos(a), np.sin(a)], 1)

    words = [f'x{i}' for i in range(60)] + [f'y{i}' for i in range(60)]
    vectors = np.concatenate([3 * on_circle(angles), 7 * on_circle(angles + 1)]).astype(np.float32)
    pairs = [(f'x{i}', f'y{i}', HYPER) for i in range(60)]
    pairs += [(f'x{i}', f'y{(i + k) % 60}', f'off by {k}') for i in range(60) for k in (5, -5)]
    return Embedding(words, vectors), pairs


def test_one_projection_solves_what_no_simpler_model_can():
    embedding, pairs = rotated_words()
    train, dev, test = (pairs[start::3] for start in range(3))
    missing = [('x0', 'unheard', HYPER), ('x0', 'unheard', 'off by 5')]
    rows = hypernymy_scores(embedding, train, dev, [*test, *missing], clusters=(1, 2))
    by_model = {row['model']: row for row in rows}
    assert list(by_model) == [
        'everything',
        'hypernym alone',
        'cosine',
        'mean offset',
        '1 projection',
        '2 projections',
    ]
    assert {row['pairs'] for row in rows} == {60} and {row['coverage'] for row in rows} == {60 / 62}
    best = by_model['1 projection']
    assert best['dev f1'] == best['f1'] == 1
    assert best['called off by 5'] == best['called off by -5'] == 0
    assert by_model['everything']['f1'] == pytest.approx(0.5)
    assert by_model['everything']['called off by 5'] == 1
    assert all(by_model[name]['f1'] < 0.7 for name in ('hypernym alone', 'cosine', 'mean offset'))
