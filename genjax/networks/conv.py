"""The convolution of every image network: lax's own, but on a CPU in forms that XLA compiles well.

In jaxlib 0.10.2 two things make lax's convolution slow on a CPU. Its gradients are convolutions of
permuted axes, which leave the fast path inside a loop and there take ten to a hundred times as long
(jax-ml/jax#12868); written as convolutions of NHWC images with HWIO kernels they keep it. And a
library, YNNPACK, takes every convolution that it can and is slower than Eigen, which gets the rest.
With a stride neither does well: there a matrix product of the patches under the kernel is quicker,
as are its transposes. `benchmarks/unet.py` and `benchmarks/gan.py` measure all this.

Shapes in this file: images x [B, H, W, I], kernels [K, L, I, O], outputs y and their gradients g
[B, M, N, O]. Patches are what lies under the kernel at each output pixel, [B, M, N, K L I].
"""

import math
from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

# (before, after) along the height and along the width
Pads = tuple[tuple[int, int], tuple[int, int]]

CHUNK_PIXELS = 4096  # of a matrix product: its copies stay in the cache, and two cores have work
CHUNK_NUMBERS = 2**20  # of the patches of a chunk, 4 MiB of float32, so that they stay in the cache


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
        return _strided_convolution(x, kernel, stride, pads)
    if input_dilation > stride == kernel_dilation == 1:
        size, pads = _strided_geometry(x, kernel, pads, input_dilation)
        return _transposed_convolution(x, _flip(kernel), input_dilation, size, pads)
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
        return _kernel_gradient_by_products(x, kernel.shape, g, pads)
    if stride > input_dilation == kernel_dilation == 1:
        return _strided_kernel_gradient(x, kernel.shape, g, stride, pads)
    if input_dilation > stride == kernel_dilation == 1:
        _, pads = _strided_geometry(x, kernel, pads, input_dilation)
        flipped_shape = _flip(kernel).shape
        return _flip(_strided_kernel_gradient(g, flipped_shape, x, input_dilation, pads))
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


def _kernel_gradient_by_products(x, shape, g, pads):
    """The gradient of a kernel of this shape, one matrix product for all of its pixels.

    L shifts of x along W are multiplied with K shifts of g along H. A convolution would go to
    YNNPACK.
    """
    B, H, _, _ = x.shape
    K, L, I, O = shape  # noqa: E741
    _, M, N, _ = g.shape
    (above, _), (left, right) = pads
    examples = math.gcd(B, _power_of_two_below(CHUNK_PIXELS // (H * N)))

    def add(total, x_and_g):
        x, g = x_and_g
        x = _pad(x, 2, left, right)
        g = _pad(g, 1, K - 1 - above, H + above - M)
        x_shifts = [x[:, :, shift : shift + N] for shift in range(L)]
        g_shifts = [g[:, shift : shift + H] for shift in reversed(range(K))]
        x_rows = jnp.concatenate(x_shifts, -1).reshape(-1, L * I)
        g_rows = jnp.concatenate(g_shifts, -1).reshape(-1, K * O)
        return total + x_rows.T @ g_rows, None

    chunks = (
        x.reshape(B // examples, examples, *x.shape[1:]),
        g.reshape(B // examples, examples, *g.shape[1:]),
    )
    total, _ = lax.scan(add, jnp.zeros((L * I, K * O), x.dtype), chunks)
    return total.reshape(L, I, K, O).transpose(2, 0, 1, 3)


# Convolutions with a stride, and their transposes, as matrix products of patches.


def _strided_convolution(x, kernel, stride, pads):
    K, L, _, O = kernel.shape  # noqa: E741
    M, N = (
        (n + sum(ends) - k) // stride + 1
        for n, k, ends in zip(x.shape[1:3], (K, L), pads, strict=True)
    )

    def product(x):
        return _patches(x, (K, L), stride, pads, (M, N)) @ kernel.reshape(-1, O)

    (chunks,) = _chunks(kernel.shape, (M, N), x)
    return lax.map(product, chunks).reshape(len(x), M, N, O)


def _strided_geometry(x, kernel, pads, input_dilation):
    """((H, W), pads) of the strided convolution whose transpose is one with this input dilation.

    Args:
      x, kernel, pads, input_dilation: of the convolution with an input dilation. (H, W) is the
        size of its output, which the strided one takes back to the size of x.
    """
    kernel_sizes = kernel.shape[:2]
    size = tuple(
        (n - 1) * input_dilation + 2 + sum(ends) - k
        for n, k, ends in zip(x.shape[1:3], kernel_sizes, pads, strict=True)
    )
    strided_pads = tuple(
        (k - 1 - before, k - 1 - after)
        for k, (before, after) in zip(kernel_sizes, pads, strict=True)
    )
    return size, strided_pads


def _transposed_convolution(g, kernel, stride, size, pads):
    """The transpose of `_strided_convolution` of images [*size, I], which is its input gradient."""
    K, L, I, O = kernel.shape  # noqa: E741
    output_size = g.shape[1:3]
    (chunks,) = _chunks(kernel.shape, output_size, g)
    images = jax.ShapeDtypeStruct((chunks.shape[1], *size, I), g.dtype)
    transpose = jax.linear_transpose(
        lambda x: _patches(x, (K, L), stride, pads, output_size), images
    )

    def product(g):
        (x,) = transpose(g @ kernel.reshape(-1, O).T)
        return x

    return lax.map(product, chunks).reshape(-1, *size, I)


def _strided_kernel_gradient(x, shape, g, stride, pads):
    """The gradient of a kernel of this shape in `_strided_convolution`."""
    K, L, I, O = shape  # noqa: E741
    output_size = g.shape[1:3]

    def add(total, x_and_g):
        x, g = x_and_g
        patches = _patches(x, (K, L), stride, pads, output_size)
        return total + g.reshape(-1, O).T @ patches.reshape(-1, K * L * I), None

    chunks = tuple(_chunks(shape, output_size, x, g))
    total, _ = lax.scan(add, jnp.zeros((O, K * L * I), x.dtype), chunks)
    return total.T.reshape(shape)


def _patches(x, kernel_size, stride, pads, output_size):
    """The pixels under the kernel at each output pixel, in its order: [B, M, N, K L I].

    x is cut into blocks of stride x stride pixels, so that whole rows of a block are copied at a
    time.
    """
    B, H, W, I = x.shape  # noqa: E741
    K, L = kernel_size
    M, N = output_size
    (above, _), (left, _) = pads
    block_rows = M - 1 + -(-K // stride)
    block_columns = N - 1 + -(-L // stride)
    x = _pad(x, 1, above, stride * block_rows - H - above)
    x = _pad(x, 2, left, stride * block_columns - W - left)
    x = x.reshape(B, block_rows, stride, block_columns, stride * I)

    rows = []
    for k in range(K):
        for j in range(0, L, stride):
            block_row = k // stride
            block_column = j // stride
            width = min(stride, L - j)
            row = x[
                :,
                block_row : block_row + M,
                k % stride,
                block_column : block_column + N,
                : width * I,
            ]
            rows.append(row)
    return jnp.concatenate(rows, -1)


def _chunks(kernel_shape, output_size, *arrays):
    """Arrays [B, ...] as [n, B / n, ...], such that the patches of B / n examples stay small."""
    patch_numbers = math.prod((*kernel_shape[:3], *output_size))
    examples = math.gcd(len(arrays[0]), _power_of_two_below(CHUNK_NUMBERS // patch_numbers))
    return [a.reshape(-1, examples, *a.shape[1:]) for a in arrays]


def _power_of_two_below(n):
    """The largest power of two that is at most n; 1 for n below 1."""
    return 1 << (max(1, n).bit_length() - 1)


def _flip(kernel):
    """The kernel of the transpose: pixels in reverse, channels in and out exchanged."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _pad(x, axis, before, after):
    """Zeros before and after x along an axis; negative numbers crop."""
    ends = [(0, 0, 0)] * x.ndim
    ends[axis] = (before, after, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), ends)


class Conv(nn.Module):
    """A convolution; parameters as in flax.linen.Conv, `kernel` [*kernel, I, features] and `bias`.

    Args:
      features: output channels O.
      kernel: height and width of the kernel, in pixels.
      strides: of the kernel along both axes, in pixels.
      padding: 'SAME', 'VALID' or zeros (before, after) along the height and along the width, as in
        lax.
      dtype: of the computation and of the result; parameters stay float32.
      kernel_init: of the kernel.
      bias: whether there is one.
      input_dilation: x has input_dilation - 1 zeros between neighbours, which makes the layer the
        transpose of a convolution with that stride; then `padding` must be numbers.
    """

    features: int
    kernel: tuple[int, int] = (3, 3)
    strides: int = 1
    padding: str | Sequence[tuple[int, int]] = 'SAME'
    dtype: jnp.dtype = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias: bool = True
    input_dilation: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, H, W, I] -> [B, M, N, features].

        Raises:
          ValueError: x has another number of axes, or features is below 1.
        """
        if x.ndim != 4:
            raise ValueError(f'x has shape {x.shape}; a convolution needs [B, H, W, channels]')
        if self.features < 1:
            raise ValueError(f'features is {self.features}; a convolution needs at least 1')
        kernel = self.param('kernel', self.kernel_init, (*self.kernel, x.shape[-1], self.features))
        y = convolve(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            self.strides,
            self._pads(x.shape[1:3]),
            self.input_dilation,
        )
        if not self.bias:
            return y
        bias = self.param('bias', nn.initializers.zeros, (self.features,))
        return y + bias.astype(self.dtype).reshape(1, 1, 1, -1)

    def _pads(self, size):
        """Zeros (before, after) along both axes of an image of this height and width."""
        pads = self.padding
        if isinstance(pads, str):
            pads = lax.padtype_to_pads(size, self.kernel, (self.strides, self.strides), pads)
        return tuple(tuple(ends) for ends in pads)
