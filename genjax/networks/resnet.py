"""The residual pair of spectrally normalised GANs: Miyato et al. 2018 (arXiv:1802.05957), appendix
B.4, table 4.

With labels as in Miyato, Koyama 2018 (arXiv:1802.05637): conditional batch norm in the generator, a
projection in the discriminator. For 32 x 32 images, without labels, they have 4,276,739 and
1,053,824 parameters.

Shapes: B examples, H x H pixels, I channels of an image, C of a layer, Z features of noise.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from genjax.networks.conv import Conv
from genjax.networks.dcgan import refuse_labels
from genjax.networks.norms import BatchNorm
from genjax.networks.spectral import Spectral
from genjax.networks.unet import double

xavier = nn.initializers.xavier_uniform()
wide = nn.initializers.variance_scaling(
    2.0, 'fan_avg', 'uniform'
)  # in branches; the same times sqrt(2)


def doublings(size: int) -> int:
    """How often 4 to 7 pixels a side must double to become `size`; a ValueError where nothing does,
    or none need to."""
    n = max(0, int(size).bit_length() - 3)
    if n < 1 or size % 2**n:
        raise ValueError(f'size is {size}; it must be 4, 5, 6 or 7 pixels doubled at least once')
    return n


def halve(x: Array) -> Array:
    """The means of 2 x 2 pixels, [B, H, H, C] -> [B, H/2, H/2, C]."""
    B, H, W, C = x.shape
    return jnp.mean(x.reshape(B, H // 2, 2, W // 2, 2, C), (2, 4))


class Up(nn.Module):
    """A residual block to twice the side: x [B, H, H, C] -> [B, 2 H, 2 H, width]."""

    width: int
    classes: int | None

    @nn.compact
    def __call__(self, x: Array, label: Array | None) -> Array:
        norm = lambda name, x: BatchNorm(classes=self.classes, name=name)(x, label)
        h = double(nn.relu(norm('norm1', x)))
        h = Conv(self.width, kernel_init=wide, name='conv1')(h)
        h = Conv(self.width, kernel_init=wide, name='conv2')(nn.relu(norm('norm2', h)))
        return h + double(nn.Dense(self.width, kernel_init=xavier, name='skip')(x))


class Down(nn.Module):
    """A residual block, to half the side where `halves`: x [B, H, H, C] -> [B, .., .., width].

    The first one of a network does not rectify the image that it gets.
    """

    width: int
    halves: bool
    first: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        conv = lambda name: Spectral(Conv(self.width, kernel_init=wide), name=name)
        change = halve if self.halves else lambda x: x
        h = conv('conv1')(x if self.first else nn.relu(x))
        h = change(conv('conv2')(nn.relu(h)))
        if self.halves or x.shape[-1] != self.width:
            x = Spectral(nn.Dense(self.width, kernel_init=xavier), name='skip')(change(x))
        return h + x


class Generator(nn.Module):
    """Noise to images: z [B, Z] -> x [B, size, size, channels] in [-1, 1].

    Args:
      width: channels of every layer.
      size: of an image in pixels a side: 4, 5, 6 or 7 doubled at least once.
      channels: of an image, I.
      classes: labels 0 .. classes - 1; None: it takes no label.
    """

    width: int = 256
    size: int = 32
    channels: int = 3
    classes: int | None = None

    @nn.compact
    def __call__(self, z: Array, label: Array | None = None) -> Array:
        """z [B, Z], label int [B] -> x; a ValueError for a wrong size, or a label where there are
        no classes."""
        refuse_labels(self.classes, label)
        if self.width < 1:
            raise ValueError(f'width is {self.width}; at least 1 channel is needed')
        n = doublings(self.size)
        side = self.size >> n
        h = nn.Dense(side * side * self.width, kernel_init=xavier, name='start')(z)
        h = h.reshape(-1, side, side, self.width)
        for i in range(n):
            h = Up(self.width, self.classes, name=f'up{i}')(h, label)
        h = nn.relu(BatchNorm(name='norm')(h))
        return jnp.tanh(Conv(self.channels, kernel_init=xavier, name='image')(h))


class Discriminator(nn.Module):
    """Images to logits: x [B, H, H, I] -> [B]. No example sees another.

    Blocks halve the side until it is at most 8, at least one of them, and two more keep it.

    Args:
      width: channels of every layer.
      classes: labels 0 .. classes - 1; None: it takes no label.
    """

    width: int = 128
    classes: int | None = None

    @nn.compact
    def __call__(self, x: Array, label: Array | None = None) -> Array:
        """x, label int [B] -> logit [B]; a ValueError for a wrong shape, or a label where there are
        no classes."""
        refuse_labels(self.classes, label)
        if x.ndim != 4 or x.shape[1] != x.shape[2]:
            raise ValueError(f'x has shape {x.shape}; [B, H, H, I] is needed')
        doublings(x.shape[1])
        halvings = max(1, math.ceil(math.log2(x.shape[1] / 8)))
        for i in range(halvings + 2):
            x = Down(self.width, halves=i < halvings, first=i == 0, name=f'down{i}')(x)
        h = jnp.sum(nn.relu(x), (1, 2))
        linear = lambda size, name: Spectral(
            nn.Dense(size, use_bias=False, kernel_init=xavier), name=name
        )
        logit = linear(1, 'logit')(h)[:, 0]
        if label is None:
            return logit
        return logit + jnp.sum(
            h * linear(self.width, 'label')(jax.nn.one_hot(label, self.classes)), 1
        )
