"""Scores carry how they were made, and only like is compared with like."""

import numpy as np
import pytest

from genjax.metrics.protocol import (
    Protocol,
    Score,
    difference,
    from_json,
    score_name,
    to_json,
    weights_digest,
)

PROTOCOL = Protocol('InceptionV3', 'ab' * 8, 'none', 100, 50, 'test', 'decay 0.9', (0, 1))

OTHERS = Protocol('other', 'cd' * 8, 'bilinear', 101, 51, 'train', 'none', (0,))

SCORES = [Score('FID', 3.25, PROTOCOL, None, 1.0), Score('KID', 0.001, PROTOCOL, 0.0002, 0.001)]


@pytest.mark.parametrize('field', Protocol._fields)
def test_scores_made_otherwise_are_not_compared(field):
    left, right = getattr(PROTOCOL, field), getattr(OTHERS, field)
    other = Score('FID', 1.0, PROTOCOL._replace(**{field: right}))
    with pytest.raises(ValueError) as error:
        difference(SCORES[0], other)
    assert (
        str(error.value) == f'scores of unlike {field}, {left!r} and {right!r}, cannot be compared'
    )


def test_scores_made_alike_are():
    assert difference(SCORES[0], Score('FID', 1.0, PROTOCOL)) == 2.25
    with pytest.raises(
        ValueError, match="^scores of unlike name, 'FID' and 'KID', cannot be compared$"
    ):
        difference(*SCORES)


def test_scores_kept_next_to_a_run_come_back_the_same():
    text = to_json(SCORES)
    assert from_json(text) == SCORES
    assert difference(from_json(text)[1], SCORES[1]) == 0


def test_only_inceptions_scores_have_their_names():
    names = 'Frechet distance', 'kernel distance', 'classifier score', 'precision'
    assert [score_name(name, 'InceptionV3') for name in names] == ['FID', 'KID', 'IS', 'precision']
    assert [score_name(name, 'digits classifier') for name in names] == [
        f'{name} (digits classifier)' for name in names
    ]


def test_a_digest_tells_weights_apart():
    weights = {'a': np.arange(6.0), 'b': [np.ones(2, np.float32)]}
    changed = [
        weights | {'a': np.arange(6.0) + 1e-12},
        weights | {'a': np.arange(6.0).reshape(2, 3)},
        weights | {'b': [np.ones(2)]},
        {'a': weights['a'], 'c': weights['b']},
    ]
    found = {weights_digest(each) for each in [weights, *changed]}
    assert len(found) == 5 and all(len(each) == 16 and int(each, 16) >= 0 for each in found)
    assert weights_digest({'b': weights['b'], 'a': weights['a'].copy()}) == weights_digest(weights)


def test_the_digest_of_a_network_depends_on_every_value_name_and_shape():
    x = np.arange(4, dtype=np.float32)
    base = {'params': {'a': x, 'b': x}, 'batch_stats': {'c': x}}
    others = [
        {'params': {'a': x, 'b': x + np.float32(1e-6)}, 'batch_stats': {'c': x}},
        {'params': {'a': x, 'd': x}, 'batch_stats': {'c': x}},
        {'params': {'a': x, 'b': x.reshape(2, 2)}, 'batch_stats': {'c': x}},
    ]
    digests = {weights_digest(variables) for variables in [base, *others]}
    assert len(digests) == 4 and all(len(d) == 16 and int(d, 16) for d in digests)
    reordered = {'batch_stats': {'c': x}, 'params': {'b': x, 'a': x}}
    assert weights_digest(reordered) == weights_digest(base)
