"""DDPM++ and NCSN++: Song et al. 2021 (arXiv:2011.13456), appendix H, as EDM trains them.

Karras et al. 2022 (arXiv:2206.00364), appendix F.2 and table 7, and the authors' code where both
are silent. Beside Ho et al.'s network (see `unet`): the resolution changes within residual blocks,
skips are scaled to keep the variance, there are twice the blocks, and of a level's blocks on the
way up only the last attends. Embeddings of labels have no bias, which the layer after them has.

Shapes: B examples, H rows, W columns, C channels, E = 4 width features of the time.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.networks.attention import attend
from genjax.networks.conditions import Conditions
from genjax.networks.conv import Conv
from genjax.networks.group_norm import wide_dtype
from genjax.networks.resampling import Resampling, bilinear, box
from genjax.networks.unet import (
    Norm,
    check_fields,
    check_shapes,
    dropout_key,
    timestep_embedding,
)

# (t [B], size) -> features [B, size]
Embed = Callable[[Array, int], Array]

xavier_init = nn.initializers.xavier_uniform()
# Of the last layer of each branch: Xavier's times 1e-5, so that each block starts near its skip.
small_init = nn.initializers.variance_scaling(1e-10, 'fan_avg', 'uniform')
# Of query, key and value: Xavier's times sqrt(0.2).
attention_init = nn.initializers.variance_scaling(0.2, 'fan_avg', 'uniform')

CHANNELS_PER_GROUP = 4  # of norms, at the least
SKIP_SCALE = math.sqrt(0.5)
FOURIER_SCALE = 16.0


def fourier_embedding(t: Array, size: int) -> Array:
    """Sines, then cosines of t [B] at size / 2 random frequencies, [B, size].

    The frequencies are normal of deviation 16 turns, the same in every network and never trained.

    Source: Tancik et al. 2020, arXiv:2006.10739; Song et al. 2021, appendix C and section H.2.
    """
    # NumPy promises that this generator gives these numbers for ever.
    frequencies = FOURIER_SCALE * np.random.RandomState(0).standard_normal(size // 2)
    turns = t.astype(jnp.float32)[:, None] * frequencies.astype(np.float32)[None]
    angles = 2 * math.pi * turns
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


class Block(nn.Module):
    """A residual block conditioned on the time: x [B, H, W, C], time [B, E] -> [.., features].

    Args:
      features: output channels.
      dropout: the share of features that it drops, in [0, 1).
      resample: changes the resolution, of the branch after its first activation and of the skip.
      attends: whether attention follows.
      dtype: of the computation.
    """

    features: int
    dropout: float
    resample: Callable[[Array], Array] | None = None
    attends: bool = False
    dtype: jnp.dtype | str = jnp.float32

    @nn.compact
    def __call__(self, x: Array, time: Array) -> Array:
        dense = partial(nn.Dense, self.features, kernel_init=xavier_init, dtype=self.dtype)
        conv = partial(Conv, self.features, dtype=self.dtype)
        norm = partial(Norm, self.dtype, CHANNELS_PER_GROUP, nn.silu)

        h = norm(name='norm1')(x)
        skip = x
        if self.resample is not None:
            h = self.resample(h)
            skip = self.resample(skip)
        h = conv(name='conv1', kernel_init=xavier_init)(h)
        h = h + dense(name='time')(time)[:, None, None]
        h = norm(dropout=self.dropout, name='norm2')(h, dropout_key(self))
        h = conv(name='conv2', kernel_init=small_init)(h)

        if self.resample is not None or x.shape[-1] != self.features:
            skip = dense(name='skip')(skip)
        h = SKIP_SCALE * (h + skip)
        return Attention(self.dtype, name='attend')(h) if self.attends else h


class Attention(nn.Module):
    """Self-attention of the pixels of x [B, H, W, C], one head, beside a scaled skip."""

    dtype: jnp.dtype | str = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        B, H, W, C = x.shape
        dense = partial(nn.Dense, dtype=self.dtype)
        h = Norm(self.dtype, CHANNELS_PER_GROUP, name='norm')(x).reshape(B, H * W, C)
        h = dense(3 * C, kernel_init=attention_init, name='query_key_value')(h)
        query, key, value = jnp.split(h, 3, -1)
        h = attend(query, key, value, heads=1)
        h = dense(C, kernel_init=small_init, name='out')(h).reshape(B, H, W, C)
        return SKIP_SCALE * (x + h)


class Halving(nn.Module):
    """A 3 x 3 convolution and then a filter of stride 2: [B, H, W, C] -> [B, H/2, W/2, features].

    Zeros lie around the image alone: what the convolution makes beyond its borders is filtered as
    what it makes within.
    """

    features: int
    down: Callable[[Array], Array]
    dtype: jnp.dtype | str = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        # Two more pixels all round, which become the one that is cut off.
        pads = ((3, 3), (3, 3))
        conv = Conv(
            self.features, padding=pads, kernel_init=xavier_init, dtype=self.dtype, name='conv'
        )
        return self.down(conv(x))[:, 1:-1, 1:-1]


class SongUNet(nn.Module):
    """Predicts an image from a noisy image and its time; by default DDPM++ for CIFAR-10.

    Dropout is active exactly where the caller passes a key for it, `net.apply(..., rngs={'dropout':
    key})`.

    Args:
      width: channels of the first layer, an even number.
      multipliers: channels of each level in units of width; each level has half the resolution of
        the one before.
      attend_at: the resolutions, in pixels, whose blocks on the way down, and the last of whose
        blocks on the way up, attend.
      blocks: residual blocks of each level on the way down; one more on the way up.
      dropout: the share of features that each block drops, in [0, 1).
      dtype: of the computation, also by name; parameters are float32, and so are statistics of
        norms, softmax and the output, where the computation is not float64.
      classes: labels 0 .. classes - 1, and `classes` itself for none; None: it takes no label.
      augmentation_labels: how many numbers say what augmentation did.
      embed: the time's first features.
      embedding: how many they are, in units of width.
      resampling: the filter with which blocks change the resolution.
      residual_input: whether a pyramid of the input is added on the way down.
      duration: whether it is told a duration besides the time.
    """

    width: int = 128
    multipliers: tuple[int, ...] = (2, 2, 2)
    attend_at: tuple[int, ...] = (16,)
    blocks: int = 4
    dropout: float = 0.13
    dtype: jnp.dtype | str = jnp.float32
    classes: int | None = None
    augmentation_labels: int = 0
    embed: Embed = timestep_embedding
    embedding: int = 1
    resampling: Resampling = box
    residual_input: bool = False
    duration: bool = False

    @nn.compact
    def __call__(
        self,
        x: Array,
        t: Array,
        label: Array | None = None,
        augmentation: Array | None = None,
        duration: Array | None = None,
    ) -> Array:
        """x [B, H, W, C], t [B] -> [B, H, W, C] in float32.

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
        time = self._time(t, label, augmentation, duration)
        conv = partial(Conv, dtype=self.dtype)
        down, up = self.resampling

        def block(h, features, name, attends=False, resample=None):
            layer = Block(features, self.dropout, resample, attends, self.dtype, name=name)
            return layer(h, time)

        # Down: every activation is kept for the way up.
        h = conv(self.width, kernel_init=xavier_init, name='enter')(x)
        pyramid = x
        skips = [h]
        widths = [self.width * multiplier for multiplier in self.multipliers]
        for level, features in enumerate(widths):
            if level > 0:
                h = block(h, h.shape[-1], f'down{level}_halve', resample=down)
                if self.residual_input:
                    halving = Halving(h.shape[-1], down, self.dtype, name=f'down{level}_input')
                    pyramid = SKIP_SCALE * (h + halving(pyramid))
                    h = pyramid
                skips.append(h)
            for i in range(self.blocks):
                h = block(h, features, f'down{level}_{i}', h.shape[1] in self.attend_at)
                skips.append(h)

        h = block(h, widths[-1], 'middle_0', attends=True)
        h = block(h, widths[-1], 'middle_1')

        # Up.
        for level, features in reversed(list(enumerate(widths))):
            if level < len(widths) - 1:
                h = block(h, h.shape[-1], f'up{level}_double', resample=up)
            for i in range(self.blocks + 1):
                attends = i == self.blocks and h.shape[1] in self.attend_at
                h = jnp.concatenate([h, skips.pop()], -1)
                h = block(h, features, f'up{level}_{i}', attends)

        h = Norm(self.dtype, CHANNELS_PER_GROUP, nn.silu, name='leave_norm')(h)
        y = conv(x.shape[-1], kernel_init=small_init, name='leave')(h)
        return y.astype(wide_dtype(self.dtype))

    def _time(self, t, label, augmentation, duration):
        """The features of the time and the conditions, [B, E]."""
        dense = partial(nn.Dense, 4 * self.width, kernel_init=xavier_init, dtype=self.dtype)
        conditions = Conditions(
            self.classes, self.augmentation_labels, duration=self.duration, name='conditions'
        )
        size = self.embedding * self.width
        of_duration = None if duration is None else self.embed(duration, size)
        features = conditions(self.embed(t, size), label, augmentation, of_duration)
        time = nn.silu(dense(name='time1')(features))
        return nn.silu(dense(name='time2')(time))


def ddpm_plus_plus(**fields: Any) -> SongUNet:
    """DDPM++: sines of the time, and resolutions changed by means and by repeating.

    With the default fields it is EDM's network for CIFAR-10, of 55.7 million parameters.

    Args:
      fields: of `SongUNet`, but for those that make it DDPM++.
    """
    return SongUNet(
        embed=timestep_embedding, embedding=1, resampling=box, residual_input=False, **fields
    )


def ncsn_plus_plus(**fields: Any) -> SongUNet:
    """NCSN++: random frequencies of the time, smoother resampling, and a pyramid of the input.

    Args:
      fields: of `SongUNet`, but for those that make it NCSN++.
    """
    return SongUNet(
        embed=fourier_embedding, embedding=2, resampling=bilinear, residual_input=True, **fields
    )
