"""Trees compared leaf by leaf: what differs first is named by its path, with both values."""

from typing import Any

import jax
import numpy as np


def assert_trees_equal(actual: Any, expected: Any) -> None:
    """Sees that two trees have the same structure, and each leaf the same dtype, shape and bits."""
    for path, a, b in _pairs(actual, expected):
        assert a.dtype == b.dtype, f'{path} is {a.dtype}; expected {b.dtype}'
        assert a.shape == b.shape, f'{path} has shape {a.shape}; expected {b.shape}'
        same = (a == b) | ((a != a) & (b != b))  # a NaN is equal to a NaN
        _assert_all(same, path, a, b)


def assert_trees_close(actual: Any, expected: Any, *, rtol: float = 0.0, atol: float = 0.0) -> None:
    """Sees that two trees have the same structure and shapes and close values.

    All of them are to have |a - b| <= atol + rtol |b|.
    """
    for path, a, b in _pairs(actual, expected):
        assert a.shape == b.shape, f'{path} has shape {a.shape}; expected {b.shape}'
        close = np.isclose(
            np.asarray(a, np.float64), np.asarray(b, np.float64), rtol, atol, equal_nan=True
        )
        _assert_all(close, path, a, b, f', rtol {rtol}, atol {atol}')


def assert_trees_close_in_norm(actual: Any, expected: Any, rtol: float) -> None:
    """Sees that two trees have the same structure and shapes, and each leaf |a - b| <= rtol |b|.

    Norms are those of whole leaves: single entries near zero carry no digits.
    """
    for path, a, b in _pairs(actual, expected):
        assert a.shape == b.shape, f'{path} has shape {a.shape}; expected {b.shape}'
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        apart, norm = np.linalg.norm(a - b), np.linalg.norm(b)
        assert apart <= rtol * norm, (
            f'{path} is {apart:.3g} apart in a norm of {norm:.3g}: {a}, {b}'
        )


def _pairs(actual, expected):
    """(path, leaf, leaf) of two trees as numpy arrays."""
    named = jax.tree.leaves_with_path(actual)
    wanted = jax.tree.leaves_with_path(expected)
    paths = [_name(path) for path, _ in named]
    expected_paths = [_name(path) for path, _ in wanted]
    assert paths == expected_paths, f'leaves are {paths}; expected {expected_paths}'
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for path, (_, a), (_, b) in zip(paths, named, wanted, strict=True):
        yield path, _array(a), _array(b)


def _name(path):
    return jax.tree_util.keystr(path, simple=True, separator='/') or 'the tree'


def _array(leaf):
    is_key = isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


def _assert_all(same, path, a, b, how=''):
    if same.all():
        return
    place = tuple(int(i[0]) for i in np.nonzero(~np.atleast_1d(same)))
    first = place if same.ndim else ()
    count = int((~same).sum())
    raise AssertionError(
        f'{path}{list(first) if first else ""} is {a[first]!r}; expected {b[first]!r}{how}; '
        f'{count} of {same.size} values differ'
    )
