"""Randomised singular value decompositions against numpy's in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from genjax.numerics.svd import oriented, randomised_svd

KEY = jax.random.key(0)


@pytest.mark.parametrize('shape', [(80, 30), (30, 80)])
def test_truncated_svd_equals_float64(shape):
    rng = np.random.default_rng(0)
    rows, columns = shape
    left = rng.normal(size=(rows, 25)) * 1.3 ** -np.arange(25)
    x = (left @ rng.normal(size=(25, columns))).astype(np.float32)
    u, sigma, vt = randomised_svd(KEY, jnp.asarray(x), 5)
    left, values, right = np.linalg.svd(x.astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(sigma, values[:5], rtol=1e-5)
    assert scipy.linalg.subspace_angles(np.float64(vt).T, right[:5].T).max() < 1e-3
    assert scipy.linalg.subspace_angles(np.float64(u), left[:, :5]).max() < 1e-3
    np.testing.assert_allclose(u.T @ u, np.eye(5), atol=1e-5)
    best = np.linalg.norm(values[5:])
    assert np.linalg.norm(x - (u * sigma[None]) @ vt) == pytest.approx(best, rel=1e-4)
    assert np.all(np.take_along_axis(np.asarray(vt), np.abs(vt).argmax(1)[:, None], 1) > 0)


def test_iterations_find_the_directions_of_a_flat_spectrum():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(200, 100)) * 1.02 ** -np.arange(100), jnp.float32)
    truth = np.linalg.svd(np.float64(x), compute_uv=False)[:5].sum()

    def lost(iterations):
        _, sigma, _ = randomised_svd(KEY, x, 5, iterations=iterations)
        return 1 - float(jnp.sum(sigma) / truth)

    assert lost(0) > 0.1
    assert lost(2) < 0.01
    assert abs(lost(8)) < 1e-4


def test_a_direction_is_turned_by_the_first_of_its_largest_entries():
    directions = jnp.array([[1.0, -3.0], [-2.0, 2.0], [2.0, -2.0], [0.0, 0.0]])
    expected = [[-1, 3], [2, -2], [2, -2], [0, 0]]
    np.testing.assert_array_equal(oriented(directions), expected)


def test_what_cannot_be_is_refused_in_one_line():
    with pytest.raises(ValueError, match='^rank is 6; 5 rows of 64 columns allow 1 to 5$'):
        randomised_svd(KEY, jnp.ones((5, 64)), 6)
    message = '^oversampling is -1, iterations 4; both must be at least 0$'
    with pytest.raises(ValueError, match=message):
        randomised_svd(KEY, jnp.ones((5, 64)), 2, oversampling=-1)
