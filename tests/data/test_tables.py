"""Rows of numbers as data."""

import numpy as np
import pytest

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


# (what is changed in X, by index -> value; options of table; the refusal)
REFUSED = [
    ({(4, 1): np.nan}, {}, 'x has nan in column 1, row 4; all entries must be finite'),
    ({(4, 1): 1e300}, {}, 'x has 1e+300 in column 1, row 4; all entries must be finite'),
    ({(..., 2): 5}, {}, 'column 2 of x is 5.0 in all 20 rows; leave it out, or allow it'),
    ({}, {'classes': 5}, 'class 4 has no examples; each of the 5 classes needs one'),
    ({}, {'classes': 3}, 'label has 3; with 3 classes it lies in 0 to 2'),
    ({}, {'batch': 21}, 'batch is 21; a set of 20 examples allows 1 to 20'),
    ({}, {'label': LABEL[:5]}, 'label has shape (5,); x has 20 rows'),
]


@pytest.mark.parametrize(('changes', 'options', 'message'), REFUSED)
def test_bad_rows_are_refused_in_one_line(changes, options, message):
    x = X.copy()
    for place, value in changes.items():
        x[place] = value
    with np.errstate(over='ignore'), pytest.raises(ValueError) as error:
        table(x, **{'label': LABEL, 'batch': 5, **options})
    assert str(error.value) == message


def test_a_constant_column_can_be_allowed():
    data = table(np.ones((6, 2)), batch=3, constant=True)
    assert data.train[0]['x'].shape == (3, 2)
