"""Couplings after RealNVP (arXiv:1605.08803), and what Glow (arXiv:1807.03039) puts between them.

B examples, H x W pixels, C channels.
"""

from collections.abc import Callable
from functools import lru_cache

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from genjax.algorithms.flow.bijections import Bijection
from genjax.numerics.products import matmul
from genjax.numerics.triangular import lower_inverse
from genjax.parallel import device_mean

# The shape of an example -> bool of that shape, where an entry stays and is shown to the network
Mask = Callable[[tuple[int, ...]], np.ndarray]


def first_half(shape: tuple[int, ...]) -> np.ndarray:
    """The first half of the channels, [..., C]."""
    kept = np.arange(shape[-1]) < shape[-1] // 2
    return np.broadcast_to(kept, shape)


def checkerboard(shape: tuple[int, ...]) -> np.ndarray:
    """Every second pixel of [H, W, C], as on a chessboard."""
    H, W, C = shape
    odd = (np.arange(H)[:, None] + np.arange(W)[None]) % 2 == 1
    return np.broadcast_to(odd[..., None], (H, W, C))


def inverted(mask: Mask) -> Mask:
    """What a mask leaves."""

    def other(shape):
        return ~mask(shape)

    return other


def conditional(mask: Mask, entries: int) -> Mask:
    """A mask of the first entries of the channels; those after them, a condition, stay as they are.

    A coupling then maps the first entries in the light of the condition.

    Args:
      mask: of [..., entries].
      entries: how many there are, at least 1.
    """

    def wider(shape):
        own = mask((*shape[:-1], entries))
        condition = np.ones((*shape[:-1], shape[-1] - entries), bool)
        return np.concatenate([own, condition], -1)

    return wider


def coupling(network: nn.Module, mask: Mask) -> Bijection:
    """z = b x + (1 - b) (x exp(s(b x)) + t(b x)) with the mask b.

    s is bounded by a learned number of each channel, s = limit tanh(...), which begins at 1.

    Source: RealNVP, arXiv:1605.08803, equation 9 and section 4.1.

    Args:
      network: x [B, ..., C] -> [B, ..., 2 C], the raw s and t.
      mask: of an example.

    Raises:
      ValueError: when traced, the network gives another shape, or the mask keeps all or nothing.
    """

    def init(key, x):
        kept = jnp.where(_mask_of(mask, x), x, 0)
        params = network.init(key, kept[:1])['params']
        return {'network': params, 'limit': jnp.ones(x.shape[-1:], x.dtype)}

    def scale_and_shift(params, x):
        """s and t, 0 where b is 1, [B, ...] each; they depend on b x alone."""
        kept = _mask_of(mask, x)
        outputs = network.apply({'params': params['network']}, jnp.where(kept, x, 0))
        needed = (*x.shape[:-1], 2 * x.shape[-1])
        if outputs.shape != needed:
            raise ValueError(f'the network gives {outputs.shape}; a coupling needs {needed}')
        raw, shift = jnp.split(outputs, 2, -1)
        log_scale = _by_channel(params['limit'], x) * jnp.tanh(raw)
        return jnp.where(kept, 0, log_scale), jnp.where(kept, 0, shift)

    def forward(params, x):
        log_scale, shift = scale_and_shift(params, x)
        return x * jnp.exp(log_scale) + shift, jnp.sum(log_scale, range(1, x.ndim))

    def inverse(params, z):
        log_scale, shift = scale_and_shift(params, z)
        return (z - shift) * jnp.exp(-log_scale)

    return Bijection(init, forward, inverse)


def _mask_of(mask, x):
    kept = mask(x.shape[1:])
    if kept.all() or not kept.any():
        raise ValueError(f'the mask keeps {kept.sum()} of the {kept.size} entries of {x.shape[1:]}')
    return jnp.asarray(kept)[None]


def _by_channel(row, x):
    """[C] with axes in front, to broadcast with x [B, ..., C]."""
    return row.reshape(*[1] * (x.ndim - 1), -1)


def actnorm() -> Bijection:
    """z = (x - mean) exp(log_scale) of each channel, x [B, ..., C].

    Both are learned, and begin so that the example batch comes out with mean 0 and deviation 1.

    Source: Glow, arXiv:1807.03039, section 3.1.
    """

    def init(key, x):
        del key
        axes = range(x.ndim - 1)
        mean = device_mean(jnp.mean(x, axes))
        variance = device_mean(jnp.mean((x - _by_channel(mean, x)) ** 2, axes))
        # A channel that is constant in the batch stays as it is.
        return {'mean': mean, 'log_scale': jnp.where(variance > 0, -jnp.log(variance) / 2, 0)}

    def forward(params, x):
        log_scale = params['log_scale']
        z = (x - _by_channel(params['mean'], x)) * jnp.exp(_by_channel(log_scale, x))
        places = x[0].size // x.shape[-1]
        return z, jnp.broadcast_to(places * jnp.sum(log_scale), len(x))

    def inverse(params, z):
        scale = jnp.exp(-_by_channel(params['log_scale'], z))
        return z * scale + _by_channel(params['mean'], z)

    return Bijection(init, forward, inverse)


def invertible_1x1(seed: int) -> Bijection:
    """z = W x of the channels of every pixel, W = P L (U + diag(s)), x [B, ..., C].

    W begins as a random rotation; its permutation P and the signs of s stay as they are then, L, U
    and log |s| are learned, so that log |det| is the sum of log |s| at every pixel.

    Source: Glow, arXiv:1807.03039, section 3.2, equations 10 and 11.

    Args:
      seed: of the rotation. It is no leaf of the params, since P is none: all seeds of a run have
        one P.
    """

    def init(key, x):
        del key
        _, lower, upper, _, log_scale = _rotation(seed, x.shape[-1])
        return {
            'lower': jnp.asarray(lower, x.dtype),
            'upper': jnp.asarray(upper, x.dtype),
            'log_scale': jnp.asarray(log_scale, x.dtype),
        }

    def factors(params):
        """P, L and U + diag(s), [C, C] each."""
        size = len(params['log_scale'])
        permutation, _, _, signs, _ = _rotation(seed, size)
        dtype = params['lower'].dtype
        lower = jnp.tril(params['lower'], -1) + jnp.eye(size, dtype=dtype)
        scale = jnp.asarray(signs, dtype) * jnp.exp(params['log_scale'])
        upper = jnp.triu(params['upper'], 1) + jnp.diag(scale)
        return jnp.asarray(permutation, dtype), lower, upper

    def forward(params, x):
        permutation, lower, upper = factors(params)
        weights = matmul(permutation, matmul(lower, upper))
        z = matmul(x.reshape(-1, x.shape[-1]), weights.T).reshape(x.shape)
        places = x[0].size // x.shape[-1]
        return z, jnp.broadcast_to(places * jnp.sum(params['log_scale']), len(x))

    def inverse(params, z):
        permutation, lower, upper = factors(params)
        upper_inverse = lower_inverse(upper.T).T
        weights = matmul(upper_inverse, matmul(lower_inverse(lower), permutation.T))
        return matmul(z.reshape(-1, z.shape[-1]), weights.T).reshape(z.shape)

    return Bijection(init, forward, inverse)


@lru_cache
def _rotation(seed: int, size: int):
    """P, L, U above its diagonal, the signs and the logarithms of that, of a random rotation."""
    draws = np.random.default_rng([seed, size]).normal(size=(size, size))
    rotation, triangle = np.linalg.qr(draws)
    rotation = rotation * np.sign(np.diag(triangle))[None]
    permutation, lower, upper = scipy.linalg.lu(rotation)
    diagonal = np.diag(upper)
    return permutation, lower, np.triu(upper, 1), np.sign(diagonal), np.log(np.abs(diagonal))
