"""Sets derived from sets."""

import jax.numpy as jnp
import numpy as np
import pytest

from genjax.base import Data
from genjax.data.derived import binarized, derived, grey, stacked, vectors
from genjax.data.images.sets import images
from genjax.data.tables import table


def test_a_derived_set_changes_every_batch_and_nothing_else():
    def function(batch, step):
        return {'x': 2 * batch['x'] + jnp.float32(step)}

    x = np.random.default_rng(0).normal(size=(20, 3))
    label = np.arange(20) % 4
    data = table(x, label, batch=5, test={'x': x, 'label': label})
    double = derived(data, function)
    np.testing.assert_allclose(double.train[3]['x'], 2 * data.train[3]['x'] + 3)
    np.testing.assert_allclose(double.test[2]['x'], 2 * data.test[2]['x'] + 2)
    assert double.train.fingerprint == data.train.fingerprint


def test_images_become_grey_rows():
    digits = images('digits', batch=50, seed=0, size=8)
    data = vectors(digits)
    rows = data.train[1]
    assert rows['x'].shape == (50, 64)
    np.testing.assert_allclose(rows['x'], grey(digits.train[1]['image']), atol=1e-6)
    np.testing.assert_array_equal(rows['label'], digits.train[1]['label'])
    assert data.test[0]['x'].min() == 0
    assert data.test[0]['x'].max() == 1


def test_binarised_images_are_drawn_anew_with_the_probability_of_their_grey_level():
    digits = images('digits', batch=1500, seed=0, size=8)
    data = binarized(digits, seed=0)
    first, again, second = (np.asarray(data.train[step]['x']) for step in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert set(np.unique(first)) == {0, 1}
    assert not np.array_equal(first, second)

    p = np.asarray(grey(digits.train[0]['image']))
    certain = (p == 0) | (p == 1)
    np.testing.assert_array_equal(first[certain], p[certain])
    p = p[~certain]
    difference = first[~certain] - p
    assert abs(difference.mean()) < 4 * (p * (1 - p)).mean() ** 0.5 / p.size**0.5

    test, same, other = (binarized(digits, seed=seed).test[0]['x'] for seed in (0, 0, 1))
    assert np.array_equal(test, same)
    assert not np.array_equal(test, other)


def test_stacked_images_have_one_image_to_a_channel_and_a_label_of_three_digits():
    digits = images('digits', batch=50, seed=0, size=8)
    data = stacked(digits)
    batch = data.train[2]
    for channel, place in enumerate((100, 10, 1)):
        single = digits.train[6 + channel]
        np.testing.assert_array_equal(batch['x'][..., channel], single['image'][..., 0])
        np.testing.assert_array_equal(batch['label'] // place % 10, single['label'])
    test = data.test[-1]
    single = digits.test[-1]
    label = single['label']
    np.testing.assert_array_equal(test['x'][0, ..., 2], single['image'][2, ..., 0])
    assert test['label'][-1] == 100 * label[-1] + 10 * label[0] + label[1]


def test_only_grey_images_can_be_stacked():
    refusal = '^images have 3 channels; only those of one can be stacked$'
    with pytest.raises(ValueError, match=refusal):
        stacked(Data(None, [{'image': np.zeros((2, 4, 4, 3))}]))
