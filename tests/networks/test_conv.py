"""The convolution layer: against flax's, with the same parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from genjax.networks.conv import Conv
from genjax.networks.convolution import convolve
from tests.networks.scale import assert_trees_close_to_scale


def lax_convolution(x, kernel, stride, pads):
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), pads, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )


def inputs_of(size, kernel_size, examples=4):
    """Normal images [B, H, W, 5] and a kernel [K, L, 5, 6]."""
    x_key, kernel_key = jax.random.split(jax.random.key(0))
    x = jax.random.normal(x_key, (examples, *size, 5))
    kernel = jax.random.normal(kernel_key, (*kernel_size, 5, 6))
    return x, kernel


def assert_close(ours, theirs, tolerance=1e-5):
    assert_trees_close_to_scale(ours, theirs, rtol=tolerance, atol=tolerance)


def test_a_convolution_with_an_input_dilation_is_the_transpose_of_one_with_that_stride():
    x, kernel = inputs_of((8, 6), (4, 4))
    pads = ((1, 1), (1, 1))
    g = jnp.cos(jnp.arange(4 * 4 * 3 * 6, dtype=jnp.float32)).reshape(4, 4, 3, 6)
    transpose = jax.linear_transpose(lambda x: lax_convolution(x, kernel, 2, pads), x)
    (expected,) = transpose(g)
    module = Conv(5, (4, 4), input_dilation=2, padding=((2, 2), (2, 2)), bias=False)
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    ours = module.apply({'params': {'kernel': flipped}}, g)
    assert_close(ours, expected)
    y = convolve(x, kernel, 2, pads)
    np.testing.assert_allclose(jnp.vdot(y, g), jnp.vdot(x, ours), rtol=1e-4)


def test_the_module_is_flax_conv_with_the_same_parameters():
    x, _ = inputs_of((8, 8), (3, 3))
    for ours, theirs in [
        (Conv(6), nn.Conv(6, (3, 3))),
        (Conv(6, strides=2), nn.Conv(6, (3, 3), strides=2)),
        (Conv(6, (5, 4), padding='VALID'), nn.Conv(6, (5, 4), padding='VALID')),
        (
            Conv(6, (4, 4), input_dilation=2, padding=((2, 2), (2, 2)), bias=False),
            nn.ConvTranspose(6, (4, 4), (2, 2), use_bias=False),
        ),
        (
            Conv(6, strides=2, padding=((0, 1), (0, 1))),
            nn.Conv(6, (3, 3), strides=2, padding=((0, 1), (0, 1))),
        ),
    ]:
        params = ours.init(jax.random.key(0), x)
        their_params = theirs.init(jax.random.key(0), x)
        assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, their_params)
        params = jax.tree.map(lambda p: p + 0.1, params)
        assert_close(ours.apply(params, x), theirs.apply(params, x))


def test_a_wrong_number_of_axes_is_refused():
    with pytest.raises(ValueError, match=r'x has shape \(8, 8, 3\)'):
        Conv(6).init(jax.random.key(0), jnp.zeros((8, 8, 3)))
