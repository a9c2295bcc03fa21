"""The residual network of couplings of images: Dinh et al. 2017, arXiv:1605.08803, section 4.1.

With weight normalisation (Salimans and Kingma 2016, arXiv:1602.07868) and, unlike theirs, without
batch normalisation, whose statistics would make the density of an example depend on others.
B examples, H x W pixels, C channels.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.networks.conv import Conv
from genjax.networks.convolution import convolve
from genjax.networks.unet import zeros_init


class ResidualNetwork(nn.Module):
    """Blocks of two convolutions beside a skip, between a convolution and one that begins at zero.

    Args:
      width: channels within.
      blocks: how many.
      outputs: channels that come out, in units of those that go in.
      dtype: of the computation.
    """

    width: int
    blocks: int
    outputs: int = 2
    dtype: jnp.dtype | str = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, H, W, C] -> [B, H, W, outputs C].

        Raises:
          ValueError: a field is below 1.
        """
        if min(self.width, self.blocks, self.outputs) < 1:
            raise ValueError(
                f'width, blocks, outputs are {(self.width, self.blocks, self.outputs)}; '
                'each is at least 1'
            )

        def conv(name):
            return Normed(self.width, self.dtype, name=name)

        h = conv('enter')(x)
        for i in range(self.blocks):
            inner = conv(f'block{i}_1')(nn.relu(h))
            h = h + conv(f'block{i}_2')(nn.relu(inner))
        leave = Conv(
            self.outputs * x.shape[-1], dtype=self.dtype, kernel_init=zeros_init, name='leave'
        )
        return leave(nn.relu(h))


class Normed(nn.Module):
    """A convolution by kernels of learned norms, x [B, H, W, C] -> [B, H, W, features]."""

    features: int
    dtype: jnp.dtype | str = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (3, 3, x.shape[-1], self.features)
        direction = self.param('direction', nn.initializers.lecun_normal(), shape)
        scale = self.param('scale', nn.initializers.ones, (self.features,))
        bias = self.param('bias', zeros_init, (self.features,))
        norm = jnp.sqrt(jnp.sum(direction**2, (0, 1, 2), keepdims=True))
        kernel = direction * (scale.reshape(1, 1, 1, -1) / norm)
        y = convolve(x.astype(self.dtype), kernel.astype(self.dtype), 1, ((1, 1), (1, 1)))
        return y + bias.astype(self.dtype).reshape(1, 1, 1, -1)
