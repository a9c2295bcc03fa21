"""The arithmetic of programs, against counts by hand."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks.accelerator.flops import matrix_flops
from genjax.networks.convolution import convolve


def zeros(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def test_a_product_has_two_operations_for_each_entry_and_each_term_of_its_sum():
    assert matrix_flops(jnp.matmul, zeros(3, 5), zeros(5, 7)) == 2 * 3 * 5 * 7
    batched = zeros(2, 4, 3, 5), zeros(2, 4, 5, 7)
    assert matrix_flops(jnp.matmul, *batched) == 2 * 4 * 2 * 3 * 5 * 7


def test_a_convolution_has_them_for_each_pixel_channel_and_entry_of_its_kernel():
    def convolve(x, kernel, groups):
        numbers = ('NHWC', 'HWIO', 'NHWC')
        return jax.lax.conv_general_dilated(
            x, kernel, (2, 2), 'SAME', dimension_numbers=numbers, feature_group_count=groups
        )

    x = zeros(3, 8, 8, 6)
    assert matrix_flops(lambda x, k: convolve(x, k, 1), x, zeros(3, 3, 6, 4)) == (
        2 * (3 * 4 * 4 * 4) * (3 * 3 * 6)
    )
    assert matrix_flops(lambda x, k: convolve(x, k, 2), x, zeros(3, 3, 3, 4)) == (
        2 * (3 * 4 * 4 * 4) * (3 * 3 * 3)
    )


@pytest.mark.parametrize('stride', [1, 2])
def test_so_has_ours_and_each_of_its_gradients_also_under_vmap(stride):
    x = zeros(3, 8, 8, 6)
    kernel = zeros(3, 3, 6, 4)
    side = 8 // stride
    forward = 2 * (3 * side * side * 4) * (3 * 3 * 6)

    def convolved(x, kernel):
        return convolve(x, kernel, stride, ((1, 1), (1, 1)))

    def loss(x, kernel):
        return jnp.sum(jnp.square(convolved(x, kernel)))

    assert matrix_flops(convolved, x, kernel) == forward
    assert matrix_flops(jax.grad(loss, (0, 1)), x, kernel) == 3 * forward
    several = zeros(5, 3, 8, 8, 6)
    assert matrix_flops(jax.vmap(convolved, (0, None)), several, kernel) == 5 * forward
    gradient = jax.vmap(jax.grad(loss, (0, 1)), (0, None))
    assert matrix_flops(gradient, several, kernel) == 15 * forward


def test_gradients_of_both_sides_are_as_much_again_each():
    def loss(x, w):
        return jnp.sum(jnp.square(x @ w))

    arguments = zeros(3, 5), zeros(5, 7)
    forward = matrix_flops(loss, *arguments)
    assert matrix_flops(jax.grad(loss, (0, 1)), *arguments) == 3 * forward


@pytest.mark.parametrize('wrap', [jax.jit, jax.checkpoint, lambda f: f], ids=['jit', 'remat', ''])
def test_what_is_within_other_programs_counts_and_what_is_repeated_counts_so_often(wrap):
    product = 2 * 4 * 4 * 4

    def repeated(x):
        step = wrap(lambda x, _: (x @ x, None))
        return jax.lax.scan(step, x, length=6)[0]

    def either(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, lambda x: x, x)

    assert matrix_flops(repeated, zeros(4, 4)) == 6 * product
    assert matrix_flops(wrap(either), zeros(4, 4)) == 2 * product


def test_of_programs_for_several_platforms_that_for_all_others_counts():
    def either(x):
        return jax.lax.platform_dependent(x, cpu=lambda x: x @ x @ x, default=lambda x: x @ x)

    assert matrix_flops(either, zeros(4, 4)) == 2 * 4 * 4 * 4


def test_what_is_no_product_counts_nothing():
    assert matrix_flops(lambda x: jnp.sum(jnp.exp(x) * x), zeros(100, 100)) == 0
