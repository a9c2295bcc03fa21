"""Codes by their labels: accuracies where they are known, and pictures by their pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.metrics.code_accuracy import linear_accuracy
from genjax.probes.codes import code_accuracy, scatter, scatter_picture

KEY = jax.random.key(7)
DRAW = np.random.default_rng(0)
STATE = jnp.float32(2.0)
TAB10 = [(31, 119, 180), (255, 127, 14), (44, 160, 44)]


def rings(n):
    """Two classes in rings around one centre: codes [n, 2] and labels [n]."""
    label = np.arange(n) % 2
    angle = DRAW.uniform(0, 2 * np.pi, n)
    radius = 1 + label + 0.1 * DRAW.normal(size=n)
    codes = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
    return codes.astype(np.float32), label


def test_accuracies_take_every_batch_the_last_shorter_and_the_state():
    x, label = rings(300)
    batches = [{'x': x[i : i + 80], 'label': label[i : i + 80]} for i in range(0, 300, 80)]

    def radius(key, state, batch):
        return state * jnp.linalg.norm(batch['x'], axis=-1)[:, None, None]

    measure = code_accuracy(radius, batches[:2], batches[2:], k=3)
    codes = np.linalg.norm(x, axis=-1)[:, None]
    expected = linear_accuracy(codes[:160], label[:160], codes[160:], label[160:])
    values = measure(KEY, STATE)
    assert values['linear'] == pytest.approx(expected) and expected > 0.98
    assert values['nearest'] > 0.98
    assert measure(KEY, jnp.float32(0.0))['linear'] == 0.5  # where all codes are one


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
    x = DRAW.uniform(0, 1, (9, 4)).astype(np.float32)
    label = np.arange(9) % 3
    batches = [{'x': x[:6], 'label': label[:6]}, {'x': x[6:], 'label': label[6:]}]

    def encode(key, state, batch):
        return state * batch['x']

    picture = scatter(encode, batches)(KEY, STATE)['scatter']
    np.testing.assert_array_equal(picture, scatter_picture(2 * x, label))
