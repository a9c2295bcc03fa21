"""The residual networks without normalisation: parts, initialisation and derivatives."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.flatten_util import ravel_pytree

from genjax.networks.r3gan import Block, Discriminator, Generator, grouped_convolution
from tests.marks import slow
from tests.networks.scale import assert_trees_close_to_scale

SMALL = dict(widths=(16, 8), blocks=1, group=8, side=4)


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def perturbed_params(network, *inputs):
    """Parameters in which no branch is at zero, as after some training."""
    params = jax.jit(network.init)(jax.random.key(0), *inputs)
    leaves, tree = jax.tree.flatten(params)
    perturbed = [p + 0.2 * normal(*p.shape, seed=i) for i, p in enumerate(leaves)]
    return jax.tree.unflatten(tree, perturbed)


def grouped_by_lax(x, kernel, groups):
    axes = ('NHWC', 'HWIO', 'NHWC')
    return lax.conv_general_dilated(
        x, kernel, (1, 1), 'SAME', dimension_numbers=axes, feature_group_count=groups
    )


@pytest.mark.parametrize('groups', [3, 9])  # one by one, and all at once
def test_the_grouped_convolution_and_its_derivatives_are_those_of_lax(groups):
    x = normal(2, 5, 4, 2 * groups)
    kernel = normal(3, 3, 2, 9, seed=1)

    @partial(jax.jit, static_argnums=0)
    def value_and_derivatives(f, x, kernel):
        def loss(x, kernel):
            return jnp.sum(jnp.sin(f(x, kernel, groups)))

        def gradient_penalty(x, kernel):
            return jnp.sum(jax.grad(loss)(x, kernel) ** 2)

        first = jax.grad(loss, (0, 1))(x, kernel)
        second = jax.grad(gradient_penalty, (0, 1))(x, kernel)
        return f(x, kernel, groups), first, second

    ours = value_and_derivatives(grouped_convolution, x, kernel)
    theirs = value_and_derivatives(grouped_by_lax, x, kernel)
    assert_trees_close_to_scale(ours, theirs, rtol=1e-4, atol=1e-5)


def test_an_accelerator_gets_one_grouped_convolution():
    traced = jax.jit(lambda x, kernel: grouped_convolution(x, kernel, 3)).trace(
        normal(2, 5, 4, 6), normal(3, 3, 2, 9)
    )
    text = traced.lower(lowering_platforms=('cuda',)).as_text()
    assert text.count('stablehlo.convolution') == 1 and 'feature_group_count = 3' in text


def test_a_block_begins_as_the_identity_and_its_kernels_with_the_fix_up_scale():
    block = Block(expansion=2, group=16, depth=16)
    x = normal(3, 4, 4, 128)
    params = block.init(jax.random.key(0), x)
    np.testing.assert_array_equal(block.apply(params, x), x)
    params = params['params']
    gain = math.sqrt(2 / 1.04) * 16**-0.25
    assert jnp.std(params['widen']['kernel']) == pytest.approx(gain / math.sqrt(128), rel=0.02)
    assert jnp.std(params['kernel']) == pytest.approx(gain / math.sqrt(9 * 16), rel=0.02)
    assert sum(p.size for p in jax.tree.leaves(params)) == 128 * 256 * 2 + 9 * 16 * 256 + 2 * 256


def test_the_parameters_are_as_many_as_the_official_networks():
    label = jnp.zeros(1, jnp.int32)
    z = jnp.zeros((1, 64))
    x = jnp.zeros((1, 32, 32, 3))
    widths = (768, 768, 768, 768)

    def count(network, *inputs):
        params = jax.eval_shape(network.init, jax.random.key(0), *inputs)
        return sum(math.prod(p.shape) for p in jax.tree.leaves(params))

    assert count(Generator(widths, classes=10), z, label) == 20_781_952
    assert count(Discriminator(widths, classes=10), x, label) == 21_280_512


@pytest.mark.parametrize('classes', [slow(None), 3])
@pytest.mark.slow
def test_shapes_and_no_example_depends_on_another(classes):
    labels = () if classes is None else (jnp.array([0, 2, 1]),)
    generator = Generator(channels=1, classes=classes, **SMALL)
    discriminator = Discriminator(classes=classes, **SMALL)
    cases = [
        (generator, normal(3, 5), (3, 8, 8, 1)),
        (discriminator, normal(3, 8, 8, 1), (3,)),
    ]
    for network, inputs, shape in cases:
        params = perturbed_params(network, inputs, *labels)
        apply = jax.jit(network.apply)
        y = apply(params, inputs, *labels)
        changed = apply(params, inputs.at[1].add(1), *labels)
        assert y.shape == shape and y.dtype == jnp.float32
        np.testing.assert_array_equal(np.delete(changed, 1, 0), np.delete(y, 1, 0))
        assert not np.allclose(changed[1], y[1])
        if labels:
            relabelled = apply(params, inputs, labels[0].at[1].set(0))
            assert not np.allclose(relabelled[1], y[1])


@pytest.mark.slow
def test_the_slope_penalty_has_the_gradient_of_finite_differences():
    discriminator = Discriminator(**SMALL)
    x = normal(2, 8, 8, 1)
    params = perturbed_params(discriminator, x)
    with jax.enable_x64(True):
        x, params = jax.tree.map(lambda a: jnp.asarray(np.asarray(a, np.float64)), (x, params))
        vector, unravel = ravel_pytree(params)

        def sum_of_logits(vector, x):
            return jnp.sum(discriminator.apply(unravel(vector), x))

        @jax.jit
        def penalty(vector):
            return jnp.sum(jax.grad(sum_of_logits, 1)(vector, x) ** 2)

        direction = jnp.cos(jnp.arange(vector.size, dtype=vector.dtype))
        slope = jnp.vdot(jax.jit(jax.grad(penalty))(vector), direction)
        above = penalty(vector + 1e-6 * direction)
        below = penalty(vector - 1e-6 * direction)
        difference = (above - below) / 2e-6
    assert float(slope) == pytest.approx(float(difference), rel=1e-5)


@pytest.mark.parametrize(
    ('network', 'inputs', 'message'),
    [
        (
            Generator(()),
            (4, 5),
            r'widths \(\), blocks 2, group 16, expansion 2, side 4: all must be at least 1',
        ),
        (Generator((20,)), (4, 5), 'group is 16; it must divide 40, a width times expansion'),
        (Generator((16,), classes=3), (4, 5), 'classes is 3; labels are missing'),
        (
            Discriminator((16, 16)),
            (4, 9, 9, 1),
            r'x has shape \(4, 9, 9, 1\); side 4 and 2 widths need \[8, 8\] pixels',
        ),
    ],
)
def test_misfits_are_refused(network, inputs, message):
    with pytest.raises(ValueError, match=message):
        network.init(jax.random.key(0), jnp.zeros(inputs))
