"""lax's convolution, but on a CPU in forms that XLA compiles well.

In jaxlib 0.10.2 two things make lax's convolution slow on a CPU. Its gradients are convolutions of
permuted axes, which leave the fast path inside a loop and there take ten to a hundred times as long
(jax-ml/jax#12868); written as convolutions of NHWC images with HWIO kernels they keep it. And a
library, YNNPACK, takes every convolution that it can and is slower than Eigen, which gets the rest.
With a stride neither does well: there a matrix product of the patches under the kernel is quicker,
as are its transposes. `benchmarks/unet.py` and `benchmarks/gan.py` measure all this.

Shapes: images x [B, H, W, I], kernels [K, L, I, O], outputs y and their gradients g [B, M, N, O].
"""

from functools import partial

import jax
from jax import lax

from genjax.networks.products import (
    Pads,
    kernel_gradient_by_products,
    strided_convolution,
    strided_geometry,
    strided_kernel_gradient,
    transposed_convolution,
)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def convolve(
    x: jax.Array,
    kernel: jax.Array,
    stride: int,
    pads: Pads,
    input_dilation: int = 1,
    kernel_dilation: int = 1,
) -> jax.Array:
    """Slides a kernel over images.

    y[m] = sum_k kernel[k] x'[m stride + k kernel_dilation - before] along both axes, where x' is x
    with input_dilation - 1 zeros between neighbours and `pads` zeros around. Differentiable any
    number of times in reverse mode.

    Args:
      x: [B, H, W, I].
      kernel: [K, L, I, O], of the same type.
      stride: of the output, in pixels.
      pads: zeros (before, after) along the height and along the width; negative ones crop.
      input_dilation: the distance of neighbours of x, in pixels.
      kernel_dilation: the distance of neighbours of the kernel, in pixels.

    Returns:
      [B, M, N, O].
    """
    window = (stride, pads, input_dilation, kernel_dilation)

    def cpu(x, kernel):
        return _cpu_convolution(x, kernel, *window)

    def default(x, kernel):
        return _lax_convolution(x, kernel, *window)

    return lax.platform_dependent(x, kernel, cpu=cpu, default=default)


def _lax_convolution(x, kernel, stride, pads, input_dilation, kernel_dilation):
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=pads,
        lhs_dilation=(input_dilation, input_dilation),
        rhs_dilation=(kernel_dilation, kernel_dilation),
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )


def _cpu_convolution(x, kernel, stride, pads, input_dilation, kernel_dilation):
    """The same y by matrix products, or cropped from one that is a column wider.

    The column is there because YNNPACK declines a convolution whose output is wider than its
    input, and Eigen takes it.
    """
    if stride > input_dilation == kernel_dilation == 1:
        return strided_convolution(x, kernel, stride, pads)
    if input_dilation > stride == kernel_dilation == 1:
        size, pads = strided_geometry(x, kernel, pads, input_dilation)
        return transposed_convolution(x, _flip(kernel), input_dilation, size, pads)
    keeps_width = sum(pads[1]) == kernel_dilation * (kernel.shape[1] - 1)
    if (stride, input_dilation) != (1, 1) or not keeps_width:
        return _lax_convolution(x, kernel, stride, pads, input_dilation, kernel_dilation)
    vertical, (left, right) = pads
    wider = (vertical, (left, right + 1))
    return _lax_convolution(x, kernel, stride, wider, input_dilation, kernel_dilation)[:, :, :-1]


# Derivatives.


def _forward(x, kernel, *window):
    return convolve(x, kernel, *window), (x, kernel)


def _backward(stride, pads, input_dilation, kernel_dilation, inputs, g):
    x, kernel = inputs
    window = (stride, pads, input_dilation, kernel_dilation)

    def cpu(x, kernel, g):
        return _input_gradient(x, kernel, g, *window), _kernel_gradient(x, kernel, g, *window)

    def default(x, kernel, g):
        (dx,) = jax.linear_transpose(lambda x: _lax_convolution(x, kernel, *window), x)(g)
        (dkernel,) = jax.linear_transpose(
            lambda kernel: _lax_convolution(x, kernel, *window), kernel
        )(g)
        return dx, dkernel

    return lax.platform_dependent(x, kernel, g, cpu=cpu, default=default)


convolve.defvjp(_forward, _backward)


def _input_gradient(x, kernel, g, stride, pads, input_dilation, kernel_dilation):
    """The flipped kernel slides over g: stride and input dilation change places."""
    lengths = _dilated_lengths(x, kernel, g, stride, input_dilation, kernel_dilation)
    g_pads = tuple(
        (k - 1 - before, n + before - m)
        for (n, k, m), (before, _) in zip(lengths, pads, strict=True)
    )
    return convolve(g, _flip(kernel), input_dilation, g_pads, stride, kernel_dilation)


def _kernel_gradient(x, kernel, g, stride, pads, input_dilation, kernel_dilation):
    """g slides over x, and sums over the examples as over channels.

    Stride and kernel dilation change places.
    """
    if (stride, input_dilation, kernel_dilation) == (1, 1, 1):
        return kernel_gradient_by_products(x, kernel.shape, g, pads)
    if stride > input_dilation == kernel_dilation == 1:
        return strided_kernel_gradient(x, kernel.shape, g, stride, pads)
    if input_dilation > stride == kernel_dilation == 1:
        _, pads = strided_geometry(x, kernel, pads, input_dilation)
        flipped_shape = _flip(kernel).shape
        return _flip(strided_kernel_gradient(g, flipped_shape, x, input_dilation, pads))
    lengths = _dilated_lengths(x, kernel, g, stride, input_dilation, kernel_dilation)
    x_pads = tuple(
        (before, k + m - n - before - 1)
        for (n, k, m), (before, _) in zip(lengths, pads, strict=True)
    )
    x = x.transpose(3, 1, 2, 0)
    g = g.transpose(1, 2, 0, 3)
    y = convolve(x, g, kernel_dilation, x_pads, input_dilation, stride)
    return y.transpose(1, 2, 0, 3)


def _dilated_lengths(x, kernel, g, stride, input_dilation, kernel_dilation):
    """The lengths (x, kernel, g) along both axes, with the zeros between elements counted in."""

    def extent(size, step):
        return (size - 1) * step + 1

    return [
        (extent(n, input_dilation), extent(k, kernel_dilation), extent(m, stride))
        for n, k, m in zip(x.shape[1:3], kernel.shape[:2], g.shape[1:3], strict=True)
    ]


def _flip(kernel):
    """The kernel of the transpose: pixels in reverse, channels in and out exchanged."""
    return kernel[::-1, ::-1].swapaxes(2, 3)
