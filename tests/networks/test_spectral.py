"""Spectral normalisation against numpy's singular values, and the paper's gradient."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genjax.networks.conv import Conv
from genjax.networks.spectral import Spectral, spectral_norm
from tests.trees import assert_trees_equal

LAYER = Spectral(Conv(6))


def initialised(layer=LAYER, shape=(2, 5, 5, 3)):
    """Variables of a layer, and its normal input."""
    x = jax.random.normal(jax.random.key(1), shape)
    return layer.init(jax.random.key(0), x), x


def converged(layer, variables, x, steps=100):
    """The variables after so many training passes, each an iteration of the vectors."""

    def step(_, variables):
        _, vectors = layer.apply(variables, x, mutable=['spectral'])
        return variables | vectors

    @jax.jit
    def iterate(variables):
        return jax.lax.fori_loop(0, steps, step, variables)

    return iterate(variables)


def test_the_norm_is_the_largest_singular_value_after_enough_iterations():
    W = jax.random.normal(jax.random.key(0), (40, 7))
    values = np.linalg.svd(np.asarray(W, np.float64), compute_uv=False)
    sigma, u = spectral_norm(W, jnp.eye(7)[0], 200)
    np.testing.assert_allclose(sigma, values[0], rtol=1e-5)
    np.testing.assert_allclose(jnp.sum(u**2), 1, rtol=1e-5)

    estimates = []
    for steps in range(6):
        estimate, _ = spectral_norm(W, jnp.eye(7)[0], steps)
        estimates.append(float(estimate))
    assert estimates == sorted(estimates)
    assert estimates[0] < estimates[-1] <= values[0] * (1 + 1e-5)


def test_the_normalised_kernel_is_applied_and_has_norm_one():
    variables, x = initialised()
    variables = converged(LAYER, variables, x)
    params = variables['params']['weights']
    kernel = np.asarray(params['kernel'], np.float64)
    sigma, *_ = np.linalg.svd(kernel.reshape(-1, 6), compute_uv=False)
    normalised = {'params': {**params, 'kernel': jnp.float32(kernel / sigma)}}
    np.testing.assert_allclose(LAYER.apply(variables, x), Conv(6).apply(normalised, x), atol=1e-5)

    dense = Spectral(nn.Dense(5, use_bias=False))
    variables, _ = initialised(dense, (1, 8))
    variables = converged(dense, variables, jnp.ones((1, 8)))
    matrix = dense.apply(variables, jnp.eye(8))  # the layer as a map
    sigma, *_ = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(sigma, 1, rtol=1e-5)


def test_the_gradient_is_equation_12_of_the_paper():
    dense = Spectral(nn.Dense(4, use_bias=False))
    variables, x = initialised(dense, (3, 6))

    def loss(params):
        return jnp.sum(jnp.sin(dense.apply(variables | {'params': params}, x)))

    ours = jax.grad(loss)(variables['params'])['weights']['kernel']
    # As in the paper W is [O, N], and u its left vector.
    W = np.asarray(variables['params']['weights']['kernel'], np.float64).T
    u = np.asarray(variables['spectral']['u'], np.float64)
    h = np.asarray(x, np.float64)
    v = W.T @ u / np.linalg.norm(W.T @ u)
    sigma = u @ W @ v
    y = h @ W.T / sigma
    delta = np.cos(y)  # the derivative of the loss with respect to each output, [B, O]
    lambda_ = np.sum(delta * y)
    expected = (delta.T @ h - lambda_ * np.outer(u, v)) / sigma
    np.testing.assert_allclose(ours, expected.T, rtol=1e-4, atol=1e-5)


def test_the_vectors_move_only_where_they_are_mutable():
    variables, x = initialised()
    y, moved = LAYER.apply(variables, x, mutable=['spectral'])
    assert not np.allclose(moved['spectral']['u'], variables['spectral']['u'])
    fixed, unmoved = LAYER.apply(variables, x, mutable=['params'])
    np.testing.assert_array_equal(fixed, LAYER.apply(variables, x))
    assert 'spectral' not in unmoved and not np.allclose(y, fixed)


def test_one_pass_is_one_iteration_of_algorithm_1():
    variables, x = initialised()
    W = np.asarray(variables['params']['weights']['kernel'], np.float64).reshape(-1, 6)
    v = W @ np.asarray(variables['spectral']['u'], np.float64)
    u = W.T @ (v / np.linalg.norm(v))
    moved = LAYER.apply(variables, x, mutable=['spectral'])[1]
    np.testing.assert_allclose(moved['spectral']['u'], u / np.linalg.norm(u), atol=1e-6)


def test_the_vectors_begin_with_length_one_whatever_the_data():
    variables, x = initialised()
    other = LAYER.init(jax.random.key(0), 7 * x + 1)
    assert_trees_equal(variables, other)
    np.testing.assert_allclose(jnp.sum(variables['spectral']['u'] ** 2), 1, rtol=1e-6)
    elsewhere = LAYER.init(jax.random.key(1), x)
    assert not np.allclose(elsewhere['spectral']['u'], variables['spectral']['u'])
