"""The networks of DCGAN: Radford, Metz, Chintala 2016, arXiv:1511.06434, for squares of 8, 16, 32,
64, ... pixels.

At size 64 and width 64 they are those of PyTorch's examples/dcgan. Labels are told as in later
work: the generator has a vector for each beside its noise (Mirza, Osindero 2014, arXiv:1411.1784),
the discriminator projects its features on one (Miyato, Koyama 2018, arXiv:1802.05637).

Letters: B examples, Z latent dimensions, S pixels along a side, C channels.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.networks.conv import Conv
from genjax.networks.norms import BatchNorm

drawn = nn.initializers.normal(0.02)
Norm = partial(BatchNorm, scale_init=lambda *args: 1 + drawn(*args))
# 4 x 4 pixels to one, a step of two; and the transpose of that.
Halve = partial(
    Conv, kernel=(4, 4), strides=2, padding=((1, 1), (1, 1)), bias=False, kernel_init=drawn
)
Double = partial(
    Conv, kernel=(4, 4), spread=2, padding=((2, 2), (2, 2)), bias=False, kernel_init=drawn
)
Dense = partial(nn.Dense, use_bias=False, kernel_init=drawn)


def levels(width: int, size: int) -> list[int]:
    """Features at half the size, a quarter, ... down to 4 pixels: width, 2 width, 4 width, ...

    Raises:
      ValueError: width is below 1, or size no power of two from 8 on.
    """
    if width < 1 or size < 8 or size & (size - 1):
        raise ValueError(
            f'width is {width}, size {size}; needed: width >= 1 and a size of 8, 16, 32, 64, ...'
        )
    return [width << level for level in range((size // 4).bit_length() - 1)]


class Generator(nn.Module):
    """z [B, Z], label int [B] where there are classes -> images [B, S, S, C] in [-1, 1].

    Args:
      size: S, a power of two from 8 on.
      channels: C.
      width: features at half the size; twice as many at each halving from there.
      classes: labels 0 .. classes - 1; None, there are none.

    Raises:
      ValueError: when traced, what `levels` refuses, or a label where there are no classes and the
        reverse.
    """

    size: int = 64
    channels: int = 3
    width: int = 64
    classes: int | None = None

    @nn.compact
    def __call__(self, z: jax.Array, label: jax.Array | None = None) -> jax.Array:
        refuse_labels(self.classes, label)
        first, *others = reversed(levels(self.width, self.size))
        if label is not None:
            z = jnp.concatenate([z, nn.Embed(self.classes, z.shape[-1], name='embed')(label)], -1)
        h = Dense(4 * 4 * first, name='enter')(z).reshape(len(z), 4, 4, first)
        for i, features in enumerate(others):
            h = nn.relu(Norm(name=f'norm{i}')(h))
            h = Double(features, name=f'double{i}')(h)
        h = nn.relu(Norm(name=f'norm{len(others)}')(h))
        return jnp.tanh(Double(self.channels, name=f'double{len(others)}')(h))


class Discriminator(nn.Module):
    """x [B, S, S, C], label int [B] where there are classes -> logit [B].

    Args:
      width: features at half the size; twice as many at each halving from there, down to 4 pixels.
      classes: labels 0 .. classes - 1; None, there are none.
      norm: whether there is batch norm, which no penalty of slopes goes with; biases stand in its
        place.

    Raises:
      ValueError: when traced, what `levels` refuses, x that are no squares, or a label where there
        are no classes and the reverse.
    """

    width: int = 64
    classes: int | None = None
    norm: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None) -> jax.Array:
        refuse_labels(self.classes, label)
        if x.ndim != 4 or x.shape[1] != x.shape[2]:
            raise ValueError(f'x has shape {x.shape}; the discriminator needs squares [B, S, S, C]')
        h = x
        for i, features in enumerate(levels(self.width, x.shape[1])):
            h = Halve(features, bias=not self.norm, name=f'halve{i}')(h)
            h = nn.leaky_relu(Norm(name=f'norm{i}')(h) if i and self.norm else h, 0.2)
        logit = Dense(1, name='leave')(h.reshape(len(h), -1))[:, 0]
        if label is None:
            return logit
        toward = nn.Embed(self.classes, h.shape[-1], embedding_init=drawn, name='embed')(label)
        return logit + jnp.sum(toward * jnp.sum(h, (1, 2)), -1)


def refuse_labels(classes: int | None, label: jax.Array | None):
    """A ValueError unless there are labels exactly where there are classes."""
    if (classes is None) != (label is None):
        raise ValueError(
            f'classes is {classes}; labels are {"missing" if label is None else "given"}'
        )
