"""The convolution of every image network: lax's own, but on a CPU in forms that XLA compiles well.

In jaxlib 0.10.2 two things make lax's convolution slow on a CPU. Its gradients are convolutions of
permuted axes, which leave the fast path inside a loop and there take ten to a hundred times as long
(jax-ml/jax#12868); written as convolutions of NHWC images with HWIO kernels they keep it. And a
library, YNNPACK, takes every convolution that it can and is slower than Eigen, which gets the rest.
With a stride neither does well: there a matrix product of what lies under the kernel is quicker, as
are its transposes. `benchmarks/unet.py` and `benchmarks/gan.py` measure all this.
"""

import math
from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

Pads = tuple[
    tuple[int, int], tuple[int, int]
]  # (before, after) along the height and along the width

# In this file: x [B, H, W, I], kernel [K, L, I, O], y and its gradient g [B, M, N, O].


def _plain(x, kernel, stride, pads, spread, dilation):
    steps = ((stride, stride), pads, (spread, spread), (dilation, dilation))
    return lax.conv_general_dilated(x, kernel, *steps, dimension_numbers=('NHWC', 'HWIO', 'NHWC'))


def _on_cpu(x, kernel, stride, pads, spread, dilation):
    """The same y: by products, or cut from one a column wider than x, which YNNPACK declines and
    Eigen takes."""
    if stride > spread == dilation == 1:
        return _strided(x, kernel, stride, pads)
    if spread > stride == dilation == 1:
        return _transposed(x, _turned(kernel), spread, *_strided_ends(x, kernel, pads, spread))
    if (stride, spread) != (1, 1) or sum(pads[1]) != dilation * (kernel.shape[1] - 1):
        return _plain(x, kernel, stride, pads, spread, dilation)
    left, right = pads[1]
    return _plain(x, kernel, stride, (pads[0], (left, right + 1)), spread, dilation)[:, :, :-1]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def convolve(
    x: jax.Array, kernel: jax.Array, stride: int, pads: Pads, spread: int = 1, dilation: int = 1
) -> jax.Array:
    """Slides a kernel over images: y[m] = sum_k kernel[k] x'[m stride + k dilation - before], along
    both axes.

    Args:
      x: [B, H, W, I]; x' is x with spread - 1 zeros between neighbours and `pads` zeros around.
      kernel: [K, L, I, O], of the same type.
      stride, spread, dilation: steps, in pixels.
      pads: zeros (before, after) along the height and along the width; negative ones cut.

    Returns: [B, M, N, O]. Differentiable any number of times in reverse mode.
    """
    steps = (stride, pads, spread, dilation)
    return lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: _on_cpu(x, kernel, *steps),
        default=lambda x, k: _plain(x, k, *steps),
    )


def _lengths(x, kernel, g, stride, spread, dilation):
    """Lengths of x, kernel and g along both axes, with the zeros between their elements counted in."""
    extent = lambda size, step: (size - 1) * step + 1
    rows = zip(x.shape[1:3], kernel.shape[:2], g.shape[1:3], strict=True)
    return [(extent(n, spread), extent(k, dilation), extent(m, stride)) for n, k, m in rows]


def _input_gradient(x, kernel, g, stride, pads, spread, dilation):
    """The turned kernel slides over g: stride and spread change places."""
    lengths = _lengths(x, kernel, g, stride, spread, dilation)
    ends = tuple((k - 1 - a, n + a - m) for (n, k, m), (a, _) in zip(lengths, pads, strict=True))
    return convolve(g, _turned(kernel), spread, ends, stride, dilation)


def _kernel_gradient(x, kernel, g, stride, pads, spread, dilation):
    """g slides over x, and the examples are summed over as channels are: stride and dilation change
    places."""
    if (stride, spread, dilation) == (1, 1, 1):
        return _kernel_gradient_by_products(x, kernel.shape, g, pads)
    if stride > spread == dilation == 1:
        return _strided_kernel_gradient(x, kernel.shape, g, stride, pads)
    if spread > stride == dilation == 1:
        _, pads = _strided_ends(x, kernel, pads, spread)
        return _turned(_strided_kernel_gradient(g, _turned(kernel).shape, x, spread, pads))
    lengths = _lengths(x, kernel, g, stride, spread, dilation)
    ends = tuple((a, k + m - n - a - 1) for (n, k, m), (a, _) in zip(lengths, pads, strict=True))
    y = convolve(x.transpose(3, 1, 2, 0), g.transpose(1, 2, 0, 3), dilation, ends, spread, stride)
    return y.transpose(1, 2, 0, 3)


def _kernel_gradient_by_products(x, shape, g, pads):
    """A matrix product for all places of the kernel at once: L shifts of x along W with K shifts of
    g along H.

    A convolution would go to YNNPACK. A product takes about four thousand pixels: few enough
    for its copies to stay near, enough for two cores.
    """
    (B, H, _, _), (K, L, I, O), (_, M, N, _) = x.shape, shape, g.shape  # noqa: E741
    (above, _), sides = pads
    size = math.gcd(B, 1 << (max(1, 4096 // (H * N)).bit_length() - 1))

    def add(total, x_and_g):
        x, g = _pad(x_and_g[0], 2, *sides), _pad(x_and_g[1], 1, K - 1 - above, H + above - M)
        x = jnp.concatenate([x[:, :, left : left + N] for left in range(L)], -1).reshape(-1, L * I)
        g = jnp.concatenate([g[:, top : top + H] for top in reversed(range(K))], -1).reshape(
            -1, K * O
        )
        return total + x.T @ g, None

    chunks = [a.reshape(B // size, size, *a.shape[1:]) for a in (x, g)]
    total, _ = lax.scan(add, jnp.zeros((L * I, K * O), x.dtype), tuple(chunks))
    return total.reshape(L, I, K, O).transpose(2, 0, 1, 3)


def _columns(x, window, stride, pads, places):
    """What lies under the kernel at each place, in its order: x [B, H, W, I] -> [B, M, N, K L I].

    x is cut into blocks of stride x stride pixels, so that whole rows of a block are copied at a
    time.
    """
    (B, H, W, I), blocks = (
        x.shape,
        [m - 1 + -(-k // stride) for m, k in zip(places, window, strict=True)],
    )  # noqa: E741
    (K, L), (M, N), befores = window, places, [before for before, _ in pads]
    for axis, (n, size, before) in enumerate(zip((H, W), blocks, befores, strict=True), 1):
        x = _pad(x, axis, before, stride * size - n - before)
    x = x.reshape(B, blocks[0], stride, blocks[1], stride * I)
    ahead = [(k // stride, k % stride, j) for k in range(K) for j in range(0, L, stride)]
    cut = [
        x[:, a : a + M, p, j // stride : j // stride + N, : min(stride, L - j) * I]
        for a, p, j in ahead
    ]
    return jnp.concatenate(cut, -1)


def _chunks(kernel_shape, places, *arrays):
    """Arrays [B, ...] as [n, B / n, ...], so that the columns of B / n examples, 4 MiB at most,
    stay near."""
    size = math.gcd(
        len(arrays[0]),
        1 << (max(1, 2**20 // math.prod((*kernel_shape[:3], *places))).bit_length() - 1),
    )
    return [a.reshape(-1, size, *a.shape[1:]) for a in arrays]


def _strided(x, kernel, stride, pads):
    window, features, lengths = (
        kernel.shape[:2],
        kernel.shape[3],
        zip(x.shape[1:3], kernel.shape, pads, strict=False),
    )
    places = tuple((n + sum(ends) - k) // stride + 1 for n, k, ends in lengths)
    product = lambda x: _columns(x, window, stride, pads, places) @ kernel.reshape(-1, features)
    return lax.map(product, *_chunks(kernel.shape, places, x)).reshape(len(x), *places, features)


def _strided_ends(x, kernel, pads, spread):
    """(height and width, pads) of the image that a convolution with a stride makes x of, where one
    with `spread` leads back."""
    rows = list(zip(x.shape[1:3], kernel.shape[:2], pads, strict=True))
    sizes = tuple((n - 1) * spread + 2 + sum(ends) - k for n, k, ends in rows)
    return sizes, tuple((k - 1 - before, k - 1 - after) for _, k, (before, after) in rows)


def _transposed(g, kernel, stride, size, pads):
    """The transpose of `_strided` as a map of images [*size, I], which is its input gradient."""
    (K, L, I, O), places = kernel.shape, g.shape[1:3]  # noqa: E741
    (g,) = _chunks(kernel.shape, places, g)
    image = jax.ShapeDtypeStruct((g.shape[1], *size, I), g.dtype)
    back = jax.linear_transpose(lambda x: _columns(x, (K, L), stride, pads, places), image)
    return lax.map(lambda g: back(g @ kernel.reshape(-1, O).T)[0], g).reshape(-1, *size, I)


def _strided_kernel_gradient(x, shape, g, stride, pads):
    (K, L, I, O), places = shape, g.shape[1:3]  # noqa: E741

    def add(total, x_and_g):
        columns = _columns(x_and_g[0], (K, L), stride, pads, places)
        return total + x_and_g[1].reshape(-1, O).T @ columns.reshape(-1, K * L * I), None

    total, _ = lax.scan(
        add, jnp.zeros((O, K * L * I), x.dtype), tuple(_chunks(shape, places, x, g))
    )
    return total.T.reshape(shape)


def _turned(kernel):
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _pad(x, axis, before, after):
    ends = [(before, after, 0) if i == axis else (0, 0, 0) for i in range(x.ndim)]
    return lax.pad(x, jnp.zeros((), x.dtype), ends)


def _forward(x, kernel, *steps):
    return convolve(x, kernel, *steps), (x, kernel)


def _backward(*steps_inputs_g):
    *steps, (x, kernel), g = steps_inputs_g

    def cpu(x, kernel, g):
        return _input_gradient(x, kernel, g, *steps), _kernel_gradient(x, kernel, g, *steps)

    def own(x, kernel, g):
        (dx,) = jax.linear_transpose(lambda x: _plain(x, kernel, *steps), x)(g)
        (dkernel,) = jax.linear_transpose(lambda kernel: _plain(x, kernel, *steps), kernel)(g)
        return dx, dkernel

    return lax.platform_dependent(x, kernel, g, cpu=cpu, default=own)


convolve.defvjp(_forward, _backward)


class Conv(nn.Module):
    """A convolution; parameters as in flax.linen.Conv, `kernel` [*kernel, I, features] and `bias`.

    Args:
      features: output channels O.
      kernel: height and width of the kernel, in pixels.
      strides: step of the kernel along both axes, in pixels.
      padding: 'SAME', 'VALID' or zeros (before, after) along the height and along the width, as in
        lax.
      dtype: of the computation and of the result; parameters stay float32.
      kernel_init: of the kernel.
      bias: whether there is one.
      spread: x has spread - 1 zeros between neighbours, which makes it the transpose of a
        convolution with that step; then `padding` must be numbers.
    """

    features: int
    kernel: tuple[int, int] = (3, 3)
    strides: int = 1
    padding: str | Sequence[tuple[int, int]] = 'SAME'
    dtype: jnp.dtype = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias: bool = True
    spread: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, H, W, I] -> [B, M, N, features]; a ValueError where x has other axes, or for no
        features."""
        if x.ndim != 4:
            raise ValueError(f'x has shape {x.shape}; a convolution needs [B, H, W, channels]')
        if self.features < 1:
            raise ValueError(f'features is {self.features}; a convolution needs at least 1')
        kernel = self.param('kernel', self.kernel_init, (*self.kernel, x.shape[-1], self.features))
        pads = self.padding
        if isinstance(pads, str):
            pads = lax.padtype_to_pads(x.shape[1:3], self.kernel, (self.strides,) * 2, pads)
        pads = tuple(map(tuple, pads))
        y = convolve(
            x.astype(self.dtype), kernel.astype(self.dtype), self.strides, pads, self.spread
        )
        if not self.bias:
            return y
        bias = self.param('bias', nn.initializers.zeros, (self.features,))
        return y + bias.astype(self.dtype).reshape(1, 1, 1, -1)
