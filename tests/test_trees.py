"""A comparison that fails names the leaf by its path, with both values."""

import jax
import numpy as np
import pytest

from tests.trees import assert_trees_close, assert_trees_equal

TREE = {'params': {'bias': np.array([0.0, 1.0]), 'kernel': np.eye(2)}, 'step': np.int32(3)}


def changed(value):
    return TREE | {'params': {'bias': np.array([0.0, value]), 'kernel': np.eye(2)}}


def test_equal_trees_are_equal_nan_and_keys_included():
    tree = changed(np.nan) | {'key': jax.random.key(0)}
    assert_trees_equal(tree, tree)
    assert_trees_close(tree, tree)


@pytest.mark.parametrize('compare', [assert_trees_equal, assert_trees_close])
def test_the_first_leaf_that_differs_is_named_with_both_values(compare):
    message = r'^params/bias\[1\] is .*2\.5.*; expected .*1\.0.*; 1 of 2 values differ$'
    with pytest.raises(AssertionError, match=message):
        compare(changed(2.5), TREE)


def test_a_dtype_a_shape_and_a_missing_leaf_are_named():
    with pytest.raises(AssertionError, match='^step is int64; expected int32'):
        assert_trees_equal(TREE | {'step': np.int64(3)}, TREE)
    with pytest.raises(AssertionError, match=r'^step has shape \(1,\); expected \(\)'):
        assert_trees_close(TREE | {'step': np.int32([3])}, TREE)
    with pytest.raises(AssertionError, match="^leaves are .*'step'"):
        assert_trees_equal(TREE, {'params': TREE['params']})


def test_what_is_close_enough_passes_and_what_is_not_fails():
    assert_trees_close(changed(1.001), TREE, rtol=1e-2)
    with pytest.raises(AssertionError, match='rtol 0.0001'):
        assert_trees_close(changed(1.001), TREE, rtol=1e-4)
