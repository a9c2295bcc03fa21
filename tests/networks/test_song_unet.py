"""DDPM++ and NCSN++: their sizes by hand, their blocks by formulas, and what must hold of any."""

import functools
import math
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import convolve2d
from scipy.special import softmax

from genjax.networks.resampling import bilinear, box
from genjax.networks.song_unet import (
    Attention,
    Block,
    Halving,
    ddpm_plus_plus,
    fourier_embedding,
    ncsn_plus_plus,
)
from genjax.networks.unet import timestep_embedding
from tests.marks import slow

SMALL = dict(width=8, multipliers=(1, 2), attend_at=(4,), blocks=1, dropout=0.5)
BOTH = pytest.mark.parametrize('make', [ddpm_plus_plus, ncsn_plus_plus])


def shape(*sizes, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(sizes, dtype)


def abstract_params(network, x, **conditions):
    """The shapes of the parameters for images x."""
    return jax.eval_shape(
        lambda key: network.lazy_init(key, x, shape(x.shape[0]), **conditions), jax.random.key(0)
    )


def inputs_and_params(network, **conditions):
    """x, t, and parameters that are zero nowhere."""
    x = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))
    t = jnp.linspace(-1.5, 1.0, 4)
    leaves, tree = jax.tree.flatten(abstract_params(network, x, **conditions))

    def draw(i, leaf):
        return 0.2 * np.random.default_rng(i).normal(size=leaf.shape).astype('float32')

    return x, t, tree.unflatten([draw(i, leaf) for i, leaf in enumerate(leaves)])


def normal(*sizes):
    return np.random.default_rng(0).normal(size=sizes).astype('float32')


# Sizes: by the description of the networks, not by their code.


def convolution(inputs, outputs, pixels):
    return (inputs * pixels + 1) * outputs


def block_size(inputs, outputs, *, projects=False, attends=False):
    size = 2 * inputs + convolution(inputs, outputs, 9) + convolution(512, outputs, 1)
    size += 2 * outputs + convolution(outputs, outputs, 9)
    if projects:
        size += convolution(inputs, outputs, 1)
    if attends:
        size += 2 * outputs + 4 * convolution(outputs, outputs, 1)
    return size


def cifar_size(embedding, residual_input):
    """Three levels of 256 channels at 32, 16 and 8 pixels, four blocks each, after one of 128."""
    block = partial(block_size, outputs=256)
    size = convolution(embedding, 512, 1) + convolution(512, 512, 1)
    size += convolution(3, 128, 9)
    # Down. The first block has 128 channels, and at 16 pixels all attend.
    size += block(128, projects=True) + 3 * block(256)
    size += block(256, projects=True) + 4 * block(256, attends=True)
    size += block(256, projects=True) + 4 * block(256)
    if residual_input:
        size += convolution(3, 256, 9) + convolution(256, 256, 9)
    size += block(256, attends=True) + block(256)
    # Up, with skips of 256 channels but for the first layer's of 128, and two doublings.
    size += 5 * block(512, projects=True)
    size += block(256, projects=True) + 4 * block(512, projects=True)
    size += block(512, projects=True, attends=True)
    size += block(256, projects=True) + 4 * block(512, projects=True) + block(384, projects=True)
    return size + 2 * 256 + convolution(256, 3, 9)


@pytest.mark.parametrize(
    ('make', 'embedding', 'published'),
    [(ddpm_plus_plus, 128, 55_733_891), (ncsn_plus_plus, 256, 56_397_827)],
)
def test_the_cifar_networks_have_the_parameters_of_their_description(make, embedding, published):
    """55.7 and 56.4 million with the nine labels of EDM's augmentation."""
    network = make(augmentation_labels=9)
    augmentation = shape(1, 9)
    params = abstract_params(network, shape(1, 32, 32, 3), augmentation=augmentation)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == published
    assert cifar_size(embedding, make is ncsn_plus_plus) + 9 * embedding == published


# Parts.


def test_random_frequencies_are_normal_of_deviation_16():
    y = np.asarray(fourier_embedding(jnp.array([0.0, 1e-3, 0.4]), 4096))
    np.testing.assert_array_equal(y[0], np.repeat([0, 1], 2048))
    np.testing.assert_allclose(y[:, :2048] ** 2 + y[:, 2048:] ** 2, 1, atol=1e-5)
    turns = np.arcsin(y[1, :2048]) / (2 * np.pi * 1e-3)
    assert abs(turns.mean()) < 4.5 * 16 / np.sqrt(2048)
    assert abs(turns.std() - 16) < 4.5 * 16 / np.sqrt(2 * 2048)
    np.testing.assert_array_equal(y, fourier_embedding(jnp.array([0.0, 1e-3, 0.4]), 4096))


@pytest.mark.parametrize(('resampling', 'filter_1d'), [slow(box, [1, 1]), (bilinear, [1, 3, 3, 1])])
def test_resampling_and_the_halving_of_the_input_are_scipys_convolutions(resampling, filter_1d):
    x = normal(1, 6, 8, 2)
    taps = np.outer(filter_1d, filter_1d) / np.sum(filter_1d) ** 2
    crop = len(filter_1d) // 2

    def channels_of(x):
        return np.moveaxis(np.asarray(x, np.float64)[0], -1, 0)

    def filtered(image):
        # Outputs between pixels: the first lies between the pixel before the image and its first.
        return convolve2d(image, taps)

    for image, half in zip(channels_of(x), channels_of(resampling.down(x)), strict=True):
        whole = filtered(image)[crop:, crop:]
        np.testing.assert_allclose(half, whole[:6:2, :8:2], atol=1e-6)
    for image, double in zip(channels_of(x), channels_of(resampling.up(x)), strict=True):
        sparse = np.zeros((12, 16))
        sparse[::2, ::2] = 4 * image
        first = crop - 1
        whole = filtered(sparse)[first:, first:]
        np.testing.assert_allclose(double, whole[:12, :16], atol=1e-6)

    layer = Halving(3, resampling.down)
    params = layer.init(jax.random.key(0), x)
    kernel = np.asarray(params['params']['conv']['kernel'], np.float64)
    bias = normal(3)
    params['params']['conv']['bias'] = bias
    y = channels_of(layer.apply(params, x))
    for output in range(3):
        padded = [np.pad(image, 6) for image in channels_of(x)]
        # lax's convolutions do not turn the kernel round, scipy's do.
        sums = sum(
            convolve2d(image, kernel[::-1, ::-1, channel, output], 'same')
            for channel, image in enumerate(padded)
        )
        whole = filtered(sums + bias[output])[6 + crop :, 6 + crop :]
        np.testing.assert_allclose(y[output], whole[:6:2, :8:2], atol=1e-5)


@pytest.mark.parametrize(
    ('features', 'resample'), [(16, None), (24, None), (16, bilinear.down), (16, box.up)]
)
@pytest.mark.slow
def test_a_block_begins_as_its_skip_scaled_to_keep_the_variance(features, resample):
    x = jnp.asarray(normal(2, 8, 8, 16))
    time = jnp.asarray(normal(2, 32))
    block = Block(features, 0.0, resample, attends=True)
    params = block.init(jax.random.key(0), x, time)
    expected = x if resample is None else resample(x)
    if 'skip' in params['params']:  # its bias begins at zero
        expected = expected @ params['params']['skip']['kernel']
    assert ('skip' in params['params']) == (features != 16 or resample is not None)
    # Once after the block and once after attention, whose last layers begin at 1e-5.
    np.testing.assert_allclose(block.apply(params, x, time), expected / 2, atol=1e-3)


def test_kernels_begin_with_xaviers_deviation_and_the_authors_factors():
    block = Block(128, 0.0, attends=True)
    params = block.init(jax.random.key(0), jnp.zeros((1, 4, 4, 128)), jnp.zeros((1, 512)))['params']

    def xavier(inputs, outputs):
        return math.sqrt(2 / (inputs + outputs))

    expected = {
        ('conv1', 'kernel'): xavier(9 * 128, 9 * 128),
        ('conv2', 'kernel'): 1e-5 * xavier(9 * 128, 9 * 128),
        ('time', 'kernel'): xavier(512, 128),
    }
    for (layer, name), deviation in expected.items():
        assert jnp.std(params[layer][name]) == pytest.approx(deviation, rel=0.02)
    attention = params['attend']
    three = math.sqrt(0.2) * xavier(128, 3 * 128)
    assert jnp.std(attention['query_key_value']['kernel']) == pytest.approx(three, rel=0.02)
    assert jnp.std(attention['out']['kernel']) == pytest.approx(1e-5 * xavier(128, 128), rel=0.02)


def test_attention_is_the_formula():
    C = 8
    x = normal(2, 3, 4, C)
    params = {
        'norm': {'scale': normal(C), 'bias': normal(C)},
        'query_key_value': {'kernel': normal(C, 3 * C), 'bias': normal(3 * C)},
        'out': {'kernel': normal(C, C), 'bias': normal(C)},
    }
    # Two groups of four channels.
    groups = np.float64(x).reshape(2, 12, 2, 4)
    mean = groups.mean((1, 3), keepdims=True)
    variance = groups.var((1, 3), keepdims=True)
    rows = ((groups - mean) / np.sqrt(variance + 1e-6)).reshape(2, 12, C)
    rows = rows * params['norm']['scale'] + params['norm']['bias']
    joint = rows @ params['query_key_value']['kernel'] + params['query_key_value']['bias']
    query, key, value = np.split(joint, 3, axis=-1)
    weights = softmax(query @ key.swapaxes(1, 2) / np.sqrt(C), -1)
    out = weights @ value @ params['out']['kernel'] + params['out']['bias']
    expected = (x + out.reshape(x.shape)) / np.sqrt(2)
    y = Attention().apply({'params': params}, x)
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3)


# Whole networks. Each compiles for some seconds, so that tests share what is compiled.

LABEL = jnp.array([0, 1, 2, 3])
DONE = jnp.asarray(normal(4, 9))


@functools.cache
def conditional(make):
    """x, t, parameters and the compiled (params, x, t, label, augmentation) -> y."""
    network = make(**SMALL, classes=3, augmentation_labels=9)
    x, t, params = inputs_and_params(network, label=LABEL, augmentation=DONE)
    return x, t, params, jax.jit(network.apply)


def without(params, name):
    """The parameters with those of a layer at zero."""
    silenced = jax.tree.map(jnp.zeros_like, params['params'][name])
    return {'params': params['params'] | {name: silenced}}


@BOTH
@pytest.mark.slow
def test_time_label_and_augmentation_are_felt_and_the_last_label_is_none(make):
    x, t, params, apply = conditional(make)
    y = np.asarray(apply(params, x, t, LABEL, DONE))
    assert y.shape == x.shape and y.dtype == np.float32
    others = {
        'time': apply(params, x, t + 0.3, LABEL, DONE),
        'label': apply(params, x, t, (LABEL + 1) % 3, DONE),
        'augmentation': apply(params, x, t, LABEL, DONE + 0.5),
    }
    for name, other in others.items():
        each = np.abs(other - y).max((1, 2, 3))
        assert np.all(each > 1e-3), name
    nothing = apply(params, x, t, jnp.full(4, 3), jnp.zeros_like(DONE))
    np.testing.assert_array_equal(
        nothing, apply(without(params, 'conditions'), x, t, LABEL, jnp.ones_like(DONE))
    )
    # No example depends on another.
    changed = apply(params, x.at[1].add(1), t, LABEL, DONE)
    np.testing.assert_array_equal(np.delete(changed, 1, 0), np.delete(y, 1, 0))


@pytest.mark.slow
def test_the_pyramid_of_the_input_is_added():
    x, t, params, apply = conditional(ncsn_plus_plus)
    assert set(params['params']) - set(conditional(ddpm_plus_plus)[2]['params']) == {'down1_input'}
    y = apply(params, x, t, LABEL, DONE)
    without_pyramid = apply(without(params, 'down1_input'), x, t, LABEL, DONE)
    assert not np.allclose(y, without_pyramid, atol=1e-3)


def test_the_last_kernel_begins_near_zero_and_so_does_the_network():
    network = ddpm_plus_plus(**(SMALL | dict(width=16)))

    @jax.jit
    def last_layer(key):
        return network.lazy_init(key, shape(1, 8, 8, 64), shape(1))['params']['leave']

    layer = last_layer(jax.random.key(0))
    assert layer['kernel'].shape == (3, 3, 16, 64) and not layer['bias'].any()
    deviation = 1e-5 * math.sqrt(2 / (9 * 16 + 9 * 64))
    assert jnp.std(layer['kernel']) == pytest.approx(deviation, rel=0.05)


@pytest.mark.slow
def test_dropout_is_active_exactly_with_its_key():
    x, t, params, apply = conditional(ddpm_plus_plus)
    first = apply(params, x, t, LABEL, DONE, rngs={'dropout': jax.random.key(0)})
    again = apply(params, x, t, LABEL, DONE, rngs={'dropout': jax.random.key(0)})
    other = apply(params, x, t, LABEL, DONE, rngs={'dropout': jax.random.key(1)})
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert not np.allclose(first, apply(params, x, t, LABEL, DONE))


@pytest.mark.slow
def test_bfloat16_computes_the_same_with_a_float32_output():
    x, t, params, apply = conditional(ncsn_plus_plus)
    half = ncsn_plus_plus(**SMALL, classes=3, augmentation_labels=9, dtype='bfloat16')
    exact = apply(params, x, t, LABEL, DONE)
    rounded = jax.jit(half.apply)(params, x, t, LABEL, DONE)
    assert rounded.dtype == jnp.float32
    error = jnp.linalg.norm(rounded - exact) / jnp.linalg.norm(exact)
    assert 0 < error < 0.03


def test_sines_of_the_time_are_swapped_as_the_authors_have_them():
    """Sines come first, at frequencies from 1 to 1/10000 with both ends."""
    y = timestep_embedding(jnp.array([0.7]), 6)
    angles = 0.7 * np.array([1, 0.01, 1e-4])
    np.testing.assert_allclose(y[0], np.concatenate([np.sin(angles), np.cos(angles)]), rtol=1e-5)


@pytest.mark.parametrize(
    ('fields', 'sizes', 'message'),
    [
        (dict(width=0), (1, 8, 8, 3), 'width is 0'),
        (dict(blocks=0), (1, 8, 8, 3), 'blocks is 0'),
        (dict(dropout=1.0), (1, 8, 8, 3), 'dropout is 1.0'),
        (
            dict(attend_at=(16,)),
            (1, 8, 8, 3),
            'attend_at is (16,); the levels have resolutions [8, 4]',
        ),
        (dict(), (1, 9, 9, 3), '2 levels need H, W divisible by 2'),
        (dict(), (1, 8, 8), 'x and t have shapes (1, 8, 8) and (1,)'),
        (dict(classes=3), (1, 8, 8, 3), 'classes is 3; labels are missing'),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(fields, sizes, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        abstract_params(ddpm_plus_plus(**(SMALL | fields)), shape(*sizes))
    assert '\n' not in str(error.value)
