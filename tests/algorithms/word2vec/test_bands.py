"""Products and sums over bands, against what they are defined as."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.algorithms.word2vec.bands import (
    band_means,
    band_products,
    band_scatter,
    band_sums,
    offsets,
)
from tests.trees import assert_trees_close

B, T, W, D = 3, 7, 2, 5


def normal(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


def products_by_definition(centres, places):
    t = jnp.arange(T)
    return jnp.stack([jnp.sum(centres * places[:, t + W + o], -1) for o in offsets(W)])


def test_products_are_those_of_each_centre_with_its_neighbours():
    centres = normal(B, T, D)
    places = normal(B, T + 2 * W, D, seed=1)
    np.testing.assert_allclose(
        band_products(centres, places),
        products_by_definition(centres, places),
        rtol=1e-5,
        atol=1e-5,
    )


def test_the_gradient_of_the_products_is_autodiffs():
    centres = normal(B, T, D)
    places = normal(B, T + 2 * W, D, seed=1)
    weights = normal(2 * W, B, T, seed=2)

    def gradient(products):
        def loss(centres, places):
            return jnp.sum(weights * products(centres, places) ** 2)

        return jax.grad(loss, (0, 1))(centres, places)

    expected = gradient(products_by_definition)
    assert_trees_close(gradient(band_products), expected, rtol=1e-4, atol=1e-4)


def test_scatter_is_the_transpose_of_sums():
    band = normal(2 * W, B, T)
    places = normal(B, T + 2 * W, D, seed=1)
    centres = normal(B, T, D, seed=2)
    transpose = jax.linear_transpose(lambda places: band_sums(band, places), places)
    np.testing.assert_allclose(
        band_scatter(band, centres), transpose(centres)[0], rtol=1e-5, atol=1e-5
    )


def test_means_are_means_and_give_each_neighbour_the_whole_error():
    mask = (normal(2 * W, B, T) > 0).astype(jnp.float32)
    places = normal(B, T + 2 * W, D, seed=1)
    numbers = np.asarray(mask.sum(0))
    means = band_means(mask, places)
    for b, t in np.ndindex(B, T):
        rows = [places[b, t + W + o] for o, row in zip(offsets(W), mask, strict=True) if row[b, t]]
        expected = np.mean(rows, 0) if rows else np.zeros(D)
        np.testing.assert_allclose(means[b, t], expected, rtol=1e-5, atol=1e-6)

    error = normal(B, T, D, seed=2)

    def weighted_error(places):
        weights = jnp.maximum(numbers, 1)[..., None]
        return jnp.sum(error * weights * band_means.__wrapped__(mask, places))

    def whole_error(places):
        return jnp.sum(error * band_means(mask, places))

    np.testing.assert_allclose(
        jax.grad(whole_error)(places), jax.grad(weighted_error)(places), rtol=1e-4, atol=1e-5
    )
