"""Random geometry: the identity to the bit, numpy's flips and shifts, a smooth image turned."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data.images.geometry import (
    Geometry,
    apply_geometry,
    augment_geometry,
    draw_geometry,
    label_of,
)

KEYS = jax.random.split(jax.random.key(0), 4000)
IMAGE = jax.random.uniform(jax.random.key(9), (8, 8, 3), minval=-1.0)
NAMES = Geometry._fields


def geometry(**entries):
    """Nothing but these is done."""
    nothing = dict.fromkeys(NAMES, jnp.float32(0)) | {'translation': jnp.zeros(2)}
    flips = dict(x_flip=jnp.bool_(False), y_flip=jnp.bool_(False))
    return Geometry(**(nothing | flips | {name: jnp.asarray(x) for name, x in entries.items()}))


@jax.jit
def apply(image, **entries):
    return apply_geometry(geometry(**entries), image)


def test_with_probability_0_nothing_is_done_and_the_label_is_0():
    augment = jax.jit(jax.vmap(partial(augment_geometry, p=0.0), (0, None)))
    images, labels = augment(KEYS[:50], IMAGE)
    np.testing.assert_array_equal(images, np.broadcast_to(IMAGE, images.shape))
    np.testing.assert_array_equal(labels, np.zeros((50, 9)))


def test_an_image_stays_to_the_bit_exactly_where_its_label_is_0():
    augment = jax.jit(jax.vmap(partial(augment_geometry, p=0.12), (0, None)))
    images, labels = augment(KEYS[:500], IMAGE)
    untouched = np.all(np.asarray(labels) == 0, 1)
    same = np.all(np.asarray(images) == np.asarray(IMAGE)[None], (1, 2, 3))
    np.testing.assert_array_equal(same, untouched)
    expected = 0.5 * (1 - 0.06) * (1 - 0.12) ** 4
    assert abs(untouched.mean() - expected) < 4.5 * np.sqrt(expected * (1 - expected) / 500)


def test_flips_move_pixels():
    np.testing.assert_array_equal(apply(IMAGE, x_flip=True), IMAGE[:, ::-1])
    np.testing.assert_array_equal(apply(IMAGE, y_flip=True), IMAGE[::-1])
    np.testing.assert_array_equal(apply(IMAGE, x_flip=True, y_flip=True), IMAGE[::-1, ::-1])


def test_quarter_turns_are_anticlockwise():
    for turns in (1, 2, -1):
        turned = apply(IMAGE, rotation=turns * np.float32(np.pi / 2))
        np.testing.assert_allclose(turned, np.rot90(IMAGE, turns), atol=1e-5)


@pytest.mark.parametrize(('right', 'down'), [(1, 0), (0, 2), (-3, 1), (9, -11)])
def test_translations_by_whole_pixels_bring_in_the_mirror_image(right, down):
    image = jax.random.uniform(jax.random.key(3), (8, 16, 2))
    wide = np.pad(image, ((12, 12), (12, 12), (0, 0)), mode='reflect')
    expected = wide[12 - down : 20 - down, 12 - right : 28 - right]
    steps = jnp.array([right / 16, down / 8]) * 8  # in eighths of the sides
    np.testing.assert_allclose(apply(image, translation=steps), expected, atol=1e-5)


def wave(x, y):
    """A smooth image of a long wave in some direction, at points in pixels from the centre."""
    return np.cos(0.31 * x + 0.17 * y + 0.4) + 0.5 * np.sin(0.12 * x - 0.33 * y)


@pytest.mark.parametrize('case', ['scale', 'rotation', 'stretch', 'all'])
def test_a_smooth_image_is_its_formula_at_the_points_it_comes_from(case):
    """The formula is written in complex numbers, with y up: z e^(i a) is z turned by a."""
    entries = {
        'scale': dict(scale=1.5),
        'rotation': dict(rotation=0.7),
        'stretch': dict(stretch=-1.2, axis=0.5),
        'all': dict(scale=1.5, rotation=0.7, stretch=-1.2, axis=0.5, translation=[0.4, -0.9]),
    }[case]
    pixels = np.arange(32) - 15.5
    x, y = np.meshgrid(pixels, pixels)
    image = jnp.asarray(wave(x, y)[..., None], jnp.float32)

    right, down = entries.get('translation', (0, 0))
    z = (x - right * 4) - 1j * (y - down * 4)
    axis = np.exp(1j * entries.get('axis', 0))
    length = 2 ** (0.2 * entries.get('stretch', 0))
    own = z / axis
    z = (own.real / length + 1j * own.imag * length) * axis
    z = z * np.exp(-1j * entries.get('rotation', 0)) / 2 ** (0.2 * entries.get('scale', 0))

    result = apply(image, **{name: np.float32(entry) for name, entry in entries.items()})
    inside = np.maximum(abs(z.real), abs(z.imag)) < 12  # the mirror is no part of the formula
    assert inside.mean() > 0.3
    expected = wave(z.real, -z.imag)
    np.testing.assert_allclose(result[..., 0][inside], expected[inside], atol=0.01)
    assert np.abs(expected - wave(x, y))[inside].max() > 0.3


def test_a_constant_image_stays_one():
    changed = apply(jnp.full((8, 9, 1), 0.7), rotation=0.3, scale=-2.0, translation=[3.0, 1.0])
    np.testing.assert_allclose(changed, 0.7, rtol=1e-5)


def test_each_kind_is_as_frequent_and_as_large_as_the_paper_says():
    p = 0.3
    draws = jax.jit(jax.vmap(partial(draw_geometry, p=p)))(KEYS)
    assert_share(draws.x_flip, 0.5)
    assert_share(draws.y_flip, p / 2)
    assert_share(draws.axis != 0, 0.5)
    kinds = [draws.scale, draws.rotation, draws.stretch, draws.translation[:, 0]]
    done = np.array([np.asarray(kind) != 0 for kind in kinds])
    for kind in done:
        assert_share(kind, p)
    # No kind goes with another.
    correlations = np.corrcoef(done) - np.eye(4)
    assert np.abs(correlations).max() < 4.5 / np.sqrt(len(KEYS))
    np.testing.assert_array_equal(draws.translation[:, 1] != 0, done[3])
    for kind in (draws.scale, draws.stretch, draws.translation[:, 0], draws.translation[:, 1]):
        assert_moments(kind[kind != 0], variance=1, of_square=2)
    # The square of u in (-1, 1) has the variance 4 / 45.
    turns = draws.rotation[draws.rotation != 0] / np.pi
    assert np.abs(turns).max() <= 1
    assert_moments(turns, variance=1 / 3, of_square=4 / 45)


def assert_share(events, p):
    error = np.sqrt(p * (1 - p) / len(events))
    assert abs(np.mean(np.asarray(events)) - p) < 4.5 * error


def assert_moments(x, *, variance, of_square):
    """The mean is 0 and that of the square the variance, of_square being the square's variance."""
    x = np.asarray(x, np.float64)
    assert abs(x.mean()) < 4.5 * np.sqrt(variance / len(x))
    assert abs((x**2).mean() - variance) < 4.5 * np.sqrt(of_square / len(x))


def test_the_label_says_what_is_done():
    entries = dict(x_flip=True, scale=1.5, rotation=0.7, stretch=-1.2, axis=0.5)
    label = label_of(geometry(**entries, translation=[0.4, -0.9]))
    stretch = -1.2 * np.array([np.cos(0.5), np.sin(0.5)])
    expected = [1, 0, 1.5, np.cos(0.7) - 1, np.sin(0.7), *stretch, 0.4, -0.9]
    np.testing.assert_allclose(label, expected, rtol=1e-6)
    assert label.dtype == jnp.float32


def test_what_cannot_be_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r'^p is 1.5; a probability lies in \[0, 1\]$'):
        draw_geometry(KEYS[0], 1.5)
    for shape in ((8, 3, 1), (8, 8)):
        with pytest.raises(ValueError, match=r'^image has shape .*; \[H, W, C\] with H, W > 3'):
            augment_geometry(KEYS[0], jnp.zeros(shape))
