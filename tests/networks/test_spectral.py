"""Spectral normalisation against numpy's singular values and the paper's own formula of the
gradient."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genjax.networks.conv import Conv
from genjax.networks.spectral import Spectral, spectral_norm

LAYER = Spectral(Conv(6))


def begun(layer=LAYER, shape=(2, 5, 5, 3)):
    x = jax.random.normal(jax.random.key(1), shape)
    return layer.init(jax.random.key(0), x), x


def settled(layer, variables, x, steps=100):
    """The variables after so many passes in which the vectors may move."""

    def step(_, variables):
        return variables | layer.apply(variables, x, mutable=['spectral'])[1]

    return jax.jit(lambda variables: jax.lax.fori_loop(0, steps, step, variables))(variables)


def test_the_norm_is_the_largest_singular_value_after_enough_iterations():
    W = jax.random.normal(jax.random.key(0), (40, 7))
    values = np.linalg.svd(np.asarray(W, np.float64), compute_uv=False)
    sigma, u = spectral_norm(W, jnp.eye(7)[0], 200)
    np.testing.assert_allclose(sigma, values[0], rtol=1e-5)
    np.testing.assert_allclose(jnp.sum(u**2), 1, rtol=1e-5)
    estimates = [float(spectral_norm(W, jnp.eye(7)[0], steps)[0]) for steps in range(6)]
    assert estimates == sorted(estimates) and estimates[0] < estimates[-1] <= values[0] * (1 + 1e-5)


def test_the_normalised_kernel_is_applied_and_has_norm_one():
    variables, x = begun()
    variables = settled(LAYER, variables, x)
    params = jax.tree.map(lambda p: np.asarray(p, np.float64), variables['params']['weights'])
    sigma = np.linalg.svd(params['kernel'].reshape(-1, 6), compute_uv=False)[0]
    divided = {
        'params': {
            'kernel': jnp.float32(params['kernel'] / sigma),
            'bias': jnp.float32(params['bias']),
        }
    }
    np.testing.assert_allclose(LAYER.apply(variables, x), Conv(6).apply(divided, x), atol=1e-5)
    dense = Spectral(nn.Dense(5, use_bias=False))
    variables, _ = begun(dense, (1, 8))
    variables = settled(dense, variables, jnp.ones((1, 8)))
    matrix = dense.apply(variables, jnp.eye(8))  # the layer as a map
    np.testing.assert_allclose(np.linalg.svd(matrix, compute_uv=False)[0], 1, rtol=1e-5)


def test_the_gradient_is_equation_12_of_the_paper():
    dense = Spectral(nn.Dense(4, use_bias=False))
    variables, x = begun(dense, (3, 6))

    def loss(params):
        return jnp.sum(jnp.sin(dense.apply(variables | {'params': params}, x)))

    ours = jax.grad(loss)(variables['params'])['weights']['kernel']
    W = np.asarray(
        variables['params']['weights']['kernel'], np.float64
    ).T  # [O, N], as in the paper
    h, u_ = np.asarray(x, np.float64), np.asarray(variables['spectral']['u'], np.float64)
    v = W.T @ u_ / np.linalg.norm(W.T @ u_)
    sigma = u_ @ W @ v
    delta = np.cos(h @ W.T / sigma)  # the loss's derivative with respect to each output, [B, O]
    lambda_ = np.sum(delta * (h @ W.T / sigma))
    np.testing.assert_allclose(
        ours, ((delta.T @ h - lambda_ * np.outer(u_, v)) / sigma).T, rtol=1e-4, atol=1e-5
    )


def test_the_vectors_move_only_where_they_are_mutable():
    variables, x = begun()
    y, moved = LAYER.apply(variables, x, mutable=['spectral'])
    assert not np.allclose(moved['spectral']['u'], variables['spectral']['u'])
    fixed, unmoved = LAYER.apply(variables, x, mutable=['params'])
    np.testing.assert_array_equal(fixed, LAYER.apply(variables, x))
    assert 'spectral' not in unmoved and not np.allclose(y, fixed)


def test_one_pass_is_one_iteration_of_algorithm_1():
    variables, x = begun()
    W = np.asarray(variables['params']['weights']['kernel'], np.float64).reshape(-1, 6)
    v = W @ np.asarray(variables['spectral']['u'], np.float64)
    u = W.T @ (v / np.linalg.norm(v))
    moved = LAYER.apply(variables, x, mutable=['spectral'])[1]
    np.testing.assert_allclose(moved['spectral']['u'], u / np.linalg.norm(u), atol=1e-6)


def test_the_vectors_begin_with_length_one_whatever_the_data():
    variables, x = begun()
    other = LAYER.init(jax.random.key(0), 7 * x + 1)
    jax.tree.map(np.testing.assert_array_equal, variables, other)
    np.testing.assert_allclose(jnp.sum(variables['spectral']['u'] ** 2), 1, rtol=1e-6)
    elsewhere = LAYER.init(jax.random.key(1), x)
    assert not np.allclose(elsewhere['spectral']['u'], variables['spectral']['u'])
