"""Batch normalisation: against float64, over devices, and its accumulated statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.norms import BatchNorm
from genjax.parallel import AXIS, device_mean
from genjax.training import make_mesh
from genjax.training.mesh import put_batch, replicated
from tests.trees import assert_trees_close


def inputs_of(shape=(16, 3, 2, 5)):
    """x with a mean and a deviation of each channel, and a cotangent."""
    rng = np.random.default_rng(0)
    channels = shape[-1]
    x = rng.normal(size=shape) * np.arange(1, channels + 1) + np.arange(channels)
    g = rng.normal(size=shape)
    return jnp.asarray(x, jnp.float32), jnp.asarray(g, jnp.float32)


def variables_of(norm, x):
    """Variables with scale 1.5 and bias -0.25."""
    variables = norm.init(jax.random.key(0), x)
    params = {
        'scale': variables['params']['scale'] + 0.5,
        'bias': variables['params']['bias'] - 0.25,
    }
    return {**variables, 'params': params}


def apply_training(norm, variables, x, *label):
    """y, and the statistics after it, {'batch_stats': ...}."""
    return norm.apply(variables, x, *label, mutable=['batch_stats'])


def test_value_and_gradient_equal_the_formulas_in_float64():
    norm = BatchNorm()
    x, g = inputs_of()
    variables = variables_of(norm, x)
    y, pull_back = jax.vjp(lambda x: apply_training(norm, variables, x)[0], x)
    (gradient,) = pull_back(g)
    x = np.asarray(x, np.float64)
    g = np.asarray(g, np.float64)
    deviation = np.sqrt(x.var((0, 1, 2)) + 1e-5)
    z = (x - x.mean((0, 1, 2))) / deviation
    np.testing.assert_allclose(y, 1.5 * z - 0.25, atol=1e-5)
    centred = g - g.mean((0, 1, 2)) - z * (g * z).mean((0, 1, 2))  # Ioffe and Szegedy, section 3
    np.testing.assert_allclose(gradient, 1.5 * centred / deviation, atol=1e-5)


def test_a_pass_from_zeros_leaves_its_batchs_own_statistics():
    norm = BatchNorm(momentum=0.7)
    x, _ = inputs_of()
    variables = variables_of(norm, x)
    # The example batch leaves no trace: mean 0 and variance 1.
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(variables['batch_stats']))
    np.testing.assert_allclose(norm.apply(variables, x), 1.5 * x - 0.25, rtol=1e-4)
    y, statistics = apply_training(norm, variables, x)
    np.testing.assert_allclose(norm.apply(variables | statistics, x), y, atol=1e-5)


def test_accumulated_statistics_are_the_weighted_mean_of_the_steps():
    norm = BatchNorm(momentum=0.7)
    x, _ = inputs_of()
    variables = variables_of(norm, x)
    for shift in (0.0, 2.0):
        _, statistics = apply_training(norm, variables, x + shift)
        variables |= statistics
    x = np.asarray(x)
    mean = np.mean(x, (0, 1, 2)) + 2 * 0.3 / (0.3 + 0.7 * 0.3)
    variance = np.var(x, (0, 1, 2))
    expected = 1.5 * (x - mean) / np.sqrt(variance + 1e-5) - 0.25
    np.testing.assert_allclose(norm.apply(variables, x), expected, atol=1e-4)


def test_one_and_eight_devices_agree_by_jit_and_by_pmap():
    norm = BatchNorm()
    x, g = inputs_of()
    variables = variables_of(norm, x)

    def step(variables, x, g):
        """(y, gradient of x) of each example, and (gradient of parameters, statistics)."""

        def loss(params):
            y, statistics = apply_training(norm, {**variables, 'params': params}, jnp.square(x))
            return jnp.mean(jnp.sum(jnp.sin(y) * g, (1, 2, 3))), (y, statistics)

        def loss_of_x(x):
            y, _ = apply_training(norm, variables, x)
            return jnp.sum(jnp.sin(y) * g)

        gradient, (y, statistics) = jax.grad(loss, has_aux=True)(variables['params'])
        x_gradient = jax.grad(loss_of_x)(x)
        return (y, x_gradient), (device_mean(gradient), statistics)

    expected = step(variables, x, g)
    mesh = make_mesh()
    with jax.set_mesh(mesh):
        split_x, split_g = put_batch(mesh, (x, g))
        by_jit = jax.jit(step)(jax.device_put(variables, replicated(mesh)), split_x, split_g)
    assert_trees_close(by_jit, expected, rtol=1e-5, atol=1e-5)

    def shares(a):
        return a.reshape(8, 2, *a.shape[1:])

    by_pmap = jax.pmap(step, axis_name=AXIS, in_axes=(None, 0, 0))
    of_examples, of_batch = by_pmap(variables, shares(x), shares(g))
    of_examples = jax.tree.map(lambda a: a.reshape(x.shape), of_examples)
    assert_trees_close(of_examples, expected[0], rtol=1e-5, atol=1e-5)
    on_every_device = jax.tree.map(lambda a: jnp.stack([a] * 8), expected[1])
    assert_trees_close(of_batch, on_every_device, rtol=1e-5, atol=1e-5)


def test_each_class_has_its_own_scale_and_bias():
    norm = BatchNorm(classes=3)
    shared_norm = BatchNorm()
    x, _ = inputs_of()
    label = jnp.arange(16, dtype=jnp.int32) % 3
    variables = norm.init(jax.random.key(0), x, label)
    params = {
        'scale': jnp.arange(15.0).reshape(3, 5),
        'bias': jnp.cos(jnp.arange(15.0)).reshape(3, 5),
    }
    y, _ = apply_training(norm, {**variables, 'params': params}, x, label)
    for k in range(3):
        own_params = {name: rows[k] for name, rows in params.items()}
        expected, _ = apply_training(shared_norm, {**variables, 'params': own_params}, x)
        np.testing.assert_allclose(y[label == k], expected[label == k], atol=1e-4)


def test_what_is_refused():
    x, _ = inputs_of()
    with pytest.raises(ValueError, match=r'momentum is 1; batch norm needs 0 <= momentum < 1'):
        BatchNorm(momentum=1).init(jax.random.key(0), x)
    with pytest.raises(
        ValueError, match='classes is 3; batch norm needs labels exactly where there are classes'
    ):
        BatchNorm(classes=3).init(jax.random.key(0), x)
