"""The residual networks of spectrally normalised GANs: Miyato et al. 2018 (arXiv:1802.05957).

Appendix B.4, table 4. With classes as in Miyato, Koyama 2018 (arXiv:1802.05637): conditional batch
norm in the generator, a projection in the discriminator. For 32 x 32 images without classes they
have 4,276,739 and 1,053,824 parameters.

Shapes: B examples, H x H pixels, I channels of an image, C of a layer, Z features of noise.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from genjax.networks.conv import Conv
from genjax.networks.labels import require_labels
from genjax.networks.norms import BatchNorm
from genjax.networks.resampling import downsample_mean, upsample_nearest
from genjax.networks.spectral import Spectral

xavier_init = nn.initializers.xavier_uniform()
# Of the convolutions of residual branches: Xavier's times sqrt(2).
branch_init = nn.initializers.variance_scaling(2.0, 'fan_avg', 'uniform')


def doublings(size: int) -> int:
    """How often 4 to 7 pixels must double to become `size`.

    Raises:
      ValueError: no number of doublings gives the size, or none is needed.
    """
    n = max(0, int(size).bit_length() - 3)
    if n < 1 or size % 2**n:
        raise ValueError(f'size is {size}; it must be 4, 5, 6 or 7 pixels doubled at least once')
    return n


class Up(nn.Module):
    """A residual block that doubles the resolution: x [B, H, H, C] -> [B, 2 H, 2 H, width].

    Args:
      width: output channels.
      classes: of its norms; None: they take no label.
    """

    width: int
    classes: int | None

    @nn.compact
    def __call__(self, x: Array, label: Array | None) -> Array:
        h = BatchNorm(classes=self.classes, name='norm1')(x, label)
        h = upsample_nearest(nn.relu(h))
        h = Conv(self.width, kernel_init=branch_init, name='conv1')(h)
        h = BatchNorm(classes=self.classes, name='norm2')(h, label)
        h = Conv(self.width, kernel_init=branch_init, name='conv2')(nn.relu(h))
        skip = nn.Dense(self.width, kernel_init=xavier_init, name='skip')(x)
        return h + upsample_nearest(skip)


class Down(nn.Module):
    """A residual block of the discriminator: x [B, H, H, C] -> [B, H or H/2, .., width].

    Args:
      width: output channels.
      halves: whether it halves the resolution.
      first: whether it is the network's first block, which does not rectify its input, an image.
    """

    width: int
    halves: bool
    first: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        h = x if self.first else nn.relu(x)
        h = Spectral(Conv(self.width, kernel_init=branch_init), name='conv1')(h)
        h = Spectral(Conv(self.width, kernel_init=branch_init), name='conv2')(nn.relu(h))
        h = self._resample(h)
        if self.halves or x.shape[-1] != self.width:
            skip = Spectral(nn.Dense(self.width, kernel_init=xavier_init), name='skip')
            x = skip(self._resample(x))
        return h + x

    def _resample(self, x):
        return downsample_mean(x) if self.halves else x


class Generator(nn.Module):
    """Images in [-1, 1] from noise.

    Args:
      width: channels of every layer.
      size: pixels along a side of an image: 4, 5, 6 or 7 doubled at least once.
      channels: of an image, I.
      classes: labels 0 .. classes - 1; None: it takes no label.
    """

    width: int = 256
    size: int = 32
    channels: int = 3
    classes: int | None = None

    @nn.compact
    def __call__(self, z: Array, label: Array | None = None) -> Array:
        """z [B, Z] and label int [B], where there are classes -> x [B, size, size, channels].

        Raises:
          ValueError: width or size is not allowed, or there are labels without classes or the
            reverse.
        """
        require_labels(self.classes, label)
        if self.width < 1:
            raise ValueError(f'width is {self.width}; at least 1 channel is needed')
        n = doublings(self.size)
        side = self.size >> n
        h = nn.Dense(side * side * self.width, kernel_init=xavier_init, name='start')(z)
        h = h.reshape(-1, side, side, self.width)
        for i in range(n):
            h = Up(self.width, self.classes, name=f'up{i}')(h, label)
        h = nn.relu(BatchNorm(name='norm')(h))
        return jnp.tanh(Conv(self.channels, kernel_init=xavier_init, name='image')(h))


class Discriminator(nn.Module):
    """Logits of images; each depends on its own image alone.

    At least one block halves the resolution, and as many as bring it to 8 pixels or fewer; two
    more blocks keep it.

    Args:
      width: channels of every layer.
      classes: labels 0 .. classes - 1; None: it takes no label.
    """

    width: int = 128
    classes: int | None = None

    @nn.compact
    def __call__(self, x: Array, label: Array | None = None) -> Array:
        """x [B, H, H, I] and label int [B], where there are classes -> logit [B].

        Raises:
          ValueError: x has another shape or size, or there are labels without classes or the
            reverse.
        """
        require_labels(self.classes, label)
        if x.ndim != 4 or x.shape[1] != x.shape[2]:
            raise ValueError(f'x has shape {x.shape}; [B, H, H, I] is needed')
        doublings(x.shape[1])
        halvings = max(1, math.ceil(math.log2(x.shape[1] / 8)))
        for i in range(halvings + 2):
            x = Down(self.width, halves=i < halvings, first=i == 0, name=f'down{i}')(x)
        h = jnp.sum(nn.relu(x), (1, 2))
        logit = _linear(1, 'logit')(h)[:, 0]
        if label is None:
            return logit
        embedding = _linear(self.width, 'label')(jax.nn.one_hot(label, self.classes))
        return logit + jnp.sum(h * embedding, 1)


def _linear(features, name):
    layer = nn.Dense(features, use_bias=False, kernel_init=xavier_init)
    return Spectral(layer, name=name)
