"""The convolution layer of every image network."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.networks.convolution import convolve


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
