"""The spectrally normalised residual networks: table 4 of the paper, labels, refusals."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.resnet import Discriminator, Generator, doublings
from tests.marks import slow


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def shapes(network, *inputs):
    """The shapes of a network's variables."""
    return jax.eval_shape(network.init, jax.random.key(0), *inputs)


def count(network, *inputs):
    """How many parameters a network has."""
    params = shapes(network, *inputs)['params']
    return sum(math.prod(p.shape) for p in jax.tree.leaves(params))


def test_the_parameters_are_as_many_as_in_table_4():
    z = jnp.zeros((1, 128))
    x = jnp.zeros((1, 32, 32, 3))
    label = jnp.zeros(1, jnp.int32)
    assert count(Generator(), z) == 4_276_739
    assert count(Discriminator(), x) == 1_053_824
    more_rows = 3 * 2 * 2 * 9 * 256  # of the norms in blocks, one for each class
    assert count(Generator(classes=10), z, label) == 4_276_739 + more_rows
    assert count(Discriminator(classes=10), x, label) == 1_053_824 + 10 * 128


def test_every_kernel_of_the_discriminator_has_its_vector_and_it_has_no_batch_norm():
    x = jnp.zeros((1, 32, 32, 3))
    label = jnp.zeros(1, jnp.int32)
    variables = shapes(Discriminator(classes=10), x, label)
    assert set(variables) == {'params', 'spectral'}

    def paths(tree):
        return {tuple(k.key for k in path) for path, _ in jax.tree.leaves_with_path(tree)}

    kernels = {path[:-2] for path in paths(variables['params']) if path[-1] == 'kernel'}
    assert kernels == {path[:-1] for path in paths(variables['spectral'])}
    assert len(kernels) == 12


@pytest.mark.parametrize(('size', 'n'), [(8, 1), (14, 1), (28, 2), (32, 3), (48, 3), (64, 4)])
def test_the_sizes_of_images(size, n):
    assert doublings(size) == n and 4 <= size / 2**n < 8
    generator = Generator(8, size, 1)
    z = jnp.zeros((2, 5))
    x = jax.eval_shape(generator.apply, shapes(generator, z), z)
    assert x.shape == (2, size, size, 1)
    logit, _ = jax.eval_shape(Discriminator(8).init_with_output, jax.random.key(0), x)
    assert logit.shape == (2,)


@pytest.mark.parametrize('classes', [slow(None), 3])
def test_in_the_discriminator_no_example_depends_on_another(classes):
    labels = () if classes is None else (jnp.array([0, 2, 1]),)
    network = Discriminator(8, classes)
    x = normal(3, 8, 8, 1)
    variables = jax.jit(network.init)(jax.random.key(0), x, *labels)
    apply = jax.jit(network.apply)
    y = apply(variables, x, *labels)
    changed = apply(variables, x.at[1].add(1), *labels)
    assert y.shape == (3,) and y.dtype == jnp.float32
    np.testing.assert_array_equal(np.delete(changed, 1), np.delete(y, 1))
    assert not np.isclose(changed[1], y[1])
    if labels:
        relabelled = apply(variables, x, labels[0].at[1].set(0))
        assert not np.isclose(relabelled[1], y[1]) and relabelled[0] == y[0]


def test_labels_enter_the_discriminator_as_a_projection():
    """Without its first term the logit is linear in the label's row, of which the norm is one."""
    network = Discriminator(8, 3)
    x = normal(2, 8, 8, 1)
    variables = jax.jit(network.init)(jax.random.key(0), x, jnp.zeros(2, jnp.int32))
    params = variables['params']

    def logits(kernel, label):
        changed = params | {'label': {'weights': {'kernel': kernel}}}
        return network.apply(variables | {'params': changed}, x, jnp.full(2, label))

    kernel = params['label']['weights']['kernel']
    np.testing.assert_allclose(logits(kernel, 0), logits(5 * kernel, 0), rtol=1e-4)
    np.testing.assert_allclose(logits(kernel[::-1], 0), logits(kernel, 2), rtol=1e-4)


def test_the_generator_mixes_examples_only_in_training():
    network = Generator(8, 8, 1, classes=3)
    z = normal(4, 5)
    label = jnp.array([0, 1, 2, 0])
    variables = jax.jit(network.init)(jax.random.key(0), z, label)

    @jax.jit
    def apply_training(z):
        return network.apply(variables, z, label, mutable=['batch_stats'])

    changed_z = z.at[1].add(1)
    y, statistics = apply_training(z)
    assert y.shape == (4, 8, 8, 1) and float(jnp.abs(y).max()) <= 1
    changed, _ = apply_training(changed_z)
    assert not np.allclose(changed[0], y[0])

    @jax.jit
    def sample(z):
        return network.apply(variables | statistics, z, label)

    np.testing.assert_array_equal(sample(changed_z)[0], sample(z)[0])


def test_the_gradient_of_a_slope_penalty_is_orthogonal_to_each_normalised_kernel():
    """The penalty does not depend on a kernel's length (Euler's theorem)."""
    network = Discriminator(8)
    x = normal(2, 8, 8, 1)
    variables = jax.jit(network.init)(jax.random.key(0), x)

    def sum_of_logits(params, x):
        return jnp.sum(network.apply(variables | {'params': params}, x))

    def penalty(params):
        return jnp.sum(jax.grad(sum_of_logits, 1)(params, x) ** 2)

    params = variables['params']
    gradient = jax.jit(jax.grad(penalty))(params)
    pairs = zip(jax.tree.leaves_with_path(gradient), jax.tree.leaves(params), strict=True)
    for (path, g), p in pairs:
        if path[-1].key == 'kernel':
            lengths = float(jnp.linalg.norm(g.ravel()) * jnp.linalg.norm(p.ravel()))
            assert lengths > 0
            assert abs(float(jnp.vdot(g, p))) < 1e-4 * lengths


@pytest.mark.parametrize(
    ('network', 'inputs', 'message'),
    [
        (
            Generator(8, 30),
            (4, 5),
            'size is 30; it must be 4, 5, 6 or 7 pixels doubled at least once',
        ),
        (Generator(8, 7), (4, 5), 'size is 7; it must be'),
        (Generator(8, 8, classes=3), (4, 5), 'classes is 3; labels are missing'),
        (Discriminator(8), (4, 8, 6, 1), r'x has shape \(4, 8, 6, 1\); \[B, H, H, I\] is needed'),
        (Discriminator(8), (4, 9, 9, 1), 'size is 9; it must be'),
    ],
)
def test_misfits_are_refused(network, inputs, message):
    with pytest.raises(ValueError, match=message):
        network.init(jax.random.key(0), jnp.zeros(inputs))
