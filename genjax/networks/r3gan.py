"""The residual networks of R3GAN, without normalisation: Huang et al. 2024 (arXiv:2501.05441).

Section 4 and the appendix. Blocks are inverted bottlenecks with a grouped convolution; each starts
as the identity (fix-up initialisation, Zhang et al. 2019, arXiv:1901.09321). With the settings of
the official CIFAR-10 networks, widths (768, 768, 768, 768), 64 features of noise and 10 classes,
they have the official numbers of parameters, 20,781,952 and 21,280,512. Differences: a tanh bounds
the images, any side can be the coarsest one, and everything is float32.

Shapes: B examples, H x H pixels, I channels of an image, C of a layer, G groups of g channels, Z
features of noise.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

from genjax.networks.convolution import convolve
from genjax.networks.labels import require_labels
from genjax.networks.resampling import downsample_bilinear, upsample_bilinear

PADS = ((1, 1), (1, 1))
GAIN = 2 / (1 + 0.2**2)  # the inverse of leaky_relu's factor on the mean square
UNROLLED_GROUPS = 8  # at most as many groups are convolved one by one on a CPU

fan_in_init = nn.initializers.variance_scaling(1.0, 'fan_in', 'normal')


def leaky_relu(x: Array) -> Array:
    """The rectifier with slope 0.2 below zero."""
    return nn.leaky_relu(x, 0.2)


def grouped_convolution(x: Array, kernel: Array, groups: int) -> Array:
    """A 3 x 3 convolution of each of G groups of channels by itself.

    On a CPU up to 8 groups are convolved one after the other. That takes half the time of all at
    once, but each group is compiled.

    Args:
      x: [B, H, W, C].
      kernel: [3, 3, g, O], C = G g.
      groups: G.

    Returns:
      [B, H, W, O].
    """

    def unrolled(x, kernel):
        pairs = zip(jnp.split(x, groups, -1), jnp.split(kernel, groups, -1), strict=True)
        return jnp.concatenate([convolve(x, kernel, 1, PADS) for x, kernel in pairs], -1)

    def vectorised(x, kernel):
        x = x.reshape(*x.shape[:3], groups, -1)
        kernel = kernel.reshape(*kernel.shape[:3], groups, -1)
        y = jax.vmap(lambda x, kernel: convolve(x, kernel, 1, PADS), (3, 3), 3)(x, kernel)
        return y.reshape(*y.shape[:3], -1)

    if groups > UNROLLED_GROUPS:
        return vectorised(x, kernel)
    return lax.platform_dependent(x, kernel, cpu=unrolled, default=vectorised)


class Block(nn.Module):
    """x [B, H, W, C] plus a branch that starts at zero.

    The branch is a 1 x 1 convolution to more channels, a grouped 3 x 3 one, and a 1 x 1 one back.

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
        scaled_init = nn.initializers.variance_scaling(
            GAIN / math.sqrt(self.depth), 'fan_in', 'normal'
        )
        C = x.shape[-1]
        inner = C * self.expansion
        kernel = self.param('kernel', scaled_init, (3, 3, self.group, inner))
        bias = self.param('bias', nn.initializers.zeros, (inner,))

        h = leaky_relu(nn.Dense(inner, kernel_init=scaled_init, name='widen')(x))
        h = grouped_convolution(h, kernel, inner // self.group)
        h = leaky_relu(h + bias[None, None, None])
        narrow = nn.Dense(C, use_bias=False, kernel_init=nn.initializers.zeros, name='narrow')
        return x + narrow(h)


class Generator(nn.Module):
    """Images in [-1, 1] from noise.

    Args:
      widths: channels of each resolution, the coarsest first; each has twice the side of the one
        before.
      channels: of an image, I.
      classes: labels 0 .. classes - 1; None: it takes no label.
      blocks: residual blocks of each resolution.
      expansion: channels within a block in units of its width.
      group: channels of a group of the 3 x 3 convolutions, g; officially 16.
      side: of the coarsest resolution, in pixels; officially 4.
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
        """z [B, Z] and label int [B], where there are classes -> x [B, H, H, channels].

        H = side 2^(len(widths) - 1).

        Raises:
          ValueError: a size is not allowed, or there are labels without classes or the reverse.
        """
        _check_sizes(self)
        require_labels(self.classes, label)
        if label is not None:
            embedding = _linear(z.shape[-1], 'label')(jax.nn.one_hot(label, self.classes))
            z = jnp.concatenate([z, embedding], -1)
        basis_shape = (self.side, self.side, self.widths[0])
        basis = self.param('basis', nn.initializers.normal(1.0), basis_shape)
        h = basis[None] * _linear(self.widths[0], 'start')(z)[:, None, None]
        for i, width in enumerate(self.widths):
            if i > 0:
                if width != h.shape[-1]:
                    h = _linear(width, f'finer{i}')(h)
                h = upsample_bilinear(h)
            h = _stage(self, i, h)
        return jnp.tanh(_linear(self.channels, 'image')(h))


class Discriminator(nn.Module):
    """Logits of images, the generator's mirror; each depends on its own image alone.

    Args: as the generator's; `widths` too with the coarsest resolution first.
    """

    widths: Sequence[int]
    classes: int | None = None
    blocks: int = 2
    expansion: int = 2
    group: int = 16
    side: int = 4

    @nn.compact
    def __call__(self, x: Array, label: Array | None = None) -> Array:
        """x [B, H, H, I] and label int [B], where there are classes -> logit [B].

        Raises:
          ValueError: a size is not allowed, x has another shape, or there are labels without
            classes or the reverse.
        """
        _check_sizes(self)
        require_labels(self.classes, label)
        H = self.side * 2 ** (len(self.widths) - 1)
        if x.ndim != 4 or x.shape[1:3] != (H, H):
            raise ValueError(
                f'x has shape {x.shape}; '
                f'side {self.side} and {len(self.widths)} widths need {[H, H]} pixels'
            )
        h = _linear(self.widths[-1], 'image')(x)
        for i, width in reversed(list(enumerate(self.widths))):
            if i < len(self.widths) - 1:
                h = downsample_bilinear(h)
                if width != h.shape[-1]:
                    h = _linear(width, f'coarser{i}')(h)
            h = _stage(self, i, h)
        basis = self.param('basis', nn.initializers.normal(1 / self.side), h.shape[1:])
        h = jnp.sum(h * basis[None], (1, 2))
        if label is None:
            return _linear(1, 'logit')(h)[:, 0]
        embedding = _linear(h.shape[-1], 'label')(jax.nn.one_hot(label, self.classes))
        embedding = embedding / math.sqrt(h.shape[-1])
        return jnp.sum(_linear(h.shape[-1], 'logit')(h) * embedding, 1)


def _linear(features, name):
    return nn.Dense(features, use_bias=False, kernel_init=fan_in_init, name=name)


def _stage(network, i, h):
    """The blocks of one resolution."""
    depth = network.blocks * len(network.widths)
    for j in range(network.blocks):
        h = Block(network.expansion, network.group, depth, name=f'block{i}_{j}')(h)
    return h


def _check_sizes(network):
    widths = tuple(network.widths)
    sizes = (*widths, network.blocks, network.group, network.expansion, network.side)
    if not widths or min(sizes) < 1:
        raise ValueError(
            f'widths {widths}, blocks {network.blocks}, group {network.group}, '
            f'expansion {network.expansion}, side {network.side}: all must be at least 1'
        )
    for width in widths:
        inner = width * network.expansion
        if inner % network.group:
            raise ValueError(
                f'group is {network.group}; it must divide {inner}, a width times expansion'
            )
