"""Accuracies of codes where they are known, and pictures by their pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from genjax.metrics.code_accuracy import linear_accuracy, neighbour_accuracy
from genjax.probes.codes import code_accuracy, scatter, scatter_picture
from genjax.probes.decoded import interpolations, manifold, reconstructions, unit_images
from genjax.probes.figures import tile, to_pixels

KEY = jax.random.key(7)
DRAW = np.random.default_rng(0)
VIEW = unit_images((2, 2, 1))  # x [N, 4]
X = DRAW.uniform(0, 1, (9, 4)).astype(np.float32)

double = lambda key, state, batch: state * batch['x']  # a code that halve undoes
halve = lambda key, state, code: code / state
STATE = jnp.float32(2.0)


def rings(n):
    """Two classes in rings around one centre: no line parts them, and neighbours do."""
    label = np.arange(n) % 2
    angle = DRAW.uniform(0, 2 * np.pi, n)
    radius = 1 + label + 0.1 * DRAW.normal(size=n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).astype(np.float32), label


def test_neighbours_tell_rings_apart_and_a_line_does_not():
    known, asked = rings(400), rings(200)
    assert neighbour_accuracy(*known, *asked, k=5) > 0.98
    assert 0.3 < linear_accuracy(*known, *asked) < 0.7


def test_a_line_finds_the_bayes_accuracy_of_two_normal_classes_however_scaled():
    """Means a distance d apart, variance 1: Phi(d / 2) of the examples can be told."""
    label = np.arange(4000) % 2
    codes = DRAW.normal(size=(4000, 3)) + 2.0 * label[:, None] * np.array([[1, 0, 0]])
    codes = codes * np.array([[1e-4, 1.0, 1e4]]) + np.array([[5, 0, 0]])
    codes = np.concatenate([codes, np.full((4000, 1), 3.0)], 1)  # and an entry that says nothing
    found = linear_accuracy(codes[:2000], label[:2000], codes[2000:], label[2000:])
    assert found == pytest.approx(norm.cdf(1), abs=4 * np.sqrt(norm.cdf(1) * norm.cdf(-1) / 2000))


def test_neighbours_vote():
    """The nearest is of class 1, two of the three nearest of class 0."""
    codes, label = np.array([[0.1], [0.2], [-0.3], [9.0]]), np.array([1, 0, 0, 1])
    accuracy = lambda k: neighbour_accuracy(codes, label, np.zeros((1, 1)), np.array([0]), k=k)
    assert (accuracy(1), accuracy(3)) == (0.0, 1.0)


def test_accuracies_take_every_batch_the_last_shorter_and_the_state():
    x, label = rings(300)
    batches = [{'x': x[i : i + 80], 'label': label[i : i + 80]} for i in range(0, 300, 80)]
    radius = lambda key, state, batch: state * jnp.linalg.norm(batch['x'], axis=-1)[:, None, None]
    measure = code_accuracy(radius, batches[:2], batches[2:], k=3)
    codes = np.linalg.norm(x, axis=-1)[:, None]
    expected = linear_accuracy(codes[:160], label[:160], codes[160:], label[160:])
    seen = measure(KEY, STATE)
    assert seen['linear'] == pytest.approx(expected) and expected > 0.98
    assert seen['nearest'] > 0.98
    assert measure(KEY, jnp.float32(0.0))['linear'] == 0.5  # where all codes are one


def test_reconstructions_stand_under_their_originals():
    measure = reconstructions(double, halve, {'x': X}, view=VIEW, columns=4)
    pixels = to_pixels(VIEW(X))
    order = [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7]  # the ninth fills no row
    np.testing.assert_array_equal(
        measure(KEY, STATE)['reconstructions'], tile(pixels[order], columns=4)
    )
    negative = reconstructions(
        double, lambda key, state, code: 1 - code / state, {'x': X[:3]}, view=VIEW
    )
    expected = tile(np.concatenate([pixels[:3], to_pixels(VIEW(1 - X[:3]))]), columns=3)
    np.testing.assert_array_equal(negative(KEY, STATE)['reconstructions'], expected)


def test_what_was_corrupted_stands_between_and_is_what_is_encoded():
    fade = lambda key, x: 0.25 * x
    picture = reconstructions(double, halve, {'x': X[:4]}, view=VIEW, corrupt=fade)(KEY, STATE)[
        'reconstructions'
    ]
    rows = [to_pixels(VIEW(x)) for x in (X[:4], 0.25 * X[:4], 0.25 * X[:4])]
    np.testing.assert_array_equal(picture, tile(np.concatenate(rows), columns=4))
    noise = lambda key, x: jax.random.uniform(key, x.shape)
    noisy = reconstructions(double, halve, {'x': X[:4]}, view=VIEW, corrupt=noise)(KEY, STATE)[
        'reconstructions'
    ]
    tiles = noisy[66:130].reshape(64, -1, 3)[:, :262]
    assert (
        len({tiles[:, 66 * i : 66 * i + 64].tobytes() for i in range(4)}) == 4
    )  # each by its own key


def test_interpolations_run_straight_from_each_example_to_its_counterpart():
    picture = interpolations(double, halve, {'x': X}, view=VIEW, steps=3)(KEY, STATE)[
        'interpolations'
    ]
    between = [(1 - w) * X[:4] + w * X[4:8] for w in (0, 0, 0.5, 1, 1)]
    expected = tile(to_pixels(VIEW(np.stack(between, 1).reshape(-1, 4))), columns=5)
    np.testing.assert_array_equal(picture, expected)


def test_the_manifold_is_a_grid_of_normal_quantiles_that_grow_right_and_up():
    codes = []
    decode = lambda key, state, code: (
        codes.append(np.asarray(code)) or jnp.repeat(norm_cdf(code[:, :1]), 4, 1)
    )
    norm_cdf = jax.scipy.stats.norm.cdf
    picture = manifold(decode, view=VIEW, n=4)(KEY, STATE)['manifold']
    (codes,) = codes
    places = norm.cdf(codes).reshape(4, 4, 2)  # row by row from the top
    np.testing.assert_allclose(
        places[:, :, 0], np.tile([0.125, 0.375, 0.625, 0.875], (4, 1)), atol=1e-6
    )
    np.testing.assert_allclose(
        places[:, :, 1], np.tile([[0.875], [0.625], [0.375], [0.125]], (1, 4)), atol=1e-6
    )
    greys = picture[16, 16::34, 0]
    np.testing.assert_allclose(greys, 255 * places[0, :, 0], atol=0.51)


TAB10 = [(31, 119, 180), (255, 127, 14), (44, 160, 44)]


def area(picture, colour):
    return (np.abs(picture.astype(int) - colour).max(-1) <= 3).sum()


def test_a_scatter_shows_each_class_in_its_colour_and_names_it():
    codes = DRAW.normal(size=(300, 2)) + np.repeat([[0, 0], [9, 0], [0, 9]], 100, 0)
    label = np.repeat([0, 1, 2], 100)
    picture = scatter_picture(codes, label)
    assert picture.dtype == np.uint8 and picture.shape == (600, 800, 3)
    without = scatter_picture(codes[label != 1], label[label != 1])
    # Where the third class lies, upper left in both, its colour is the third's, or the second's of
    # two.
    blended = [np.rint(0.7 * np.array(colour) + 0.3 * 255).astype(int) for colour in TAB10]
    assert all(area(picture, colour) > 300 for colour in blended)
    assert area(without, blended[0]) > 300 and area(without, blended[2]) < 30


def test_longer_codes_are_shown_at_their_principal_components():
    codes = DRAW.normal(size=(50, 6)) * np.array([5, 3, 1, 0.1, 0.1, 0.1])
    turned, _ = np.linalg.qr(DRAW.normal(size=(6, 6)))
    label = np.arange(50) % 12  # more classes than the ten colours made to be told apart
    np.testing.assert_array_equal(
        scatter_picture(codes @ turned, label), scatter_picture(codes, label)
    )


def test_the_measure_of_a_scatter_is_of_the_codes_of_all_batches():
    label = np.arange(9) % 3
    batches = [{'x': X[:6], 'label': label[:6]}, {'x': X[6:], 'label': label[6:]}]
    picture = scatter(double, batches)(KEY, STATE)['scatter']
    np.testing.assert_array_equal(picture, scatter_picture(2 * X, label))


def test_images_of_rows_of_grey_levels():
    images = unit_images((2, 1, 2))(np.array([[0, 0.25, 0.5, 1]], np.float32))
    np.testing.assert_array_equal(images, [[[[-1, -0.5]], [[0, 1]]]])
