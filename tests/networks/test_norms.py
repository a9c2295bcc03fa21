"""Batch normalisation: against float64, over devices, and what it carries."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.norms import BatchNorm
from genjax.parallel import AXIS, device_mean
from genjax.training.mesh import make_mesh, put_batch, replicated


def drawn(shape=(16, 3, 2, 5)):
    """x with a mean and a deviation of each channel, and a cotangent."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape) * np.arange(1, shape[-1] + 1) + np.arange(shape[-1])
    return jnp.asarray(x, jnp.float32), jnp.asarray(rng.normal(size=shape), jnp.float32)


def variables_of(norm, x, *label):
    variables = norm.init(jax.random.key(0), x, *label)
    params = {
        'scale': variables['params']['scale'] + 0.5,
        'bias': variables['params']['bias'] - 0.25,
    }
    return {**variables, 'params': params}


def trained(norm, variables, x, *label):
    return norm.apply(variables, x, *label, mutable=['batch_stats'])


def test_value_and_gradient_equal_the_formulas_in_float64():
    norm, (x, g) = BatchNorm(), drawn()
    variables = variables_of(norm, x)
    y, back = jax.vjp(lambda x: trained(norm, variables, x)[0], x)
    x, g = (np.asarray(a, np.float64) for a in (x, g))
    deviation = np.sqrt(x.var((0, 1, 2)) + 1e-5)
    z = (x - x.mean((0, 1, 2))) / deviation
    np.testing.assert_allclose(y, 1.5 * z - 0.25, atol=1e-5)
    centred = g - g.mean((0, 1, 2)) - z * (g * z).mean((0, 1, 2))  # Ioffe and Szegedy, section 3
    np.testing.assert_allclose(
        back(jnp.asarray(g, jnp.float32))[0], 1.5 * centred / deviation, atol=1e-5
    )


def test_a_pass_from_zeros_leaves_its_batchs_own_statistics():
    norm, (x, _) = BatchNorm(momentum=0.7), drawn()
    variables = variables_of(norm, x)
    assert not any(
        np.any(leaf) for leaf in jax.tree.leaves(variables['batch_stats'])
    )  # whatever x was
    np.testing.assert_allclose(
        norm.apply(variables, x), 1.5 * x - 0.25, rtol=1e-4
    )  # mean 0, variance 1
    y, written = trained(norm, variables, x)
    np.testing.assert_allclose(norm.apply(variables | written, x), y, atol=1e-5)


def test_what_is_carried_is_the_weighted_mean_of_the_steps():
    norm, (x, _) = BatchNorm(momentum=0.7), drawn()
    variables = variables_of(norm, x)
    for shift in (0.0, 2.0):
        variables |= trained(norm, variables, x + shift)[1]
    x = np.asarray(x)
    mean, variance = np.mean(x, (0, 1, 2)) + 2 * 0.3 / (0.3 + 0.7 * 0.3), np.var(x, (0, 1, 2))
    expected = 1.5 * (x - mean) / np.sqrt(variance + 1e-5) - 0.25
    np.testing.assert_allclose(norm.apply(variables, x), expected, atol=1e-4)


def test_one_and_eight_devices_agree_by_jit_and_by_pmap():
    norm, (x, g) = BatchNorm(), drawn()
    variables = variables_of(norm, x)

    def step(variables, x, g):
        def loss(params):
            y, written = trained(norm, {**variables, 'params': params}, jnp.square(x))
            return jnp.mean(jnp.sum(jnp.sin(y) * g, (1, 2, 3))), (y, written)

        gradient, (y, written) = jax.grad(loss, has_aux=True)(variables['params'])
        slope = jax.grad(lambda x: jnp.sum(jnp.sin(trained(norm, variables, x)[0]) * g))(x)
        return y, slope, (device_mean(gradient), written)

    expected, mesh = step(variables, x, g), make_mesh()
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    with jax.set_mesh(mesh):
        split = put_batch(mesh, (x, g))
        jax.tree.map(
            close, jax.jit(step)(jax.device_put(variables, replicated(mesh)), *split), expected
        )

    def whole(a):
        return a.reshape(8, 2, *a.shape[1:])

    y, slope, rest = jax.pmap(step, axis_name=AXIS, in_axes=(None, 0, 0))(
        variables, whole(x), whole(g)
    )
    jax.tree.map(close, (y.reshape(x.shape), slope.reshape(x.shape)), expected[:2])
    jax.tree.map(lambda a, b: close(a, jnp.stack([b] * 8)), rest, expected[2])


def test_each_class_has_its_own_scale_and_bias():
    norm, plain, (x, _) = BatchNorm(classes=3), BatchNorm(), drawn()
    label = jnp.arange(16, dtype=jnp.int32) % 3
    variables = norm.init(jax.random.key(0), x, label)
    params = {
        'scale': jnp.arange(15.0).reshape(3, 5),
        'bias': jnp.cos(jnp.arange(15.0)).reshape(3, 5),
    }
    y, _ = trained(norm, {**variables, 'params': params}, x, label)
    for k in range(3):
        one = {**variables, 'params': {name: rows[k] for name, rows in params.items()}}
        np.testing.assert_allclose(y[label == k], trained(plain, one, x)[0][label == k], atol=1e-4)


def test_what_is_refused():
    x, _ = drawn()
    with pytest.raises(ValueError, match=r'momentum is 1; batch norm needs 0 <= momentum < 1'):
        BatchNorm(momentum=1).init(jax.random.key(0), x)
    with pytest.raises(
        ValueError, match='classes is 3; batch norm needs labels exactly where there are classes'
    ):
        BatchNorm(classes=3).init(jax.random.key(0), x)
