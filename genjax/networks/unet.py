"""The U-Net of denoising diffusion: Ho, Jain, Abbeel 2020 (arXiv:2006.11239).

Appendix B and their code. Shapes: B examples, H rows, W columns, C channels, E = 4 width features
of the time. Labels and heads, which the paper has not, are as in Karras et al. 2022
(arXiv:2206.00364) and Vaswani et al. 2017 (arXiv:1706.03762).
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import accumulate

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.base import Key
from genjax.networks.attention import attend
from genjax.networks.conditions import Conditions
from genjax.networks.conv import Conv
from genjax.networks.group_norm import group_norm, wide_dtype
from genjax.networks.resampling import upsample_nearest

# Ho et al.'s initialisation. The last layer of each branch starts at zero, so that each block
# starts as its skip.
fan_avg_init = nn.initializers.variance_scaling(1.0, 'fan_avg', 'uniform')
zeros_init = nn.initializers.zeros

DTYPES = ('float32', 'bfloat16', 'float16', 'float64')


def timestep_embedding(t: jax.Array, size: int) -> jax.Array:
    """Sines, then cosines of t [B] at size / 2 frequencies from 1 down to 1/10000, [B, size].

    After Vaswani et al. 2017 (arXiv:1706.03762), section 3.5, with the halves one after the other.
    """
    dtype = wide_dtype(t.dtype)
    exponents = jnp.linspace(0, 1, size // 2, dtype=dtype)
    frequencies = jnp.exp(-math.log(10_000) * exponents)
    angles = t.astype(dtype)[:, None] * frequencies[None]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


class Norm(nn.Module):
    """Group normalisation of x [B, H, W, C], see `group_norm`, with what follows it.

    Args:
      dtype: of the result.
      channels_per_group: how many a group has at the least, where there are as many; there are up
        to 32 groups. In a group of one channel nothing is left of a number that was added to all of
        its pixels, such as a feature of the time.
      activation: of single numbers; None for none.
      dropout: the share that is dropped where there is a key for it, in [0, 1).
    """

    dtype: jnp.dtype | str = jnp.float32
    channels_per_group: int = 1
    activation: Callable[[jax.Array], jax.Array] | None = None
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array | tuple[jax.Array, ...], key: Key | None = None) -> jax.Array:
        """x [B, H, W, C], or parts of it along the channels, -> [B, H, W, C].

        Args:
          x: the image.
          key: of the dropout.

        Raises:
          ValueError: channels_per_group is below 1.
        """
        C = sum(part.shape[-1] for part in x) if isinstance(x, tuple) else x.shape[-1]
        if self.channels_per_group < 1:
            raise ValueError(f'channels_per_group is {self.channels_per_group}; it is at least 1')
        return group_norm(
            x,
            self.param('scale', nn.initializers.ones, (C,)),
            self.param('bias', zeros_init, (C,)),
            math.gcd(32, C, max(1, C // self.channels_per_group)),
            activation=self.activation,
            key=key,
            rate=self.dropout,
            dtype=self.dtype,
        )


def dropout_key(module: nn.Module) -> Key | None:
    """A key for the module's dropout; None where it drops nothing or the caller gave none."""
    return module.make_rng('dropout') if module.dropout and module.has_rng('dropout') else None


class Skip(nn.Module):
    """A linear layer of parts of x [B, H, W, C] along its channels, as nn.Dense of the whole."""

    features: int
    dtype: jnp.dtype | str = jnp.float32

    @nn.compact
    def __call__(self, parts: tuple[jax.Array, ...]) -> jax.Array:
        """[B, H, W, .] each -> [B, H, W, features]."""
        C = sum(part.shape[-1] for part in parts)
        kernel = self.param('kernel', fan_avg_init, (C, self.features)).astype(self.dtype)
        bias = self.param('bias', zeros_init, (self.features,)).astype(self.dtype)
        ends = list(accumulate(part.shape[-1] for part in parts))[:-1]
        y = bias.reshape(1, 1, 1, -1)
        for part, rows in zip(parts, jnp.split(kernel, ends), strict=True):
            y = part.astype(self.dtype) @ rows + y
        return y


class Block(nn.Module):
    """A residual block conditioned on the time: x [B, H, W, C], time [B, E] -> [.., features].

    Two convolutions beside a skip; the time is added between them. On the way up x comes in two
    parts, which are read where they are.
    """

    features: int
    dropout: float
    dtype: jnp.dtype | str = jnp.float32
    channels_per_group: int = 1

    @nn.compact
    def __call__(self, x: jax.Array | tuple[jax.Array, jax.Array], time: jax.Array) -> jax.Array:
        dense = partial(nn.Dense, self.features, kernel_init=fan_avg_init, dtype=self.dtype)
        conv = partial(Conv, self.features, dtype=self.dtype)
        norm = partial(Norm, self.dtype, self.channels_per_group, nn.silu)

        h = norm(name='norm1')(x)
        h = conv(name='conv1', kernel_init=fan_avg_init)(h)
        h = h + dense(name='time')(nn.silu(time))[:, None, None]
        h = norm(dropout=self.dropout, name='norm2')(h, dropout_key(self))
        h = conv(name='conv2', kernel_init=zeros_init)(h)

        parts = x if isinstance(x, tuple) else (x,)
        if len(parts) == 1 and parts[0].shape[-1] == self.features:
            return h + x
        return h + Skip(self.features, self.dtype, name='skip')(parts)


class Attention(nn.Module):
    """Self-attention of the pixels of x [B, H, W, C], beside a skip; heads share the channels."""

    dtype: jnp.dtype = jnp.float32
    heads: int = 1
    channels_per_group: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        B, H, W, C = x.shape
        dense = partial(nn.Dense, C, kernel_init=fan_avg_init, dtype=self.dtype)
        h = Norm(self.dtype, self.channels_per_group, name='norm')(x).reshape(B, H * W, C)
        query = dense(name='query')(h)
        key = dense(name='key')(h)
        value = dense(name='value')(h)
        h = attend(query, key, value, self.heads)
        return x + dense(name='out', kernel_init=zeros_init)(h).reshape(B, H, W, C)


class UNet(nn.Module):
    """Predicts an image from a noisy image and its time.

    Dropout is active exactly where the caller passes a key for it, `net.apply(..., rngs={'dropout':
    key})`.

    Args:
      width: channels of the first level, an even number.
      multipliers: channels of each level in units of width; each level has half the resolution of
        the one before.
      attend_at: the resolutions, in pixels, whose blocks are followed by attention.
      dropout: the share of features that each block drops, in [0, 1).
      blocks: residual blocks of each level on the way down; one more on the way up.
      dtype: of the computation, also by name; parameters are float32, and so are statistics of
        norms, softmax and the output, where the computation is not float64.
      heads: of attention, which share the channels.
      classes: labels 0 .. classes - 1, and `classes` itself for none; None: it takes no label.
      augmentation_labels: how many numbers say what augmentation did.
      channels_per_group: of the norms, at the least, see `Norm`. The paper's widths have 4 and more
        in any case; a level of 32 channels or fewer is told the time and the label by 2 or more
        alone.
      duration: whether it is told a duration besides the time.
    """

    width: int
    multipliers: tuple[int, ...]
    attend_at: tuple[int, ...]
    dropout: float
    blocks: int = 2
    dtype: jnp.dtype | str = jnp.float32
    heads: int = 1
    classes: int | None = None
    augmentation_labels: int = 0
    channels_per_group: int = 1
    duration: bool = False

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        t: jax.Array,
        label: jax.Array | None = None,
        augmentation: jax.Array | None = None,
        duration: jax.Array | None = None,
    ) -> jax.Array:
        """x [B, H, W, C], t [B] -> [B, H, W, C] in float32, or float64 where `dtype` is that.

        Args:
          x: the image.
          t: the time.
          label: int [B], where there are classes.
          augmentation: [B, augmentation_labels]; None for zeros, where nothing was done.
          duration: [B], where the network is told one.

        Raises:
          ValueError: fields or shapes do not fit together, or there are labels without classes or
            the reverse, and so for a duration.
        """
        check_fields(self)
        check_shapes(self, x, t)
        conv = partial(Conv, kernel_init=fan_avg_init, dtype=self.dtype)
        dense = partial(nn.Dense, 4 * self.width, kernel_init=fan_avg_init, dtype=self.dtype)

        conditions = Conditions(
            self.classes, self.augmentation_labels, fan_avg_init, self.duration, name='conditions'
        )
        duration_features = None if duration is None else timestep_embedding(duration, self.width)
        features = conditions(
            timestep_embedding(t, self.width), label, augmentation, duration_features
        )
        time = dense(name='time1')(features)
        time = dense(name='time2')(nn.silu(time))

        def block(h, features, name, attend):
            layer = Block(features, self.dropout, self.dtype, self.channels_per_group, name=name)
            h = layer(h, time)
            if not attend:
                return h
            attention = Attention(
                self.dtype, self.heads, self.channels_per_group, name=f'{name}_attend'
            )
            return attention(h)

        # Down: every activation is kept for the way up.
        h = conv(self.width, name='enter')(x)
        skips = [h]
        widths = [self.width * multiplier for multiplier in self.multipliers]
        for level, features in enumerate(widths):
            for i in range(self.blocks):
                h = block(h, features, f'down{level}_{i}', h.shape[1] in self.attend_at)
                skips.append(h)
            if level < len(widths) - 1:
                pads = ((0, 1), (0, 1))
                halve = conv(features, strides=2, padding=pads, name=f'down{level}_halve')
                h = halve(h)
                skips.append(h)

        h = block(h, widths[-1], 'middle_0', True)
        h = block(h, widths[-1], 'middle_1', False)

        # Up.
        for level, features in reversed(list(enumerate(widths))):
            for i in range(self.blocks + 1):
                h = block(
                    (h, skips.pop()), features, f'up{level}_{i}', h.shape[1] in self.attend_at
                )
            if level > 0:
                h = conv(features, name=f'up{level}_double')(upsample_nearest(h))

        h = Norm(self.dtype, self.channels_per_group, nn.silu, name='leave_norm')(h)
        y = conv(x.shape[-1], kernel_init=zeros_init, name='leave')(h)
        return y.astype(wide_dtype(self.dtype))


def check_fields(network: nn.Module) -> None:
    """Checks the fields that U-Nets have in common.

    Raises:
      ValueError: one of them is out of range.
    """
    if network.width < 2 or network.width % 2:
        raise ValueError(f'width is {network.width}; it must be positive and even')
    if not network.multipliers or min(network.multipliers) < 1:
        raise ValueError(
            f'multipliers are {network.multipliers}; at least one, each at least 1, is needed'
        )
    if not 1 <= network.blocks <= 100:
        raise ValueError(f'blocks is {network.blocks}; it takes 1 to 100')
    if str(network.dtype) not in DTYPES and network.dtype not in map(jnp.dtype, DTYPES):
        raise ValueError(f'dtype is {network.dtype}; it must be one of {", ".join(DTYPES)}')
    if not 0 <= network.dropout < 1:
        raise ValueError(f'dropout is {network.dropout}; it must lie in [0, 1)')


def check_shapes(network: nn.Module, x: jax.Array, t: jax.Array) -> None:
    """Checks that images x and times t suit a U-Net.

    Raises:
      ValueError: they have other axes, or the levels do not divide or attention does not meet the
        sides of x.
    """
    if x.ndim != 4 or t.shape != x.shape[:1]:
        raise ValueError(
            f'x and t have shapes {x.shape} and {t.shape}; [B, H, W, C] and [B] are needed'
        )
    levels = len(network.multipliers)
    factor = 2 ** (levels - 1)
    if x.shape[1] % factor or x.shape[2] % factor:
        raise ValueError(f'x has shape {x.shape}; {levels} levels need H, W divisible by {factor}')
    resolutions = [x.shape[1] >> level for level in range(levels)]
    if not set(network.attend_at) <= set(resolutions):
        raise ValueError(
            f'attend_at is {network.attend_at}; the levels have resolutions {resolutions}'
        )
