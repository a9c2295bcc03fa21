"""Group normalisation (Wu, He 2018, arXiv:1803.08494) with what follows it, in few passes.

A residual block normalises, applies an activation and drops a share, each of which is cheap beside
reading and writing its tensor. Here they are one function of x that a derivative computes again: of
its inside only the statistics are kept, two numbers of each group, beside x itself. So x is read
twice and the result written once; backwards x and the cotangent are read for the sums of each
channel, from which the gradients of scale and bias follow, and again for the gradient of x.
`jax.checkpoint` says this to JAX and leaves every derivative possible, `jax.jvp` among them, which
`jax.custom_vjp` would forbid.

Shapes: B examples, H rows, W columns, C channels, G groups.
"""

from collections.abc import Callable
from functools import partial
from itertools import accumulate

import jax
import jax.numpy as jnp
from jax import Array
from jax.ad_checkpoint import checkpoint_name

from genjax.base import Key
from genjax.networks.dropout import drop
from genjax.parallel import example_keys

STATISTICS = 'group_norm_statistics'
EPS = 1e-6  # added to the variance


def group_norm(
    x: Array | tuple[Array, ...],
    gain: Array,
    bias: Array,
    groups: int,
    *,
    activation: Callable[[Array], Array] | None = None,
    key: Key | None = None,
    rate: float = 0.0,
    dtype: jnp.dtype | str | None = None,
) -> Array:
    """dropout(activation(gain * normalised x + bias)).

    Everything is computed in float32, or float64 where x has it, and rounded once. Statistics, gain
    and bias are folded into one scale and one shift of each channel.

    Args:
      x: [B, H, W, C], or parts of it along the channels, which are read where they are.
      gain: [C].
      bias: [C].
      groups: G, which divides C.
      activation: of single numbers; None for none.
      key: of the dropout, consumed; None: nothing is dropped.
      rate: the share that is dropped, in [0, 1).
      dtype: of the result; None: that of x.

    Returns:
      [B, H, W, C].
    """

    parts = list(x) if isinstance(x, tuple) else [x]
    keys = None if key is None else example_keys(key, len(parts[0]))
    return _group_norm(parts, gain, bias, keys, groups, activation, rate, dtype)


# A network has many of a few shapes: each is traced once, and so are its derivatives.
@partial(jax.jit, static_argnums=(4, 5, 6, 7))
def _group_norm(parts, gain, bias, keys, groups, activation, rate, dtype):
    @partial(jax.checkpoint, policy=jax.checkpoint_policies.save_only_these_names(STATISTICS))
    def normalise(parts, gain, bias, keys):
        wide = [part.astype(wide_dtype(part.dtype)) for part in parts]
        scale, shift = _scale_and_shift(wide, gain, bias, groups)
        ends = list(accumulate(part.shape[-1] for part in parts))[:-1]
        scales = jnp.split(scale[:, None, None], ends, -1)
        shifts = jnp.split(shift[:, None, None], ends, -1)
        pieces = []
        for part, scale, shift in zip(wide, scales, shifts, strict=True):
            y = part * scale + shift
            pieces.append(y if activation is None else activation(y))
        y = pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, -1)
        if keys is not None:
            y = drop(keys, y, rate)
        return y.astype(dtype or parts[0].dtype)

    return normalise(parts, gain, bias, keys)


def wide_dtype(dtype: jnp.dtype | str) -> jnp.dtype:
    """What sums over tensors of this type are taken in: float32, or float64 if it is that."""
    wide = jnp.float64 if jnp.dtype(dtype) == jnp.float64 else jnp.float32
    return jax.dtypes.canonicalize_dtype(wide)


def _scale_and_shift(parts, gain, bias, groups):
    """[B, C] each: x * scale + shift is normalised, then scaled by gain and shifted by bias."""
    B = len(parts[0])
    C = len(gain)
    dtype = parts[0].dtype

    def group_means(parts):  # of [B, H, W, .] -> [B, G]
        channel_means = [jnp.mean(part, (1, 2)) for part in parts]
        return jnp.mean(jnp.concatenate(channel_means, -1).reshape(B, groups, -1), -1)

    mean = group_means(parts)
    variance = group_means([jnp.square(part) for part in parts]) - jnp.square(mean)
    mean = checkpoint_name(mean, STATISTICS)
    variance = checkpoint_name(variance, STATISTICS)

    inverse_deviation = jax.lax.rsqrt(jnp.maximum(variance, 0) + EPS)
    scale = gain.astype(dtype)[None] * jnp.repeat(inverse_deviation, C // groups, -1)
    shift = bias.astype(dtype)[None] - jnp.repeat(mean, C // groups, -1) * scale
    return scale, shift
