"""Two routes to one answer: our convolution against lax's, its gradients against lax's own."""

import re
from collections import Counter
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from genjax.networks.conv import Conv, convolve

# image (H, W), kernel (K, L), stride, padding: what networks use, and what breaks index arithmetic
CASES = [
    ((8, 8), (3, 3), 1, ((1, 1), (1, 1))),
    ((8, 8), (3, 3), 2, ((0, 1), (0, 1))),
    ((8, 6), (4, 4), 2, ((1, 1), (1, 1))),
    ((7, 5), (1, 1), 1, ((0, 0), (0, 0))),
    ((7, 5), (1, 1), 2, ((0, 0), (0, 0))),
    ((7, 5), (3, 3), 1, ((1, 1), (1, 1))),
    ((7, 5), (3, 3), 2, ((1, 1), (1, 1))),
    ((9, 7), (3, 2), 1, ((2, 0), (0, 3))),
    ((9, 7), (2, 3), 3, ((0, 2), (1, 0))),
    ((9, 7), (3, 3), 1, ((0, 0), (0, 0))),
    ((7, 7), (2, 2), 1, ((3, 2), (2, 4))),
    ((9, 8), (4, 5), 3, ((1, 2), (0, 1))),
]


def plain(x, kernel, stride, pads):
    return lax.conv_general_dilated(
        x, kernel, (stride,) * 2, pads, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )


def drawn(sizes, window, examples=4, dtype=jnp.float32):
    x_key, kernel_key = jax.random.split(jax.random.key(0))
    x = jax.random.normal(x_key, (examples, *sizes, 5), dtype)
    return x, jax.random.normal(kernel_key, (*window, 5, 6), dtype)


def value_and_gradients(f, x, kernel, stride, pads):
    y, back = jax.vjp(lambda x, kernel: f(x, kernel, stride, pads), x, kernel)
    return y, *back(jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape).astype(y.dtype))


def assert_close(ours, theirs, tolerance=1e-5):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * float(jnp.abs(b).max()))


@pytest.mark.parametrize('case', CASES)
def test_value_and_gradients_equal_those_of_lax(case):
    sizes, window, stride, pads = case
    inputs = drawn(sizes, window)
    ours, theirs = (
        jax.jit(partial(value_and_gradients, f, stride=stride, pads=pads))
        for f in (convolve, plain)
    )
    assert_close(ours(*inputs), theirs(*inputs))


@pytest.mark.parametrize(
    ('window', 'spread', 'pads'), [((4, 4), 2, ((2, 2), (2, 2))), ((3, 5), 3, ((1, 2), (4, 0)))]
)
def test_a_spread_convolution_and_all_its_derivatives_equal_those_of_lax(window, spread, pads):
    inputs = drawn((4, 3), window, examples=6)  # two at a time

    def theirs(x, kernel, stride, pads):
        dimensions = dict(dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
        return lax.conv_general_dilated(x, kernel, (1, 1), pads, (spread, spread), **dimensions)

    ours = lambda x, kernel, stride, pads: convolve(x, kernel, stride, pads, spread)

    def everything(f, x, kernel):
        curved = lambda x, kernel: jnp.sum(jnp.sin(f(x, kernel, 1, pads)))
        slope = lambda x, kernel: sum(jnp.sum(g**2) for g in jax.grad(curved, (0, 1))(x, kernel))
        return *value_and_gradients(f, x, kernel, 1, pads), *jax.grad(slope, (0, 1))(x, kernel)

    assert_close(*(jax.jit(partial(everything, f))(*inputs) for f in (ours, theirs)), 3e-5)


def test_a_spread_convolution_is_the_transpose_of_one_with_that_stride():
    x, kernel = drawn((8, 6), (4, 4))
    strided = lambda x: convolve(x, kernel, 2, ((1, 1), (1, 1)))
    g = jnp.cos(jnp.arange(4 * 4 * 3 * 6, dtype=jnp.float32)).reshape(4, 4, 3, 6)
    (expected,) = jax.linear_transpose(lambda x: plain(x, kernel, 2, ((1, 1), (1, 1))), x)(g)
    module = Conv(5, (4, 4), input_dilation=2, padding=((2, 2), (2, 2)), bias=False)
    ours = module.apply({'params': {'kernel': kernel[::-1, ::-1].swapaxes(2, 3)}}, g)
    assert_close([ours], [expected])
    np.testing.assert_allclose(jnp.vdot(strided(x), g), jnp.vdot(x, ours), rtol=1e-4)


@pytest.mark.parametrize('case', [CASES[0], CASES[1]])
def test_the_same_inside_a_loop_of_unknown_length(case):
    sizes, window, stride, pads = case
    x, kernel = drawn(sizes, window)

    def walk(f, steps, x, kernel):
        def step(_, kernel):
            return kernel - 0.01 * value_and_gradients(f, x, kernel, stride, pads)[2]

        return lax.fori_loop(0, steps, step, kernel)

    ours, theirs = (jax.jit(partial(walk, f))(3, x, kernel) for f in (convolve, plain))
    assert_close([ours], [theirs])


def test_the_same_mapped_over_replicas_and_rematerialised():
    _, window, stride, pads = CASES[0]
    x, kernel = (jnp.stack([a, -2 * a]) for a in drawn((6, 4), window))
    theirs = jax.vmap(lambda x, k: value_and_gradients(plain, x, k, stride, pads))(x, kernel)
    again = jax.checkpoint(convolve, static_argnums=(2, 3))
    assert_close(
        jax.vmap(lambda x, k: value_and_gradients(again, x, k, stride, pads))(x, kernel), theirs
    )


@pytest.mark.parametrize('case', [CASES[0], CASES[2]])
def test_second_derivatives_equal_those_of_lax(case):
    sizes, window, stride, pads = case

    def penalty(f, x, kernel):  # as in a GAN's gradient penalty
        slope = jax.grad(lambda x: jnp.sum(jnp.sin(f(x, kernel, stride, pads))))(x)
        return jnp.sum(jnp.square(slope))

    inputs = drawn(sizes, window, examples=2)
    ours, theirs = (
        jax.jit(jax.grad(partial(penalty, f), (0, 1)))(*inputs) for f in (convolve, plain)
    )
    assert_close(ours, theirs, 3e-5)


def test_bfloat16_agrees_to_its_own_rounding():
    sizes, window, stride, pads = CASES[0]
    x, kernel = drawn(sizes, window)
    theirs = value_and_gradients(plain, x, kernel, stride, pads)
    ours = value_and_gradients(
        convolve, x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16), stride, pads
    )
    assert all(a.dtype == jnp.bfloat16 for a in ours)
    assert_close([a.astype(jnp.float32) for a in ours], theirs, 2e-2)


@pytest.mark.parametrize('case', [CASES[0], CASES[1]])
def test_the_same_over_eight_devices(case):
    sizes, window, stride, pads = case
    x, kernel = drawn(sizes, window, examples=16)
    both = partial(value_and_gradients, convolve, stride=stride, pads=pads)
    mesh = jax.make_mesh((8,), ('data',), axis_types=(AxisType.Auto,))
    split = jax.device_put(x, NamedSharding(mesh, PartitionSpec('data')))
    whole = jax.jit(both)(x, kernel)
    assert_close(
        jax.jit(both)(split, jax.device_put(kernel, NamedSharding(mesh, PartitionSpec()))), whole
    )

    def share(x):
        loss = lambda kernel: jnp.mean(jnp.sin(convolve(x, kernel, stride, pads)))
        return lax.pmean(jax.grad(loss)(kernel), 'data')

    mapped = jax.pmap(share, axis_name='data')(x.reshape(8, 2, *x.shape[1:]))[0]
    assert_close(
        [mapped], [jax.grad(lambda k: jnp.mean(jnp.sin(plain(x, k, stride, pads))))(kernel)]
    )


@pytest.mark.parametrize('case', [CASES[0], CASES[1]])
def test_an_accelerator_gets_plain_convolutions_only(case):
    sizes, window, stride, pads = case
    inputs = drawn(sizes, window)

    def lowered(f):
        traced = jax.jit(lambda x, kernel: value_and_gradients(f, x, kernel, stride, pads)).trace(
            *inputs
        )
        text = traced.lower(lowering_platforms=('cuda',)).as_text()
        # A choice already made leaves a `case` of a single branch, which XLA removes.
        chosen = {'case', 'constant', 'return'}
        operations = Counter(op for op in re.findall(r'stablehlo\.(\w+)', text) if op not in chosen)
        return operations, sorted(re.findall(r'dim_numbers = .*?\}', text))

    operations, convolutions = lowered(convolve)
    assert (operations, convolutions) == lowered(plain)
    assert len(convolutions) == operations['convolution'] == 3


def test_the_module_is_flax_conv_with_the_same_parameters():
    x, _ = drawn((8, 8), (3, 3))
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
        assert jax.tree.map(jnp.shape, params) == jax.tree.map(
            jnp.shape, theirs.init(jax.random.key(0), x)
        )
        params = jax.tree.map(lambda p: p + 0.1, params)
        assert_close([ours.apply(params, x)], [theirs.apply(params, x)])


def test_a_wrong_number_of_axes_is_refused():
    with pytest.raises(ValueError, match=r'x has shape \(8, 8, 3\)'):
        Conv(6).init(jax.random.key(0), jnp.zeros((8, 8, 3)))
