"""Pictures of what codes decode to, by their pixels."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from genjax.probes.decoded import interpolations, manifold, reconstructions, unit_images
from genjax.probes.figures import tile, to_pixels

KEY = jax.random.key(7)
STATE = jnp.float32(2.0)
VIEW = unit_images((2, 2, 1))  # x [N, 4]
X = np.random.default_rng(0).uniform(0, 1, (9, 4)).astype(np.float32)


def double(key, state, batch):
    return state * batch['x']  # a code that halve undoes


def halve(key, state, code):
    return code / state


def pixels_of(x):
    return to_pixels(VIEW(x))


def test_reconstructions_stand_under_their_originals():
    measure = reconstructions(double, halve, {'x': X}, view=VIEW, columns=4)
    order = [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7]  # the ninth fills no row
    expected = tile(pixels_of(X)[order], columns=4)
    np.testing.assert_array_equal(measure(KEY, STATE)['reconstructions'], expected)

    def invert(key, state, code):
        return 1 - code / state

    negative = reconstructions(double, invert, {'x': X[:3]}, view=VIEW)
    expected = tile(np.concatenate([pixels_of(X[:3]), pixels_of(1 - X[:3])]), columns=3)
    np.testing.assert_array_equal(negative(KEY, STATE)['reconstructions'], expected)


def test_corrupted_examples_stand_between_and_are_what_is_encoded():
    def fade(key, x):
        return 0.25 * x

    measure = reconstructions(double, halve, {'x': X[:4]}, view=VIEW, corrupt=fade)
    rows = [pixels_of(X[:4]), pixels_of(0.25 * X[:4]), pixels_of(0.25 * X[:4])]
    expected = tile(np.concatenate(rows), columns=4)
    np.testing.assert_array_equal(measure(KEY, STATE)['reconstructions'], expected)


def test_each_example_is_corrupted_by_its_own_key():
    def noise(key, x):
        return jax.random.uniform(key, x.shape)

    measure = reconstructions(double, halve, {'x': X[:4]}, view=VIEW, corrupt=noise)
    picture = measure(KEY, STATE)['reconstructions']
    tiles = picture[66:130].reshape(64, -1, 3)[:, :262]
    assert len({tiles[:, 66 * i : 66 * i + 64].tobytes() for i in range(4)}) == 4


def test_interpolations_run_straight_from_each_example_to_its_counterpart():
    measure = interpolations(double, halve, {'x': X}, view=VIEW, steps=3)
    lines = [(1 - w) * X[:4] + w * X[4:8] for w in (0, 0, 0.5, 1, 1)]
    expected = tile(pixels_of(np.stack(lines, 1).reshape(-1, 4)), columns=5)
    np.testing.assert_array_equal(measure(KEY, STATE)['interpolations'], expected)


def test_the_manifold_is_a_grid_of_normal_quantiles_that_grow_right_and_up():
    decoded = []

    def decode(key, state, code):
        decoded.append(np.asarray(code))
        return jnp.repeat(jax.scipy.stats.norm.cdf(code[:, :1]), 4, 1)

    picture = manifold(decode, view=VIEW, n=4)(KEY, STATE)['manifold']
    (codes,) = decoded
    quantiles = norm.cdf(codes).reshape(4, 4, 2)  # row by row from the top
    rightwards = np.tile([0.125, 0.375, 0.625, 0.875], (4, 1))
    downwards = np.tile([[0.875], [0.625], [0.375], [0.125]], (1, 4))
    np.testing.assert_allclose(quantiles[:, :, 0], rightwards, atol=1e-6)
    np.testing.assert_allclose(quantiles[:, :, 1], downwards, atol=1e-6)
    greys = picture[16, 16::34, 0]
    np.testing.assert_allclose(greys, 255 * quantiles[0, :, 0], atol=0.51)


def test_images_of_rows_of_grey_levels():
    images = unit_images((2, 1, 2))(np.array([[0, 0.25, 0.5, 1]], np.float32))
    np.testing.assert_array_equal(images, [[[[-1, -0.5]], [[0, 1]]]])
