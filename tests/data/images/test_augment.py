"""Differentiable augmentation: the paper's ranges, numpy's shifts and squares, and gradients that
flow."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from genjax.data.images.augment import (
    brightness,
    composed,
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
    """What every key makes of one image, [N, H, W, C]."""
    return np.asarray(jax.vmap(function, (0, None))(KEYS, image))


def assert_uniform(x, low, high):
    """Fills an interval and has its mean and variance."""
    x, width = x.astype(np.float64), high - low
    assert (
        low - 1e-5 <= x.min() < low + 0.01 * width and high - 0.01 * width < x.max() <= high + 1e-5
    )
    assert abs(x.mean() - (low + high) / 2) < 4.5 * width / np.sqrt(12 * len(x))
    assert abs(x.var() / width**2 - 1 / 12) < 4.5 * np.sqrt(
        1 / 180 / len(x)
    )  # E (u - 1/2)^4 = 1/80


def test_brightness_adds_one_number_between_minus_and_plus_a_half():
    added = each(brightness) - np.asarray(IMAGE)[None]
    assert np.ptp(added, axis=(1, 2, 3)).max() < 1e-6
    assert_uniform(added[:, 0, 0, 0], -0.5, 0.5)


@pytest.mark.parametrize(
    ('function', 'axes', 'range_'), [(saturation, 2, (0, 2)), (contrast, (0, 1, 2), (0.5, 1.5))]
)
def test_saturation_and_contrast_scale_about_the_mean(function, axes, range_):
    image = np.asarray(IMAGE, np.float64)
    mean = image.mean(axes, keepdims=True)
    seen = each(function)
    factor = ((seen - mean[None]) * (image - mean)[None]).sum((1, 2, 3)) / (
        (image - mean) ** 2
    ).sum()
    np.testing.assert_allclose(
        seen, mean[None] + factor[:, None, None, None] * (image - mean)[None], atol=1e-5
    )
    assert_uniform(factor, *range_)


def shifted(image, down, right):
    """numpy's: the rows and columns that stay, and zeros."""
    height, width, _ = image.shape
    out = np.zeros_like(image)
    rows, columns = (slice(max(0, s), n + min(0, s)) for s, n in ((down, height), (right, width)))
    back = tuple(slice(max(0, -s), n + min(0, -s)) for s, n in ((down, height), (right, width)))
    out[rows, columns] = image[back]
    return out


@pytest.mark.parametrize(('share', 'reach'), [(1 / 8, (1, 1)), (0.25, (2, 3)), (0, (0, 0))])
def test_translation_is_each_shift_with_zeros_equally_often(share, reach):
    seen = each(partial(translation, share=share))
    shifts = itertools.product(*(range(-pixels, pixels + 1) for pixels in reach))
    found = [
        np.mean(np.all(seen == shifted(np.asarray(IMAGE), *shift)[None], axis=(1, 2, 3)))
        for shift in shifts
    ]
    assert sum(found) == pytest.approx(1)
    p = 1 / len(found)
    assert np.all(np.abs(np.array(found) - p) <= 4.5 * np.sqrt(p * (1 - p) / len(KEYS)))


def test_a_shift_over_the_whole_image_leaves_nothing():
    seen = each(partial(translation, share=1))
    assert np.any(np.all(seen == 0, axis=(1, 2, 3)))


@pytest.mark.parametrize(
    ('share', 'sides'), [(0.5, (4, 5)), (0.3, (2, 3)), (0, (0, 0)), (1, (8, 10))]
)
def test_cutout_sets_exactly_a_rectangle_to_zero(share, sides):
    seen, image = each(partial(cutout, share=share)), np.asarray(IMAGE)
    corners = set()
    for out in seen[:300]:
        gone = np.all(out != image, axis=-1)
        if not gone.any():
            assert sides == (0, 0)
            continue
        rows, columns = np.flatnonzero(gone.any(1)), np.flatnonzero(gone.any(0))
        box = np.zeros_like(gone)
        box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        np.testing.assert_array_equal(out, np.where(box[..., None], 0, image))
        for line, side, total in zip((rows, columns), sides, SHAPE, strict=False):
            reaches_out = line[0] == 0 or line[-1] == total - 1
            assert len(line) == side or (len(line) < side and reaches_out)
        corners.add((rows[0], columns[0]))
    assert len(corners) > 5 or sides == (0, 0)


def test_cutout_hides_every_pixel_of_a_line_almost_as_often():
    """Centres are uniform on the line (one more for even sides), so that rows and columns are
    independent."""
    gone = np.all(each(cutout) == 0, axis=-1).mean(0)
    starts = [np.arange(8 + 1) - 2, np.arange(10) - 2]
    along = [
        np.mean([(s <= np.arange(n)) & (np.arange(n) < s + k) for s in start], axis=0)
        for start, n, k in zip(starts, SHAPE, (4, 5), strict=False)
    ]
    expected = np.outer(*along)
    assert np.all(
        np.abs(gone - expected) < 4.5 * np.sqrt(expected * (1 - expected) / len(KEYS)) + 1e-9
    )


@pytest.mark.parametrize('function', ALL)
def test_gradients_flow_and_are_those_of_finite_differences(function):
    with jax.enable_x64(True):
        image = jax.random.uniform(jax.random.key(9), SHAPE, minval=-1.0)
        check_grads(lambda x: function(jax.random.key(3), x), (image,), order=2, modes=('rev',))


def test_composed_gives_each_function_its_own_key_in_order():
    key = jax.random.key(5)
    both = composed(brightness, brightness, contrast)(key, IMAGE)
    image = IMAGE
    for function, own in zip(
        (brightness, brightness, contrast), jax.random.split(key, 3), strict=True
    ):
        image = function(own, image)
    np.testing.assert_array_equal(both, image)
    added = each(composed(brightness, brightness))[:, 0, 0, 0] - float(IMAGE[0, 0, 0])
    assert abs(added.var() - 2 / 12) < 0.02  # of two independent numbers; of the same twice 4/12
    np.testing.assert_array_equal(composed()(key, IMAGE), IMAGE)


def test_shapes_types_and_single_channels_stay():
    grey = jnp.ones((5, 7, 1), jnp.float32)
    out = jax.eval_shape(composed(*ALL), KEYS[0], grey)
    assert (out.shape, out.dtype) == (grey.shape, grey.dtype)
    np.testing.assert_allclose(
        saturation(KEYS[0], grey), grey, rtol=1e-6
    )  # grey has no colour to scale


def test_a_share_outside_the_image_is_refused():
    for function in (translation, cutout):
        with pytest.raises(
            ValueError, match=r'^share is 1.5; a share of the side of an image lies in \[0, 1\]$'
        ):
            function(KEYS[0], IMAGE, share=1.5)
