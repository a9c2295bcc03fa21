"""lax's convolution, but on a CPU in forms that XLA compiles well.

In jaxlib 0.10.2 two things make lax's convolution slow on a CPU. Its gradients are convolutions of
permuted axes, which leave the fast path inside a loop and there take ten to a hundred times as long
(jax-ml/jax#12868); written as convolutions of NHWC images with HWIO kernels they keep it. And a
library, YNNPACK, takes every convolution that it can and is slower than Eigen, which gets the rest.
With a stride neither does well: there a matrix product of the patches under the kernel is quicker,
as are its transposes. `benchmarks/unet.py` and `benchmarks/gan.py` measure all this.

Shapes: images x [B, H, W, I], kernels [K, L, I, O], outputs y and their gradients g [B, M, N, O].
"""

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
from genjax.networks.trilinear import trilinear


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
    number of times, forwards and in reverse.

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
    window = (stride, tuple(map(tuple, pads)), input_dilation, kernel_dilation)
    y = jax.eval_shape(lambda x, kernel: _lax_convolution(x, kernel, *window), x, kernel)
    return _derivative(2, x, kernel, y.shape, window)


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
        size, pads = strided_geometry(x.shape, kernel.shape, pads, input_dilation)
        return transposed_convolution(x, _flip(kernel), input_dilation, size, pads)
    keeps_width = sum(pads[1]) == kernel_dilation * (kernel.shape[1] - 1)
    if (stride, input_dilation) != (1, 1) or not keeps_width:
        return _lax_convolution(x, kernel, stride, pads, input_dilation, kernel_dilation)
    vertical, (left, right) = pads
    wider = (vertical, (left, right + 1))
    return _lax_convolution(x, kernel, stride, wider, input_dilation, kernel_dilation)[:, :, :-1]


# The derivatives of <g, y> by x, by the kernel and by g; the last one is y. `shape` is that of the
# result, a window (stride, pads, input dilation, kernel dilation).


def _cpu_input_gradient(kernel, g, shape, window):
    """The flipped kernel slides over g: stride and input dilation change places."""
    stride, pads, input_dilation, kernel_dilation = window
    lengths = _dilated_lengths(shape, kernel.shape, g.shape, window)
    g_pads = tuple(
        (k - 1 - before, n + before - m)
        for (n, k, m), (before, _) in zip(lengths, pads, strict=True)
    )
    return convolve(g, _flip(kernel), input_dilation, g_pads, stride, kernel_dilation)


def _cpu_kernel_gradient(x, g, shape, window):
    """g slides over x, and sums over the examples as over channels.

    Stride and kernel dilation change places.
    """
    stride, pads, input_dilation, kernel_dilation = window
    if (stride, input_dilation, kernel_dilation) == (1, 1, 1):
        return kernel_gradient_by_products(x, shape, g, pads)
    if stride > input_dilation == kernel_dilation == 1:
        return strided_kernel_gradient(x, shape, g, stride, pads)
    if input_dilation > stride == kernel_dilation == 1:
        _, pads = strided_geometry(x.shape, shape, pads, input_dilation)
        flipped_shape = (*shape[:2], shape[3], shape[2])
        return _flip(strided_kernel_gradient(g, flipped_shape, x, input_dilation, pads))
    lengths = _dilated_lengths(x.shape, shape, g.shape, window)
    x_pads = tuple(
        (before, k + m - n - before - 1)
        for (n, k, m), (before, _) in zip(lengths, pads, strict=True)
    )
    x = x.transpose(3, 1, 2, 0)
    g = g.transpose(1, 2, 0, 3)
    y = convolve(x, g, kernel_dilation, x_pads, input_dilation, stride)
    return y.transpose(1, 2, 0, 3)


def _cpu_output(x, kernel, shape, window):
    del shape
    return _cpu_convolution(x, kernel, *window)


def _lax_input_gradient(kernel, g, shape, window):
    x = jax.ShapeDtypeStruct(shape, g.dtype)
    (dx,) = jax.linear_transpose(lambda x: _lax_convolution(x, kernel, *window), x)(g)
    return dx


def _lax_kernel_gradient(x, g, shape, window):
    kernel = jax.ShapeDtypeStruct(shape, g.dtype)
    (dkernel,) = jax.linear_transpose(lambda k: _lax_convolution(x, k, *window), kernel)(g)
    return dkernel


def _lax_output(x, kernel, shape, window):
    del shape
    return _lax_convolution(x, kernel, *window)


_derivative = trilinear(
    'convolution',
    cpu=(_cpu_input_gradient, _cpu_kernel_gradient, _cpu_output),
    default=(_lax_input_gradient, _lax_kernel_gradient, _lax_output),
)


def _dilated_lengths(x_shape, kernel_shape, g_shape, window):
    """The lengths (x, kernel, g) along both axes, with the zeros between elements counted in."""
    stride, _, input_dilation, kernel_dilation = window

    def extent(size, step):
        return (size - 1) * step + 1

    return [
        (extent(n, input_dilation), extent(k, kernel_dilation), extent(m, stride))
        for n, k, m in zip(x_shape[1:3], kernel_shape[:2], g_shape[1:3], strict=True)
    ]


def _flip(kernel):
    """The kernel of the transpose: pixels in reverse, channels in and out exchanged."""
    return kernel[::-1, ::-1].swapaxes(2, 3)
