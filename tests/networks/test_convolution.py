"""Two routes to one answer: our convolution against lax's, its gradients against lax's own."""

import re
from collections import Counter
from functools import partial

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from genjax.networks.convolution import convolve
from tests.networks.scale import assert_trees_close_to_scale

# Image (H, W), kernel (K, L), stride, padding: those of networks, and some that would show a wrong
# index.
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


def value_and_gradients(f, x, kernel, stride, pads):
    """y of a convolution f, and the gradients of a sum of y with fixed weights."""
    y, pull_back = jax.vjp(lambda x, kernel: f(x, kernel, stride, pads), x, kernel)
    weights = jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
    return y, *pull_back(weights.astype(y.dtype))


def assert_close(ours, theirs, tolerance=1e-5):
    assert_trees_close_to_scale(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize('case', CASES)
def test_value_and_gradients_equal_those_of_lax(case):
    size, kernel_size, stride, pads = case
    x, kernel = inputs_of(size, kernel_size)

    @partial(jax.jit, static_argnums=0)
    def evaluate(f, x, kernel):
        return value_and_gradients(f, x, kernel, stride, pads)

    assert_close(evaluate(convolve, x, kernel), evaluate(lax_convolution, x, kernel))


@pytest.mark.parametrize(
    ('kernel_size', 'dilation', 'pads'),
    [((4, 4), 2, ((2, 2), (2, 2))), ((3, 5), 3, ((1, 2), (4, 0)))],
)
def test_with_an_input_dilation_all_derivatives_equal_those_of_lax(kernel_size, dilation, pads):
    x, kernel = inputs_of((4, 3), kernel_size, examples=6)  # two at a time

    def ours(x, kernel, stride, pads):
        return convolve(x, kernel, stride, pads, dilation)

    def theirs(x, kernel, stride, pads):
        return lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            pads,
            lhs_dilation=(dilation, dilation),
            dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        )

    @partial(jax.jit, static_argnums=0)
    def value_and_derivatives(f, x, kernel):
        def loss(x, kernel):
            return jnp.sum(jnp.sin(f(x, kernel, 1, pads)))

        def gradient_penalty(x, kernel):
            return sum(jnp.sum(g**2) for g in jax.grad(loss, (0, 1))(x, kernel))

        first = value_and_gradients(f, x, kernel, 1, pads)
        second = jax.grad(gradient_penalty, (0, 1))(x, kernel)
        return first, second

    assert_close(
        value_and_derivatives(ours, x, kernel), value_and_derivatives(theirs, x, kernel), 3e-5
    )


@pytest.mark.parametrize('case', [CASES[0], CASES[1]])
def test_the_same_inside_a_loop_of_unknown_length(case):
    size, kernel_size, stride, pads = case
    x, kernel = inputs_of(size, kernel_size)

    @partial(jax.jit, static_argnums=0)
    def descend(f, steps, x, kernel):
        def step(_, kernel):
            _, _, gradient = value_and_gradients(f, x, kernel, stride, pads)
            return kernel - 0.01 * gradient

        return lax.fori_loop(0, steps, step, kernel)

    assert_close(descend(convolve, 3, x, kernel), descend(lax_convolution, 3, x, kernel))


def test_the_same_mapped_over_replicas_and_rematerialised():
    _, kernel_size, stride, pads = CASES[0]
    x, kernel = (jnp.stack([a, -2 * a]) for a in inputs_of((6, 4), kernel_size))

    def mapped(f):
        return jax.vmap(lambda x, k: value_and_gradients(f, x, k, stride, pads))(x, kernel)

    rematerialised = jax.checkpoint(convolve, static_argnums=(2, 3))
    assert_close(mapped(rematerialised), mapped(lax_convolution))


@pytest.mark.parametrize('case', [CASES[0], CASES[2]])
def test_second_derivatives_equal_those_of_lax(case):
    size, kernel_size, stride, pads = case

    x, kernel = inputs_of(size, kernel_size, examples=2)

    def gradient_penalty(f, x, kernel):  # as of a GAN
        gradient = jax.grad(lambda x: jnp.sum(jnp.sin(f(x, kernel, stride, pads))))(x)
        return jnp.sum(jnp.square(gradient))

    slope = jax.jit(jax.grad(gradient_penalty, (1, 2)), static_argnums=0)
    assert_close(slope(convolve, x, kernel), slope(lax_convolution, x, kernel), 3e-5)


@pytest.mark.parametrize('case', [CASES[0], CASES[1], CASES[4]])
def test_forward_derivatives_and_gradients_of_them_equal_those_of_lax(case):
    size, kernel_size, stride, pads = case
    x, kernel = inputs_of(size, kernel_size, examples=2)

    def slope(f, x, kernel):
        g = partial(f, stride=stride, pads=pads)
        return jax.jvp(g, (x, kernel), (jnp.cos(x), jnp.sin(kernel)))[1]

    @partial(jax.jit, static_argnums=0)
    def slope_and_gradients(f, x, kernel):
        def curved(x, kernel):
            return jnp.sum(jnp.sin(slope(f, x, kernel)))

        return slope(f, x, kernel), jax.grad(curved, (0, 1))(x, kernel)

    assert_close(
        slope_and_gradients(convolve, x, kernel), slope_and_gradients(lax_convolution, x, kernel)
    )


def test_bfloat16_agrees_to_its_own_rounding():
    size, kernel_size, stride, pads = CASES[0]
    x, kernel = inputs_of(size, kernel_size)
    theirs = value_and_gradients(lax_convolution, x, kernel, stride, pads)
    ours = value_and_gradients(
        convolve, x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16), stride, pads
    )
    assert all(a.dtype == jnp.bfloat16 for a in ours)
    assert_close(ours, theirs, 2e-2)


@pytest.mark.parametrize('case', [CASES[0], CASES[1]])
def test_the_same_over_eight_devices(case):
    size, kernel_size, stride, pads = case
    x, kernel = inputs_of(size, kernel_size, examples=16)
    mesh = jax.make_mesh((8,), ('data',), axis_types=(AxisType.Auto,))
    split_x = jax.device_put(x, NamedSharding(mesh, PartitionSpec('data')))
    replicated_kernel = jax.device_put(kernel, NamedSharding(mesh, PartitionSpec()))

    @jax.jit
    def evaluate(x, kernel):
        return value_and_gradients(convolve, x, kernel, stride, pads)

    assert_close(evaluate(split_x, replicated_kernel), evaluate(x, kernel))

    def mean_gradient(f, x):
        return jax.grad(lambda kernel: jnp.mean(jnp.sin(f(x, kernel, stride, pads))))(kernel)

    def device_gradient(x):
        return lax.pmean(mean_gradient(convolve, x), 'data')

    gradients = jax.pmap(device_gradient, axis_name='data')(x.reshape(8, 2, *x.shape[1:]))
    assert_close(gradients[0], mean_gradient(lax_convolution, x))


@pytest.mark.parametrize('case', [CASES[0], CASES[1]])
def test_an_accelerator_gets_plain_convolutions_only(case):
    size, kernel_size, stride, pads = case
    x, kernel = inputs_of(size, kernel_size)

    @partial(jax.jit, static_argnums=0)
    def evaluate(f, x, kernel):
        return value_and_gradients(f, x, kernel, stride, pads)

    def lowered(f):
        traced = evaluate.trace(f, x, kernel)
        text = traced.lower(lowering_platforms=('cuda',)).as_text()
        operations = Counter(re.findall(r'stablehlo\.(\w+)', text))
        # A choice already made leaves a `case` of a single branch, which XLA removes.
        for name in ('case', 'constant', 'return'):
            operations.pop(name, None)
        return operations, sorted(re.findall(r'dim_numbers = .*?\}', text))

    operations, convolutions = lowered(convolve)
    assert (operations, convolutions) == lowered(lax_convolution)
    assert len(convolutions) == operations['convolution'] == 3
