"""The networks of DCGAN: Radford, Metz, Chintala 2016, arXiv:1511.06434.

At size 64 and width 64 they are those of PyTorch's examples/dcgan; here the sides may be 8, 16, 32,
64, ... pixels. Networks with classes follow later work: the generator concatenates an embedding of
the label to its noise (Mirza, Osindero 2014, arXiv:1411.1784), and the discriminator projects its
features on one (Miyato, Koyama 2018, arXiv:1802.05637).

Letters: B examples, Z latent dimensions, S pixels along a side, C channels.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.networks.conv import Conv
from genjax.networks.labels import require_labels
from genjax.networks.norms import BatchNorm

normal_init = nn.initializers.normal(0.02)


def scale_init(key, shape):
    """Scales of norms, normal about 1."""
    return 1 + normal_init(key, shape)


Norm = partial(BatchNorm, scale_init=scale_init)
Dense = partial(nn.Dense, use_bias=False, kernel_init=normal_init)

# A kernel of 4 x 4 pixels with a stride of two, and the transpose of that convolution.
Downsample = partial(
    Conv,
    kernel=(4, 4),
    strides=2,
    padding=((1, 1), (1, 1)),
    bias=False,
    kernel_init=normal_init,
)
Upsample = partial(
    Conv,
    kernel=(4, 4),
    input_dilation=2,
    padding=((2, 2), (2, 2)),
    bias=False,
    kernel_init=normal_init,
)


def level_widths(width: int, size: int) -> list[int]:
    """Features at half the size, a quarter, ... down to 4 pixels: width, 2 width, 4 width, ...

    Raises:
      ValueError: width is below 1, or size is not a power of two from 8 on.
    """
    if width < 1 or size < 8 or size & (size - 1):
        raise ValueError(
            f'width is {width}, size {size}; needed: width >= 1 and a size of 8, 16, 32, 64, ...'
        )
    levels = (size // 4).bit_length() - 1
    return [width << level for level in range(levels)]


class Generator(nn.Module):
    """Images in [-1, 1] from noise.

    Args:
      size: S, a power of two from 8 on.
      channels: C.
      width: features at half the size; they double with each halving of the resolution.
      classes: labels 0 .. classes - 1; None: it takes no label.
    """

    size: int = 64
    channels: int = 3
    width: int = 64
    classes: int | None = None

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array | None = None) -> jax.Array:
        """z [B, Z] and label int [B], where there are classes -> images [B, S, S, C].

        Raises:
          ValueError: width or size is refused by `level_widths`, or there are labels without
            classes or the reverse.
        """
        require_labels(self.classes, label)
        first, *others = reversed(level_widths(self.width, self.size))
        if label is not None:
            embedding = nn.Embed(self.classes, z.shape[-1], name='embed')(label)
            z = jnp.concatenate([z, embedding], -1)
        h = Dense(4 * 4 * first, name='enter')(z).reshape(len(z), 4, 4, first)
        for i, features in enumerate(others):
            h = nn.relu(Norm(name=f'norm{i}')(h))
            h = Upsample(features, name=f'double{i}')(h)
        h = nn.relu(Norm(name=f'norm{len(others)}')(h))
        return jnp.tanh(Upsample(self.channels, name=f'double{len(others)}')(h))


class Discriminator(nn.Module):
    """Logits of images.

    Args:
      width: features at half the size; they double with each halving, down to 4 pixels.
      classes: labels 0 .. classes - 1; None: it takes no label.
      norm: whether there is batch norm; a gradient penalty needs a network without. Convolutions
        have biases where there is none.
    """

    width: int = 64
    classes: int | None = None
    norm: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None) -> jax.Array:
        """x [B, S, S, C] and label int [B], where there are classes -> logit [B].

        Raises:
          ValueError: width or size is refused by `level_widths`, images are not square, or there
            are labels without classes or the reverse.
        """
        require_labels(self.classes, label)
        if x.ndim != 4 or x.shape[1] != x.shape[2]:
            raise ValueError(f'x has shape {x.shape}; the discriminator needs squares [B, S, S, C]')
        h = x
        for i, features in enumerate(level_widths(self.width, x.shape[1])):
            h = Downsample(features, bias=not self.norm, name=f'halve{i}')(h)
            if i and self.norm:
                h = Norm(name=f'norm{i}')(h)
            h = nn.leaky_relu(h, 0.2)
        logit = Dense(1, name='leave')(h.reshape(len(h), -1))[:, 0]
        if label is None:
            return logit
        embed = nn.Embed(self.classes, h.shape[-1], embedding_init=normal_init, name='embed')
        return logit + jnp.sum(embed(label) * jnp.sum(h, (1, 2)), -1)
