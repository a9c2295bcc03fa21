"""Convolutions from images to tokens on a coarser grid, and back, as VQ-VAE has them.

After van den Oord et al. 2017, arXiv:1711.00937, section 4.1, for small images. B examples, S
pixels along a side, C channels, L tokens in rows of a grid, D features of one.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax

from genjax.networks.conv import Conv
from genjax.networks.resampling import upsample_nearest


class GridEncoder(nn.Module):
    """Images [B, S, S, C] -> tokens [B, L, D].

    Convolutions of 3 x 3 and GELUs: the first at full resolution, each other halves it.

    Args:
      widths: channels of the convolutions.
      features: D.
    """

    widths: Sequence[int]
    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, S, S, C] -> [B, L, D], L = (S / 2^(convolutions - 1))^2.

        Raises:
          ValueError: there is no convolution, or a side cannot be halved so often.
        """
        halvings = len(self.widths) - 1
        if halvings < 0 or any(side % 2**halvings for side in x.shape[1:3]):
            raise ValueError(
                f'widths are {tuple(self.widths)}, images {x.shape[1]} x {x.shape[2]}; needed: at '
                'least one width, and sides that can be halved by each other one'
            )
        for i, width in enumerate(self.widths):
            x = nn.gelu(Conv(width, strides=1 if i == 0 else 2)(x))
        tokens = Conv(self.features, kernel=(1, 1))(x)
        return tokens.reshape(len(x), -1, self.features)


class GridDecoder(nn.Module):
    """Tokens [B, L, D] -> images [B, S, S, C].

    Convolutions of 3 x 3 and GELUs: the first on the grid, each other at twice the resolution.

    Args:
      widths: channels of the convolutions.
      channels: C.
    """

    widths: Sequence[int]
    channels: int

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """tokens [B, L, D] -> [B, S, S, C], S = sqrt(L) 2^(convolutions - 1).

        Raises:
          ValueError: L is no square.
        """
        side = math.isqrt(tokens.shape[1])
        if side**2 != tokens.shape[1]:
            raise ValueError(f'there are {tokens.shape[1]} tokens; a grid has a square of them')
        x = tokens.reshape(len(tokens), side, side, -1)
        for i, width in enumerate(self.widths):
            if i:
                x = upsample_nearest(x)
            x = nn.gelu(Conv(width)(x))
        return Conv(self.channels)(x)
