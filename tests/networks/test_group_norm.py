"""Group normalisation in few passes: against flax's in float64, and what it keeps."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.group_norm import group_norm
from tests.networks.scale import assert_trees_close_to_scale

B, H, W, C, G = 3, 6, 5, 12, 4
SILU = dict(groups=G, activation=nn.silu)


def inputs():
    """x, gain and bias in float64, of no special value."""
    rng = np.random.default_rng(0)
    x = 2 + 3 * rng.normal(size=(B, H, W, C))
    return x, 1 + 0.5 * rng.normal(size=C), rng.normal(size=C)


def ours(x, gain, bias):
    return group_norm(x, gain, bias, **SILU)


def flax_norm(x, gain, bias):
    layer = nn.GroupNorm(G, epsilon=1e-6, dtype=x.dtype, param_dtype=x.dtype)
    with jax.numpy_dtype_promotion('standard'):  # flax asks what float64 and float32 have in common
        return nn.silu(layer.apply({'params': {'scale': gain, 'bias': bias}}, x))


def weighed(f):
    """A sum of f's numbers with weights that differ, curved so that it has second derivatives."""

    def total(*arguments):
        y = f(*arguments)
        weights = jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
        return jnp.sum(weights * jnp.sin(y))

    return total


@pytest.mark.parametrize('order', ['value', 'first', 'second', 'forward over reverse'])
def test_it_is_flax_norm_and_silu_in_float64(order):
    def gradient(f):
        return jax.grad(weighed(f), (0, 1, 2))

    def slope_of_gradient(f):
        def squares(*arguments):
            return sum(jnp.sum(jnp.sin(g)) for g in gradient(f)(*arguments))

        return jax.grad(squares, (0, 1, 2))

    def curvature(f):
        def along(*arguments):
            return jax.jvp(gradient(f), arguments, jax.tree.map(jnp.cos, arguments))[1]

        return along

    derivative = {
        'value': lambda f: f,
        'first': gradient,
        'second': slope_of_gradient,
        'forward over reverse': curvature,
    }[order]
    with jax.enable_x64(True):
        arguments = tuple(map(jnp.asarray, inputs()))
        actual = jax.jit(derivative(ours))(*arguments)
        expected = jax.jit(derivative(flax_norm))(*arguments)
        assert jax.tree.leaves(actual)[0].dtype == jnp.float64
        assert_trees_close_to_scale(actual, expected, rtol=0, atol=1e-12)


def test_forwards_and_in_reverse_are_one_linear_map():
    with jax.enable_x64(True):
        arguments = tuple(map(jnp.asarray, inputs()))
        tangents = jax.tree.map(jnp.sin, arguments)
        key = jax.random.key(0)
        f = partial(group_norm, **SILU, key=key, rate=0.3)
        y, dy = jax.jvp(f, arguments, tangents)
        _, pull_back = jax.vjp(f, *arguments)
        u = jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
        pulled = pull_back(u)
        inner = sum(jnp.vdot(a, b) for a, b in zip(pulled, tangents, strict=True))
        np.testing.assert_allclose(jnp.vdot(u, dy), inner, rtol=1e-12)


def test_bfloat16_is_float64_rounded_and_so_are_its_gradients():
    x, gain, bias = inputs()
    half = jnp.asarray(x, jnp.bfloat16)
    arguments = (half, jnp.asarray(gain, jnp.float32), jnp.asarray(bias, jnp.float32))
    y, pull_back = jax.vjp(ours, *arguments)
    u = jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape).astype(jnp.bfloat16)
    gradients = pull_back(u)
    assert [a.dtype for a in (y, *gradients)] == [jnp.bfloat16] * 2 + [jnp.float32] * 2

    with jax.enable_x64(True):
        exact = tuple(jnp.asarray(np.asarray(a, np.float64)) for a in arguments)
        exact_y, exact_pull_back = jax.vjp(flax_norm, *exact)
        exact_gradients = exact_pull_back(jnp.asarray(np.asarray(u, np.float64)))
    # One rounding to eight bits at the end; the sums for gain and bias are float32.
    unit = 2.0**-8
    assert_trees_close_to_scale(y, exact_y, rtol=unit, atol=1e-5)
    assert_trees_close_to_scale(gradients[0], exact_gradients[0], rtol=unit, atol=1e-5)
    assert_trees_close_to_scale(gradients[1:], exact_gradients[1:], rtol=0, atol=1e-5)


@pytest.mark.parametrize('rate', [0.0, 0.3])
@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_of_the_inside_only_statistics_are_kept(dtype, rate):
    x, gain, bias = (jnp.asarray(a, jnp.float32) for a in inputs())
    x = x.astype(dtype)
    key = jax.random.key(0) if rate else None

    def kept(x, gain, bias):
        f = partial(group_norm, **SILU, key=key, rate=rate)
        return jax.tree.leaves(jax.vjp(f, x, gain, bias)[1])

    residuals = jax.eval_shape(kept, x, gain, bias)
    large = [(a.shape, a.dtype) for a in residuals if a.size >= x.size]
    small = sorted(a.shape for a in residuals if a.size < x.size and a.dtype == jnp.float32)
    assert large == [(x.shape, dtype)]
    assert small == [(B, G), (B, G), (C,), (C,)]


def test_what_is_dropped_passes_no_gradient_and_the_rest_is_scaled():
    x, gain, bias = (jnp.asarray(a, jnp.float32) for a in inputs())
    f = partial(group_norm, groups=G, key=jax.random.key(0), rate=0.3)
    y, pull_back = jax.vjp(lambda bias: f(x, gain, bias), bias)
    whole = group_norm(x, gain, bias, G)
    kept = np.asarray(y) != 0
    assert 0.5 < kept.mean() < 0.9
    np.testing.assert_allclose(y[kept], whole[kept] / 0.7, rtol=1e-5)
    (gradient,) = pull_back(jnp.ones_like(y))
    np.testing.assert_allclose(gradient, kept.sum((0, 1, 2)) / 0.7, rtol=1e-5)
