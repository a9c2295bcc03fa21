"""Moments of batches and of merged sets, against numpy in float64."""

import jax.numpy as jnp
import numpy as np
import pytest

from genjax.numerics.moments import mean_and_covariance, merge_moments
from genjax.numerics.products import gram

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 7)) @ RNG.normal(size=(7, 7)) + 3


@pytest.mark.parametrize('splits', [0, 1, 2])
def test_the_gram_matrix_is_the_product_and_symmetric(splits):
    found = gram(jnp.asarray(X, jnp.float32), splits)
    np.testing.assert_allclose(found, X.T @ X, rtol=1e-5)
    if splits:
        np.testing.assert_array_equal(found[4:, :3], found[:3, 4:].T)


@pytest.mark.parametrize('splits', [0, 2])
def test_moments_of_a_batch_are_numpys(splits):
    mean, covariance = mean_and_covariance(jnp.asarray(X, jnp.float32), splits)
    np.testing.assert_allclose(mean, X.mean(0), rtol=1e-5)
    np.testing.assert_allclose(covariance, np.cov(X.T, bias=True), rtol=1e-4, atol=1e-5)


def outer(scale, d):
    return scale * d[:, None] * d[None]


def test_merged_moments_are_those_of_both_sets():
    first = jnp.asarray(X[:13], jnp.float32)
    second = jnp.asarray(X[13:] - 5, jnp.float32)
    whole = np.concatenate([X[:13], X[13:] - 5])
    share = jnp.float32(47 / 60)
    mean, covariance = merge_moments(
        *mean_and_covariance(first), *mean_and_covariance(second), share, outer
    )
    np.testing.assert_allclose(mean, whole.mean(0), rtol=1e-5)
    np.testing.assert_allclose(covariance, np.cov(whole.T, bias=True), rtol=1e-4, atol=1e-5)


def test_a_share_too_small_for_float32_changes_nothing():
    mean, covariance = mean_and_covariance(jnp.asarray(X, jnp.float32))
    merged = merge_moments(mean, covariance, mean, 2 * covariance, jnp.float32(1e-10), outer)
    np.testing.assert_array_equal(merged[0], mean)
    np.testing.assert_array_equal(merged[1], covariance)
