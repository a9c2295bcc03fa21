"""Convolutions on a CPU as matrix products of patches.

Shapes: images x [B, H, W, I], kernels [K, L, I, O], outputs y and their gradients g [B, M, N, O].
Patches are the pixels under the kernel at each output pixel, [B, M, N, K L I]. `pads` are zeros
around an image, (before, after) along the height and along the width.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array, lax

Pads = tuple[tuple[int, int], tuple[int, int]]

CHUNK_PIXELS = 4096  # of a matrix product: its copies stay in the cache, and two cores have work
CHUNK_NUMBERS = 2**20  # of the patches of a chunk, 4 MiB of float32, so that they stay in the cache


def strided_convolution(x: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """y of a convolution with a stride, [B, M, N, O]."""
    K, L, _, O = kernel.shape  # noqa: E741
    M, N = (
        (n + sum(ends) - k) // stride + 1
        for n, k, ends in zip(x.shape[1:3], (K, L), pads, strict=True)
    )

    def product(x):
        return _patches(x, (K, L), stride, pads, (M, N)) @ kernel.reshape(-1, O)

    (chunks,) = _chunks(kernel.shape, (M, N), x)
    return lax.map(product, chunks).reshape(len(x), M, N, O)


def strided_geometry(
    x_shape: tuple[int, ...], kernel_shape: tuple[int, ...], pads: Pads, input_dilation: int
) -> tuple[tuple[int, int], Pads]:
    """The strided convolution whose transpose is one with this input dilation.

    Args:
      x_shape, kernel_shape, pads, input_dilation: of the convolution with an input dilation.

    Returns:
      (H, W) of the images and the pads of the strided convolution; its output has the size of x.
    """
    kernel_sizes = kernel_shape[:2]
    size = tuple(
        (n - 1) * input_dilation + 2 + sum(ends) - k
        for n, k, ends in zip(x_shape[1:3], kernel_sizes, pads, strict=True)
    )
    strided_pads = tuple(
        (k - 1 - before, k - 1 - after)
        for k, (before, after) in zip(kernel_sizes, pads, strict=True)
    )
    return size, strided_pads


def transposed_convolution(
    g: Array, kernel: Array, stride: int, size: tuple[int, int], pads: Pads
) -> Array:
    """The transpose of `strided_convolution`, which is its input gradient, [B, *size, I].

    Args:
      g: [B, M, N, O].
      kernel, stride, pads: of the strided convolution.
      size: (H, W) of its images.
    """
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


def strided_kernel_gradient(
    x: Array, shape: tuple[int, ...], g: Array, stride: int, pads: Pads
) -> Array:
    """The gradient of a kernel of this shape in `strided_convolution`."""
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


def kernel_gradient_by_products(x: Array, shape: tuple[int, ...], g: Array, pads: Pads) -> Array:
    """The gradient of a kernel of this shape in a convolution without a stride.

    One matrix product serves all pixels of the kernel: L shifts of x along W are multiplied with K
    shifts of g along H. A convolution would go to YNNPACK.
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


def _power_of_two_below(n):
    """The largest power of two that is at most n; 1 for n below 1."""
    return 1 << (max(1, n).bit_length() - 1)


def _pad(x, axis, before, after):
    """Zeros before and after x along an axis; negative numbers crop."""
    ends = [(0, 0, 0)] * x.ndim
    ends[axis] = (before, after, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), ends)
