"""A trilinear form: every derivative against those of the plain formula, and whose code it is."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.trilinear import trilinear
from tests.trees import assert_trees_close

SHAPES = ((3, 2), (2, 4), (3, 4))  # of a, b, c in T = tr(c^T a b)


def codes_of(factor):
    """The derivatives of factor T by a, by b and by c."""

    def by_a(b, c, shape, options):
        assert shape == SHAPES[0] and options == 'none'
        return factor * c @ b.T

    def by_b(a, c, shape, options):
        assert shape == SHAPES[1] and options == 'none'
        return factor * a.T @ c

    def by_c(a, b, shape, options):
        assert shape == SHAPES[2] and options == 'none'
        return factor * a @ b

    return by_a, by_b, by_c


derivative = trilinear('product', cpu=codes_of(1), default=codes_of(5))


def product(a, b):
    return derivative(2, a, b, SHAPES[2], 'none')


def inputs(*sizes):
    """a and b, each with further leading axes of these sizes."""
    rng = np.random.default_rng(0)
    return tuple(
        jnp.asarray(rng.normal(size=(*sizes, *shape)), jnp.float32) for shape in SHAPES[:2]
    )


def curved(f, a, b):
    return jnp.sum(jnp.sin(f(a, b)))


def first(f, a, b):
    return jax.grad(partial(curved, f), (0, 1))(a, b)


def forward(f, a, b):
    return jax.jvp(f, (a, b), (jnp.cos(a), jnp.cos(b)))


def reverse_over_reverse(f, a, b):
    def squares(a, b):
        return sum(jnp.sum(jnp.sin(g)) for g in first(f, a, b))

    return jax.grad(squares, (0, 1))(a, b)


def reverse_over_forward(f, a, b):
    def slope(a, b):
        return jnp.sum(jnp.sin(forward(f, a, b)[1]))

    return jax.grad(slope, (0, 1))(a, b)


def forward_over_forward(f, a, b):
    return forward(lambda a, b: forward(f, a, b)[1], a, b)


def third(f, a, b):
    def squares(a, b):
        return sum(jnp.sum(jnp.sin(g)) for g in reverse_over_reverse(f, a, b))

    return jax.grad(squares, (0, 1))(a, b)


DERIVATIVES = (
    first,
    forward,
    reverse_over_reverse,
    reverse_over_forward,
    forward_over_forward,
    third,
)


@pytest.mark.parametrize('derive', DERIVATIVES)
def test_all_derivatives_are_those_of_the_formula(derive):
    a, b = inputs()
    assert_trees_close(
        jax.jit(partial(derive, product))(a, b), derive(jnp.matmul, a, b), rtol=1e-5, atol=1e-5
    )


AXES = [axes for axes in itertools.product((0, None, 1), repeat=2) if axes != (None, None)]


@pytest.mark.parametrize('axes', AXES)
@pytest.mark.parametrize('derive', [first, forward, reverse_over_reverse])
def test_mapped_within_a_derivative_and_around_it(derive, axes):
    def arguments():
        stacked = inputs(5)
        plain = inputs()
        for x, one, axis in zip(stacked, plain, axes, strict=True):
            yield one if axis is None else jnp.moveaxis(x, 0, axis)

    a, b = arguments()

    def within(f):
        return jax.jit(partial(derive, jax.vmap(f, axes)))(a, b)

    def around(f):
        return jax.jit(jax.vmap(partial(derive, f), axes))(a, b)

    assert_trees_close(within(product), within(jnp.matmul), rtol=1e-5, atol=1e-5)
    assert_trees_close(around(product), around(jnp.matmul), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('axes', [((0, None), (None, 0)), ((None, 0), (0, 0)), ((0, 0), (0, None))])
def test_mapped_twice(axes):
    outer, inner = axes
    shapes = []
    for i, shape in enumerate(SHAPES[:2]):
        sizes = [6] * (outer[i] is not None) + [5] * (inner[i] is not None)
        shapes.append((*sizes, *shape))
    rng = np.random.default_rng(1)
    a, b = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)

    def gradients(f):
        return first(jax.vmap(jax.vmap(f, inner), outer), a, b)

    assert_trees_close(gradients(product), gradients(jnp.matmul), rtol=1e-5, atol=1e-5)


def test_each_platform_has_its_own_code_in_derivatives_too():
    a, b = inputs()
    program = jax.jit(partial(first, product)).trace(a, b)
    assert '5.0' not in program.lower(lowering_platforms=('cpu',)).as_text()
    assert program.lower(lowering_platforms=('cuda',)).as_text().count('5.0') >= 3
