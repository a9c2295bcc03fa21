"""Labels and augmentation labels by their formulas."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.conditions import Conditions

FEATURES = jax.random.normal(jax.random.key(0), (5, 6))
LABEL = jnp.array([0, 2, 3, 1, 3])  # of three classes; 3 is none
DONE = jax.random.normal(jax.random.key(1), (5, 4))


def test_they_add_rows_of_the_label_times_the_root_and_a_product_of_the_augmentation():
    layer = Conditions(classes=3, augmentation_labels=4)
    params = layer.init(jax.random.key(2), FEATURES, LABEL, DONE)
    rows = np.asarray(params['params']['label']['kernel'])  # [3, 6]
    matrix = np.asarray(params['params']['augmentation']['kernel'])  # [4, 6]
    assert jax.tree.map(np.shape, params['params']) == {
        'label': {'kernel': (3, 6)},
        'augmentation': {'kernel': (4, 6)},
    }
    of_label = np.concatenate([np.sqrt(3) * rows, np.zeros((1, 6))])[LABEL]
    expected = FEATURES + of_label + DONE @ matrix
    np.testing.assert_allclose(layer.apply(params, FEATURES, LABEL, DONE), expected, rtol=1e-5)
    # Nothing is said by the label after the last and by no augmentation.
    silent = layer.apply(params, FEATURES, jnp.full(5, 3))
    np.testing.assert_array_equal(silent, FEATURES)


def test_a_duration_adds_a_product_of_its_features_and_a_layer_of_its_own():
    plain = Conditions(classes=3)
    layer = Conditions(classes=3, duration=True)
    params = layer.init(jax.random.key(2), FEATURES, LABEL, None, -FEATURES)
    matrix = np.asarray(params['params']['duration']['kernel'])  # [6, 6]
    without = plain.init(jax.random.key(2), FEATURES, LABEL)
    assert jax.tree.map(np.shape, without['params']) == {'label': {'kernel': (3, 6)}}
    np.testing.assert_array_equal(
        without['params']['label']['kernel'], params['params']['label']['kernel']
    )
    np.testing.assert_allclose(
        layer.apply(params, FEATURES, LABEL, None, -FEATURES),
        plain.apply(without, FEATURES, LABEL) - FEATURES @ matrix,
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_duration_is_given_exactly_where_there_is_one():
    for has_one, features in ((True, None), (False, FEATURES)):
        with pytest.raises(ValueError, match=f'^duration is {has_one}; its features are'):
            Conditions(duration=has_one).init(jax.random.key(2), FEATURES, duration=features)


def test_without_conditions_there_are_no_parameters_and_nothing_changes():
    layer = Conditions()
    params = layer.init(jax.random.key(2), FEATURES)
    assert not jax.tree.leaves(params)
    np.testing.assert_array_equal(layer.apply(params, FEATURES), FEATURES)


@pytest.mark.parametrize(
    ('fields', 'label', 'augmentation', 'message'),
    [
        (dict(classes=0), LABEL, None, 'classes is 0; at least 1 is needed, or None'),
        (dict(classes=3), None, None, 'classes is 3; labels are missing'),
        (dict(), LABEL, None, 'classes is None; labels are given'),
        (dict(classes=3), LABEL[:4], None, 'label has shape (4,); [5] is needed'),
        (dict(augmentation_labels=-1), None, None, 'augmentation_labels is -1'),
        (dict(), None, DONE, 'augmentation_labels is 0; an augmentation of shape (5, 4) is given'),
        (
            dict(augmentation_labels=3),
            None,
            DONE,
            'augmentation_labels is 3; an augmentation of shape (5, 4) is given',
        ),
    ],
)
def test_misfits_are_refused_in_one_line(fields, label, augmentation, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        Conditions(**fields).init(jax.random.key(2), FEATURES, label, augmentation)
    assert '\n' not in str(error.value)
