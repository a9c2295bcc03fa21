"""The U-Net of denoising diffusion: Ho, Jain, Abbeel 2020 (arXiv:2006.11239).

Appendix B and their code. Shapes: B examples, H rows, W columns, C channels, E = 4 width features
of the time.
"""

import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.base import Key
from genjax.networks.conv import Conv
from genjax.networks.resampling import upsample_nearest
from genjax.parallel import example_keys

# Ho et al.'s initialisation. The last layer of each branch starts at zero, so that each block
# starts as its skip.
fan_avg_init = nn.initializers.variance_scaling(1.0, 'fan_avg', 'uniform')
zeros_init = nn.initializers.zeros

DTYPES = ('float32', 'bfloat16', 'float16', 'float64')


def timestep_embedding(t: jax.Array, size: int) -> jax.Array:
    """Sines, then cosines of t [B] at size / 2 frequencies from 1 down to 1/10000, [B, size].

    After Vaswani et al. 2017 (arXiv:1706.03762), section 3.5, with the halves one after the other.
    """
    frequencies = jnp.exp(-math.log(10_000) * jnp.linspace(0, 1, size // 2))
    angles = t.astype(jnp.float32)[:, None] * frequencies[None]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


def dropout(key: Key, x: jax.Array, rate: float) -> jax.Array:
    """Sets a share of x [B, ...] to zero and scales the rest to keep the mean.

    Args:
      key: consumed.
      x: [B, ...].
      rate: the share, rounded to a multiple of 2^-16: sixteen random bits decide over a number,
        half of what a float takes.

    Returns:
      [B, ...].
    """
    size = math.prod(x.shape[1:])
    threshold = round(rate * 2**16)

    def random_pairs(key):
        return jax.random.bits(key, ((size + 1) // 2,), jnp.uint32)

    pairs = jax.vmap(random_pairs)(example_keys(key, len(x)))
    bits = jax.lax.bitcast_convert_type(pairs, jnp.uint16).reshape(len(x), -1)[:, :size]
    mask = bits.reshape(x.shape) >= threshold
    return jnp.where(mask, x * (2**16 / (2**16 - threshold)), 0)


class Norm(nn.Module):
    """Group normalisation of x [B, H, W, C] (Wu, He 2018, arXiv:1803.08494) over gcd(32, C) groups.

    Statistics are float32; they and the learned scale and bias are folded into one scale and one
    shift of each channel, so that x is read twice and written once.
    """

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        B, _, _, C = x.shape
        gain = self.param('scale', nn.initializers.ones, (C,))
        bias = self.param('bias', zeros_init, (C,))
        groups = math.gcd(32, C)
        x32 = x.astype(jnp.float32)

        def group_means(x):  # [B, H, W, C] -> [B, C]
            means = jnp.mean(jnp.mean(x, (1, 2)).reshape(B, groups, -1), -1)
            return jnp.repeat(means, C // groups, -1)

        mean = group_means(x32)
        variance = group_means(jnp.square(x32)) - jnp.square(mean)
        scale = gain[None] * jax.lax.rsqrt(jnp.maximum(variance, 0) + 1e-6)
        shift = bias[None] - mean * scale
        return (x32 * scale[:, None, None] + shift[:, None, None]).astype(self.dtype)


class Block(nn.Module):
    """A residual block conditioned on the time: x [B, H, W, C], time [B, E] -> [.., features].

    Two convolutions beside a skip; the time is added between them.
    """

    features: int
    dropout: float
    dtype: jnp.dtype | str = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, time: jax.Array) -> jax.Array:
        dense = partial(nn.Dense, self.features, kernel_init=fan_avg_init, dtype=self.dtype)
        conv = partial(Conv, self.features, dtype=self.dtype)

        h = nn.silu(Norm(self.dtype, name='norm1')(x))
        h = conv(name='conv1', kernel_init=fan_avg_init)(h)
        h = h + dense(name='time')(nn.silu(time))[:, None, None]
        h = nn.silu(Norm(self.dtype, name='norm2')(h))
        if self.dropout and self.has_rng('dropout'):
            h = dropout(self.make_rng('dropout'), h, self.dropout)
        h = conv(name='conv2', kernel_init=zeros_init)(h)

        skip = x if x.shape[-1] == self.features else dense(name='skip')(x)
        return h + skip


class Attention(nn.Module):
    """Self-attention of the pixels of x [B, H, W, C], one head of C features, beside a skip."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        B, H, W, C = x.shape
        dense = partial(nn.Dense, C, kernel_init=fan_avg_init, dtype=self.dtype)
        h = Norm(self.dtype, name='norm')(x).reshape(B, H * W, C)
        query = dense(name='query')(h)
        key = dense(name='key')(h)
        value = dense(name='value')(h)
        logits = jnp.einsum('bqc,bkc->bqk', query, key, preferred_element_type=jnp.float32)
        weights = nn.softmax(logits / math.sqrt(C)).astype(self.dtype)
        h = jnp.einsum('bqk,bkc->bqc', weights, value)
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
      dtype: of the computation, also by name; parameters, statistics of norms, softmax and the
        output are float32.
    """

    width: int
    multipliers: tuple[int, ...]
    attend_at: tuple[int, ...]
    dropout: float
    blocks: int = 2
    dtype: jnp.dtype | str = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, t: jax.Array) -> jax.Array:
        """x [B, H, W, C], t [B] -> [B, H, W, C] in float32.

        Raises:
          ValueError: fields or shapes do not fit together.
        """
        self._check_fields()
        self._check_shapes(x, t)
        conv = partial(Conv, kernel_init=fan_avg_init, dtype=self.dtype)
        dense = partial(nn.Dense, 4 * self.width, kernel_init=fan_avg_init, dtype=self.dtype)

        time = dense(name='time1')(timestep_embedding(t, self.width))
        time = dense(name='time2')(nn.silu(time))

        def block(h, features, name, attend):
            h = Block(features, self.dropout, self.dtype, name=name)(h, time)
            return Attention(self.dtype, name=f'{name}_attend')(h) if attend else h

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
                h = jnp.concatenate([h, skips.pop()], -1)
                h = block(h, features, f'up{level}_{i}', h.shape[1] in self.attend_at)
            if level > 0:
                h = conv(features, name=f'up{level}_double')(upsample_nearest(h))

        h = nn.silu(Norm(self.dtype, name='leave_norm')(h))
        return conv(x.shape[-1], kernel_init=zeros_init, name='leave')(h).astype(jnp.float32)

    def _check_fields(self):
        if self.width < 2 or self.width % 2:
            raise ValueError(f'width is {self.width}; it must be positive and even')
        if not self.multipliers or min(self.multipliers) < 1:
            raise ValueError(
                f'multipliers are {self.multipliers}; at least one, each at least 1, is needed'
            )
        if not 1 <= self.blocks <= 100:
            raise ValueError(f'blocks is {self.blocks}; it takes 1 to 100')
        if str(self.dtype) not in DTYPES and self.dtype not in map(jnp.dtype, DTYPES):
            raise ValueError(f'dtype is {self.dtype}; it must be one of {", ".join(DTYPES)}')
        if not 0 <= self.dropout < 1:
            raise ValueError(f'dropout is {self.dropout}; it must lie in [0, 1)')

    def _check_shapes(self, x, t):
        if x.ndim != 4 or t.shape != x.shape[:1]:
            raise ValueError(
                f'x and t have shapes {x.shape} and {t.shape}; [B, H, W, C] and [B] are needed'
            )
        levels = len(self.multipliers)
        factor = 2 ** (levels - 1)
        if x.shape[1] % factor or x.shape[2] % factor:
            raise ValueError(
                f'x has shape {x.shape}; {levels} levels need H, W divisible by {factor}'
            )
        resolutions = [x.shape[1] >> level for level in range(levels)]
        if not set(self.attend_at) <= set(resolutions):
            raise ValueError(
                f'attend_at is {self.attend_at}; the levels have resolutions {resolutions}'
            )
