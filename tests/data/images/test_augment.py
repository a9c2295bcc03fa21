"""Differentiable augmentation: the paper's ranges, numpy's shifts and rectangles, gradients."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from genjax.data.images.augment import (
    brightness,
    compose,
    contrast,
    cutout,
    saturation,
    translation,
)

SHAPE = (8, 10, 3)
IMAGE = jax.random.uniform(jax.random.key(9), SHAPE, minval=-1.0)
KEYS = jax.random.split(jax.random.key(0), 4000)
ALL = (brightness, saturation, contrast, translation, cutout)


def each(function, image=IMAGE):
    """The result for every key, [N, H, W, C]."""
    return np.asarray(jax.vmap(function, (0, None))(KEYS, image))


def assert_uniform(x, low, high):
    """Values fill an interval and have its mean and variance."""
    x = x.astype(np.float64)
    width = high - low
    assert low - 1e-5 <= x.min() < low + 0.01 * width
    assert high - 0.01 * width < x.max() <= high + 1e-5
    assert abs(x.mean() - (low + high) / 2) < 4.5 * width / np.sqrt(12 * len(x))
    # E (u - 1/2)^4 = 1/80, so the variance of (u - 1/2)^2 is 1/180.
    assert abs(x.var() / width**2 - 1 / 12) < 4.5 * np.sqrt(1 / 180 / len(x))


def test_brightness_adds_one_number_between_minus_and_plus_a_half():
    added = each(brightness) - np.asarray(IMAGE)[None]
    assert np.ptp(added, axis=(1, 2, 3)).max() < 1e-6
    assert_uniform(added[:, 0, 0, 0], -0.5, 0.5)


@pytest.mark.parametrize(
    ('function', 'axes', 'interval'), [(saturation, 2, (0, 2)), (contrast, (0, 1, 2), (0.5, 1.5))]
)
def test_saturation_and_contrast_scale_about_the_mean(function, axes, interval):
    image = np.asarray(IMAGE, np.float64)
    mean = image.mean(axes, keepdims=True)
    centred = (image - mean)[None]
    results = each(function)
    factor = ((results - mean[None]) * centred).sum((1, 2, 3)) / (centred**2).sum()
    expected = mean[None] + factor[:, None, None, None] * centred
    np.testing.assert_allclose(results, expected, atol=1e-5)
    assert_uniform(factor, *interval)


def shifted(image, down, right):
    """numpy's: the rows and columns that stay, and zeros."""

    def overlap(shift, side):
        return slice(max(0, shift), side + min(0, shift))

    height, width, _ = image.shape
    out = np.zeros_like(image)
    kept = image[overlap(-down, height), overlap(-right, width)]
    out[overlap(down, height), overlap(right, width)] = kept
    return out


@pytest.mark.parametrize(('ratio', 'reach'), [(1 / 8, (1, 1)), (0.25, (2, 3)), (0, (0, 0))])
def test_translation_is_each_shift_with_zeros_equally_often(ratio, reach):
    results = each(partial(translation, ratio=ratio))
    shifts = itertools.product(*(range(-pixels, pixels + 1) for pixels in reach))
    expected = [shifted(np.asarray(IMAGE), *shift)[None] for shift in shifts]
    frequency = np.array([np.mean(np.all(results == x, axis=(1, 2, 3))) for x in expected])
    assert sum(frequency) == pytest.approx(1)
    p = 1 / len(frequency)
    assert np.all(np.abs(frequency - p) <= 4.5 * np.sqrt(p * (1 - p) / len(KEYS)))


def test_a_shift_over_the_whole_image_leaves_nothing():
    results = each(partial(translation, ratio=1))
    assert np.any(np.all(results == 0, axis=(1, 2, 3)))


@pytest.mark.parametrize(
    ('ratio', 'sides'), [(0.5, (4, 5)), (0.3, (2, 3)), (0, (0, 0)), (1, (8, 10))]
)
def test_cutout_sets_exactly_a_rectangle_to_zero(ratio, sides):
    image = np.asarray(IMAGE)
    corners = set()
    for out in each(partial(cutout, ratio=ratio))[:300]:
        gone = np.all(out != image, axis=-1)
        if not gone.any():
            assert sides == (0, 0)
            continue
        rows = np.flatnonzero(gone.any(1))
        columns = np.flatnonzero(gone.any(0))
        box = np.zeros_like(gone)
        box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        np.testing.assert_array_equal(out, np.where(box[..., None], 0, image))
        for line, side, total in zip((rows, columns), sides, SHAPE, strict=False):
            reaches_out = line[0] == 0 or line[-1] == total - 1
            assert len(line) == side or (len(line) < side and reaches_out)
        corners.add((rows[0], columns[0]))
    assert len(corners) > 5 or sides == (0, 0)


def test_cutout_hides_every_pixel_of_a_line_almost_as_often():
    """Centres are uniform on the line (one more for even sides), independently by axis."""

    def probability(starts, side, length):
        pixel = np.arange(side)
        hidden = [(start <= pixel) & (pixel < start + length) for start in starts]
        return np.mean(hidden, axis=0)

    gone = np.all(each(cutout) == 0, axis=-1).mean(0)
    rows = probability(np.arange(8 + 1) - 2, 8, 4)
    columns = probability(np.arange(10) - 2, 10, 5)
    expected = np.outer(rows, columns)
    error = np.sqrt(expected * (1 - expected) / len(KEYS))
    assert np.all(np.abs(gone - expected) < 4.5 * error + 1e-9)


@pytest.mark.parametrize('function', ALL)
@pytest.mark.slow
def test_gradients_flow_and_are_those_of_finite_differences(function):
    with jax.enable_x64(True):
        image = jax.random.uniform(jax.random.key(9), SHAPE, minval=-1.0)
        of_image = partial(function, jax.random.key(3))
        check_grads(of_image, (image,), order=2, modes=('rev',))


def test_compose_gives_each_function_its_own_key_in_order():
    key = jax.random.key(5)
    functions = (brightness, brightness, contrast)
    image = IMAGE
    for function, own_key in zip(functions, jax.random.split(key, 3), strict=True):
        image = function(own_key, image)
    np.testing.assert_array_equal(compose(*functions)(key, IMAGE), image)
    added = each(compose(brightness, brightness))[:, 0, 0, 0] - float(IMAGE[0, 0, 0])
    assert abs(added.var() - 2 / 12) < 0.02  # of two independent numbers; of the same twice 4/12
    np.testing.assert_array_equal(compose()(key, IMAGE), IMAGE)


def test_shapes_types_and_single_channels_stay():
    grey = jnp.ones((5, 7, 1), jnp.float32)
    out = jax.eval_shape(compose(*ALL), KEYS[0], grey)
    assert (out.shape, out.dtype) == (grey.shape, grey.dtype)
    # Grey has no colour to scale.
    np.testing.assert_allclose(saturation(KEYS[0], grey), grey, rtol=1e-6)


def test_a_ratio_outside_the_image_is_refused():
    for function in (translation, cutout):
        refusal = r'^ratio is 1.5; a ratio to the side of an image lies in \[0, 1\]$'
        with pytest.raises(ValueError, match=refusal):
            function(KEYS[0], IMAGE, ratio=1.5)
