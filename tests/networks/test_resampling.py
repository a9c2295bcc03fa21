"""Resampling against lax's own convolution, and against slices."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from genjax.networks.resampling import (
    downsample_bilinear,
    downsample_mean,
    upsample_bilinear,
    upsample_nearest,
)


def normal(*shape):
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


def filtered(x, stride, dilation, gain):
    """lax's own convolution of each channel with (1, 3, 3, 1) along both axes."""
    weights = jnp.array([1.0, 3, 3, 1])
    kernel = jnp.outer(weights, weights) * gain / 64
    channels = x.shape[-1]
    return lax.conv_general_dilated(
        x,
        jnp.tile(kernel[:, :, None, None], (1, 1, 1, channels)),
        window_strides=(stride, stride),
        padding=((dilation, dilation), (dilation, dilation)),
        lhs_dilation=(dilation, dilation),
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        feature_group_count=channels,
    )


def test_resampling_is_the_filter_1_3_3_1():
    x = normal(2, 6, 4, 3)
    np.testing.assert_allclose(
        upsample_bilinear(x), filtered(x, stride=1, dilation=2, gain=4), atol=1e-6
    )
    np.testing.assert_allclose(
        downsample_bilinear(x), filtered(x, stride=2, dilation=1, gain=1), atol=1e-6
    )


def test_halving_takes_means_of_four_pixels():
    x = normal(2, 4, 6, 3)
    four = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    np.testing.assert_allclose(downsample_mean(x), sum(four) / 4, atol=1e-6)


def test_doubling_repeats_each_pixel():
    x = normal(2, 3, 4, 5)
    np.testing.assert_array_equal(upsample_nearest(x), x.repeat(2, 1).repeat(2, 2))
