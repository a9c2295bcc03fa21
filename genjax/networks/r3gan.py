"""A residual pair without normalisation, after R3GAN: Huang et al. 2024 (arXiv:2501.05441), section
4 and appendix.

Blocks are inverted bottlenecks with a grouped convolution; they begin as the identity (fix-up
initialisation, Zhang et al. 2019, arXiv:1901.09321). Of the official CIFAR-10 network,
`widths=(768,) * 4` with 64 features of noise and 10 classes, the pair has the parameters,
20,781,952 and 21,280,512. What differs: a tanh bounds the images, any side can be the coarsest one,
and everything is float32.

Shapes: B examples, H x H pixels, I channels of an image, C of a layer, G groups of g channels, Z
features of noise.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

from genjax.networks.conv import convolve
from genjax.networks.dcgan import refuse_labels

PADS = ((1, 1), (1, 1))
GAIN = 2 / (1 + 0.2**2)  # what leaky rectification takes from the mean square

fan_in = nn.initializers.variance_scaling(1.0, 'fan_in', 'normal')


def leaky(x: Array) -> Array:
    return nn.leaky_relu(x, 0.2)


def grouped(x: Array, kernel: Array, groups: int) -> Array:
    """A 3 x 3 convolution of each of G groups by itself: x [B, H, W, C], kernel [3, 3, g, O] -> [B,
    H, W, O].

    Up to 8 groups are convolved one after the other on a CPU: half the time of all at once, but
    each is compiled.
    """

    def apart(x, kernel):
        pairs = zip(jnp.split(x, groups, -1), jnp.split(kernel, groups, -1), strict=True)
        return jnp.concatenate([convolve(x, kernel, 1, PADS) for x, kernel in pairs], -1)

    def at_once(x, kernel):
        x, kernel = (a.reshape(*a.shape[:3], groups, -1) for a in (x, kernel))
        y = jax.vmap(lambda x, kernel: convolve(x, kernel, 1, PADS), (3, 3), 3)(x, kernel)
        return y.reshape(*y.shape[:3], -1)

    if groups > 8:
        return at_once(x, kernel)
    return lax.platform_dependent(x, kernel, cpu=apart, default=at_once)


def _neighbours(x, axis):
    """x one place earlier and one place later along an axis, with zeros beyond its ends."""
    zero, n = jnp.zeros_like(lax.slice_in_dim(x, 0, 1, axis=axis)), x.shape[axis]
    earlier = jnp.concatenate([zero, lax.slice_in_dim(x, 0, n - 1, axis=axis)], axis)
    return earlier, jnp.concatenate([lax.slice_in_dim(x, 1, n, axis=axis), zero], axis)


def finer(x: Array) -> Array:
    """Twice the side by the filter (1, 3, 3, 1) / 4 along both axes, bilinear: [B, H, W, C] -> [B,
    2 H, 2 W, C]."""
    for axis in (1, 2):
        earlier, later = _neighbours(x, axis)
        pairs = jnp.stack([0.75 * x + 0.25 * earlier, 0.75 * x + 0.25 * later], axis + 1)
        x = pairs.reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
    return x


def coarser(x: Array) -> Array:
    """Half the side by the filter (1, 3, 3, 1) / 8 along both axes: [B, H, W, C] -> [B, H/2, W/2,
    C]."""
    for axis in (1, 2):
        pairs = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
        first, second = (lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
        x = 0.375 * (first + second) + 0.125 * (
            _neighbours(second, axis)[0] + _neighbours(first, axis)[1]
        )
    return x


class Block(nn.Module):
    """x [B, H, W, C] plus a branch that begins at zero: 1 x 1 to more channels, grouped 3 x 3, 1 x
    1 back.

    Args:
      expansion: channels of the branch in units of C.
      group: channels of a group, g.
      depth: blocks of the network, L; the first two kernels are scaled by L^(-1/4).
    """

    expansion: int
    group: int
    depth: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        scaled = nn.initializers.variance_scaling(GAIN / math.sqrt(self.depth), 'fan_in', 'normal')
        C, inner = x.shape[-1], x.shape[-1] * self.expansion
        kernel = self.param('kernel', scaled, (3, 3, self.group, inner))
        bias = self.param('bias', nn.initializers.zeros, (inner,))
        h = leaky(nn.Dense(inner, kernel_init=scaled, name='widen')(x))
        h = leaky(grouped(h, kernel, inner // self.group) + bias[None, None, None])
        return x + nn.Dense(C, use_bias=False, kernel_init=nn.initializers.zeros, name='narrow')(h)


def _linear(features, name):
    return nn.Dense(features, use_bias=False, kernel_init=fan_in, name=name)


def _stage(net, i, h):
    for j in range(net.blocks):
        h = Block(net.expansion, net.group, net.blocks * len(net.widths), name=f'block{i}_{j}')(h)
    return h


def _check(net):
    if not net.widths or min(*net.widths, net.blocks, net.group, net.expansion, net.side) < 1:
        sizes = f'widths {tuple(net.widths)}, blocks {net.blocks}, group {net.group}, expansion {net.expansion}'
        raise ValueError(f'{sizes}, side {net.side}: all must be at least 1')
    for width in net.widths:
        if width * net.expansion % net.group:
            raise ValueError(
                f'group is {net.group}; it must divide {width * net.expansion}, a width times expansion'
            )


class Generator(nn.Module):
    """Noise to images: z [B, Z] -> x [B, H, H, channels] in [-1, 1], H = side 2^(len(widths) - 1).

    Args:
      widths: channels of each resolution, the coarsest first; each has twice the side of the one
        before.
      channels: of an image, I.
      classes: labels 0 .. classes - 1; None: it takes no label.
      blocks: residual blocks a resolution.
      expansion: channels within a block in units of its width.
      group: channels that a 3 x 3 convolution takes together, g; official are 16.
      side: of the coarsest resolution, in pixels; official are 4.
    """

    widths: Sequence[int]
    channels: int = 3
    classes: int | None = None
    blocks: int = 2
    expansion: int = 2
    group: int = 16
    side: int = 4

    @nn.compact
    def __call__(self, z: Array, label: Array | None = None) -> Array:
        """z [B, Z], label int [B] -> x; a ValueError for misfits, or a label where there are no
        classes."""
        _check(self)
        refuse_labels(self.classes, label)
        if label is not None:
            z = jnp.concatenate(
                [z, _linear(z.shape[-1], 'label')(jax.nn.one_hot(label, self.classes))], -1
            )
        basis = self.param(
            'basis', nn.initializers.normal(1.0), (self.side, self.side, self.widths[0])
        )
        h = basis[None] * _linear(self.widths[0], 'start')(z)[:, None, None]
        for i, width in enumerate(self.widths):
            if i:
                h = finer(h if width == h.shape[-1] else _linear(width, f'finer{i}')(h))
            h = _stage(self, i, h)
        return jnp.tanh(_linear(self.channels, 'image')(h))


class Discriminator(nn.Module):
    """Images to logits, the generator's mirror: x [B, H, H, I] -> [B]. No example sees another.

    Args: as the generator's, `widths` too with the coarsest resolution first.
    """

    widths: Sequence[int]
    classes: int | None = None
    blocks: int = 2
    expansion: int = 2
    group: int = 16
    side: int = 4

    @nn.compact
    def __call__(self, x: Array, label: Array | None = None) -> Array:
        """x, label int [B] -> logit [B]; a ValueError for misfits, or a label where there are no
        classes."""
        _check(self)
        refuse_labels(self.classes, label)
        H = self.side * 2 ** (len(self.widths) - 1)
        if x.ndim != 4 or x.shape[1:3] != (H, H):
            raise ValueError(
                f'x has shape {x.shape}; side {self.side} and {len(self.widths)} widths need {[H, H]} pixels'
            )
        h = _linear(self.widths[-1], 'image')(x)
        for i, width in reversed(list(enumerate(self.widths))):
            if i < len(self.widths) - 1:
                h = coarser(h)
                h = h if width == h.shape[-1] else _linear(width, f'coarser{i}')(h)
            h = _stage(self, i, h)
        basis = self.param('basis', nn.initializers.normal(1 / self.side), h.shape[1:])
        h = jnp.sum(h * basis[None], (1, 2))
        if label is None:
            return _linear(1, 'logit')(h)[:, 0]
        embedding = _linear(h.shape[-1], 'label')(jax.nn.one_hot(label, self.classes)) / math.sqrt(
            h.shape[-1]
        )
        return jnp.sum(_linear(h.shape[-1], 'logit')(h) * embedding, 1)
