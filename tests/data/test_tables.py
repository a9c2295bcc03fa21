"""Rows of numbers as data, and sets derived from sets."""

import jax.numpy as jnp
import numpy as np
import pytest

from genjax.base import Data
from genjax.data.derived import binarized, derived, grey, stacked, vectors
from genjax.data.images.sets import images
from genjax.data.tables import table

X = np.random.default_rng(0).normal(size=(20, 3))
LABEL = np.arange(20) % 4


def test_all_rows_at_every_step_or_batches_that_visit_each_once():
    whole = table(X, LABEL, batch=None).train
    for step in (0, 7):
        np.testing.assert_array_equal(whole[step]['x'], X.astype(np.float32))
        np.testing.assert_array_equal(whole[step]['label'], LABEL)
    parts = table(X, LABEL, batch=5, seed=3).train
    epoch = np.concatenate([parts[i]['x'] for i in range(4)])
    assert not np.array_equal(epoch, X.astype(np.float32))
    np.testing.assert_array_equal(np.sort(epoch, 0), np.sort(X.astype(np.float32), 0))
    assert parts.fingerprint == whole.fingerprint != table(X, batch=None).train.fingerprint


def test_test_rows_are_cut_and_may_be_constant():
    data = table(X, batch=8, test={'x': np.ones((10, 3)), 'label': np.zeros(10)})
    assert [len(batch['x']) for batch in data.test] == [8, 2]
    assert data.test[0]['label'].dtype == np.int32


@pytest.mark.parametrize(
    ('change', 'options', 'message'),
    [
        (
            lambda x: x.__setitem__((4, 1), np.nan),
            {},
            'x has nan in column 1, row 4; all entries must be finite',
        ),
        (
            lambda x: x.__setitem__((4, 1), 1e300),
            {},
            'x has 1e+300 in column 1, row 4; all entries must be finite',
        ),
        (
            lambda x: x.__setitem__((..., 2), 5),
            {},
            'column 2 of x is 5.0 in all 20 rows; leave it out, or allow it',
        ),
        (
            lambda x: None,
            dict(classes=5),
            'class 4 has no examples; each of the 5 classes needs one',
        ),
        (lambda x: None, dict(classes=3), 'label has 3; with 3 classes it lies in 0 to 2'),
        (lambda x: None, dict(batch=21), 'batch is 21; a set of 20 examples allows 1 to 20'),
        (lambda x: None, dict(label=LABEL[:5]), 'label has shape (5,); x has 20 rows'),
    ],
)
def test_bad_rows_are_refused_in_one_line(change, options, message):
    x = X.copy()
    change(x)
    with np.errstate(over='ignore'), pytest.raises(ValueError) as error:
        table(x, **{'label': LABEL, 'batch': 5, **options})
    assert str(error.value) == message


def test_a_constant_column_can_be_allowed():
    data = table(np.ones((6, 2)), batch=3, constant=True)
    assert data.train[0]['x'].shape == (3, 2)


def test_a_derived_set_changes_every_batch_and_nothing_else():
    data = table(X, LABEL, batch=5, test={'x': X, 'label': LABEL})
    double = derived(data, lambda batch, step: {'x': 2 * batch['x'] + jnp.float32(step)})
    np.testing.assert_allclose(double.train[3]['x'], 2 * data.train[3]['x'] + 3)
    np.testing.assert_allclose(double.test[2]['x'], 2 * data.test[2]['x'] + 2)
    assert double.train.fingerprint == data.train.fingerprint


def test_images_become_grey_rows():
    pictures = images('digits', batch=50, seed=0, size=8)
    rows = vectors(pictures)
    np.testing.assert_allclose(rows.train[1]['x'], grey(pictures.train[1]['image']), atol=1e-6)
    assert (
        rows.train[1]['x'].shape == (50, 64)
        and rows.test[0]['x'].min() == 0
        and rows.test[0]['x'].max() == 1
    )
    np.testing.assert_array_equal(rows.train[1]['label'], pictures.train[1]['label'])


def test_binarised_images_are_drawn_anew_with_the_probability_of_their_grey_level():
    pictures = images('digits', batch=1500, seed=0, size=8)
    data = binarized(pictures, seed=0)
    first, again, second = (data.train[step]['x'] for step in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert set(np.unique(first)) == {0, 1} and not np.array_equal(first, second)
    p = np.asarray(grey(pictures.train[0]['image']))
    certain = (p == 0) | (p == 1)
    np.testing.assert_array_equal(np.asarray(first)[certain], p[certain])
    uncertain = np.asarray(first)[~certain] - p[~certain]
    assert (
        abs(uncertain.mean())
        < 4 * (p[~certain] * (1 - p[~certain])).mean() ** 0.5 / uncertain.size**0.5
    )
    tests = [binarized(pictures, seed=seed).test[0]['x'] for seed in (0, 0, 1)]
    assert np.array_equal(tests[0], tests[1]) and not np.array_equal(tests[0], tests[2])


def test_stacked_images_have_one_image_to_a_channel_and_a_label_of_three_digits():
    digits = images('digits', batch=50, seed=0, size=8)
    data = stacked(digits)
    batch, parts = data.train[2], [digits.train[i] for i in (6, 7, 8)]
    for i, (part, place) in enumerate(zip(parts, (100, 10, 1), strict=True)):
        np.testing.assert_array_equal(batch['x'][..., i], part['image'][..., 0])
        np.testing.assert_array_equal(batch['label'] // place % 10, part['label'])
    test = data.test[-1]
    np.testing.assert_array_equal(test['x'][0, ..., 2], digits.test[-1]['image'][2, ..., 0])
    label = digits.test[-1]['label']
    assert test['label'][-1] == 100 * label[-1] + 10 * label[0] + label[1]


def test_only_grey_images_can_be_stacked():
    with pytest.raises(
        ValueError, match='^images have 3 channels; only those of one can be stacked$'
    ):
        stacked(Data(None, [{'image': np.zeros((2, 4, 4, 3))}]))
