"""Bijections whose Jacobian's determinant is known, how they are put together, and plain ones.

B examples, H x W pixels, C channels, N tokens.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.base import Key


class Bijection(NamedTuple):
    """An invertible map of examples, as pure functions of its parameters.

    Attributes:
      init: (key, x [B, ...]) -> params. The example batch supplies shapes, and statistics where a
        map begins by those of its input.
      forward: (params, x [B, ...]) -> (z, log |det dz/dx| [B]); z [B, ...] has as many entries as
        x, in one array or in a tuple of them.
      inverse: (params, z) -> x [B, ...].
    """

    init: Callable[[Key, Array], Any]
    forward: Callable[[Any, Array], tuple[Any, Array]]
    inverse: Callable[[Any, Any], Array]


def chain(*bijections: Bijection) -> Bijection:
    """One after the other; the params are a tuple of theirs.

    Each is initialised on what those before it make of the example batch.

    Raises:
      ValueError: there is none.
    """
    if not bijections:
        raise ValueError('a chain of no bijections; at least 1 is needed')

    def init(key, x):
        params = []
        keys = jax.random.split(key, len(bijections))
        for own_key, bijection in zip(keys, bijections, strict=True):
            own = bijection.init(own_key, x)
            x, _ = bijection.forward(own, x)
            params.append(own)
        return tuple(params)

    def forward(params, x):
        log_det = jnp.zeros(len(x), x.dtype)
        for own, bijection in zip(params, bijections, strict=True):
            x, more = bijection.forward(own, x)
            log_det = log_det + more
        return x, log_det

    def inverse(params, z):
        for own, bijection in zip(reversed(params), reversed(bijections), strict=True):
            z = bijection.inverse(own, z)
        return z

    return Bijection(init, forward, inverse)


def factor_out(inner: Bijection) -> Bijection:
    """Takes the second half of the channels as they are, and maps the first, x [B, ..., C].

    z is the pair of what `inner` makes of its half and of the other half, so that nothing but the
    end of a chain can follow.

    Source: the multi-scale architecture of RealNVP, arXiv:1605.08803, section 3.6.

    Args:
      inner: of [B, ..., C / 2].
    """

    def init(key, x):
        kept, _ = _halves(x)
        return inner.init(key, kept)

    def forward(params, x):
        kept, out = _halves(x)
        z, log_det = inner.forward(params, kept)
        return (z, out), log_det

    def inverse(params, z):
        kept, out = z
        return jnp.concatenate([inner.inverse(params, kept), out], -1)

    return Bijection(init, forward, inverse)


def _halves(x):
    if x.shape[-1] % 2:
        raise ValueError(f'x has {x.shape[-1]} channels; an even number has halves')
    return jnp.split(x, 2, -1)


def rearranged(there: Callable[[Array], Array], back: Callable[[Array], Array]) -> Bijection:
    """A map without parameters that moves entries about; its Jacobian's determinant is 1 or -1.

    Args:
      there: x [B, ...] -> z [B, ...].
      back: its inverse.
    """

    def init(key, x):
        del key, x
        return ()

    def forward(params, x):
        del params
        return there(x), jnp.zeros(len(x), x.dtype)

    def inverse(params, z):
        del params
        return back(z)

    return Bijection(init, forward, inverse)


def squeeze() -> Bijection:
    """Four pixels as four times the channels, [B, H, W, C] -> [B, H/2, W/2, 4 C].

    Source: RealNVP, arXiv:1605.08803, section 3.6, figure 3.
    """

    def there(x):
        B, H, W, C = x.shape
        if H % 2 or W % 2:
            raise ValueError(f'x has {H} x {W} pixels; to squeeze them both must be even')
        pairs = x.reshape(B, H // 2, 2, W // 2, 2, C)
        return pairs.transpose(0, 1, 3, 2, 4, 5).reshape(B, H // 2, W // 2, 4 * C)

    def back(z):
        B, h, w, channels = z.shape
        pairs = z.reshape(B, h, w, 2, 2, channels // 4)
        return pairs.transpose(0, 1, 3, 2, 4, 5).reshape(B, 2 * h, 2 * w, channels // 4)

    return rearranged(there, back)


def patches(side: int, shape: tuple[int, int, int]) -> Bijection:
    """Images as their patches, row by row, [B, H, W, C] -> tokens [B, N, side^2 C].

    Args:
      side: of a patch, in pixels.
      shape: (H, W, C).

    Raises:
      ValueError: the side does not divide H and W.
    """
    H, W, C = shape
    if side < 1 or H % side or W % side:
        raise ValueError(f'side is {side}; it must divide images of {H} x {W} pixels')
    rows = H // side
    columns = W // side

    def there(x):
        grid = x.reshape(len(x), rows, side, columns, side, C).swapaxes(2, 3)
        return grid.reshape(len(x), rows * columns, side * side * C)

    def back(z):
        grid = z.reshape(len(z), rows, columns, side, side, C).swapaxes(2, 3)
        return grid.reshape(len(z), H, W, C)

    return rearranged(there, back)


def reverse() -> Bijection:
    """The tokens of x [B, N, C] from the last to the first."""

    def turned(x):
        return x[:, ::-1]

    return rearranged(turned, turned)


def logit(alpha: float) -> Bijection:
    """logit(alpha + (1 - 2 alpha) u) of images whose grey levels were spread by uniform noise.

    x of [-256/255, 256/255] is u = (255 x + 256) / 512 of [0, 1]. With alpha the map is finite at
    both ends; the paper's text has 1 - alpha in the place of 1 - 2 alpha, which is not at the upper
    one.

    Source: RealNVP, arXiv:1605.08803, section 4.1.

    Args:
      alpha: the paper's is 0.05.

    Raises:
      ValueError: alpha lies outside (0, 1/2).
    """
    if not 0 < alpha < 0.5:
        raise ValueError(f'alpha is {alpha}; it must lie in (0, 1/2)')
    slope = (1 - 2 * alpha) * 255 / 512

    def init(key, x):
        del key, x
        return ()

    def forward(params, x):
        del params
        share = 0.5 + slope * x  # u = 1/2 where x is 0
        z = jnp.log(share) - jnp.log1p(-share)
        log_slopes = np.log(slope) + jax.nn.softplus(z) + jax.nn.softplus(-z)
        return z, jnp.sum(log_slopes, range(1, x.ndim))

    def inverse(params, z):
        del params
        return (jax.nn.sigmoid(z) - 0.5) / slope

    return Bijection(init, forward, inverse)


def marginally_normal(shares: np.ndarray, low: float, width: float) -> Bijection:
    """Each entry by the quantiles of its own histogram to those of N(0, 1).

    Entries of whose levels each is spread evenly over its own interval become normal one by one, so
    that a chain after it begins at the entropy of its entries and has what they share to learn.

    Source: the marginal step of Chen and Gopinath 2000, Gaussianization.

    Args:
      shares: of each of L levels, [L, ...] for entries [...]; positive, with a sum of 1 over them.
      low: where the interval of the lowest level begins.
      width: of each interval.

    Raises:
      ValueError: the width or a share is not positive.
    """
    if not width > 0 or not np.min(shares) > 0:
        raise ValueError(f'width is {width}, the least share {np.min(shares)}; needed: > 0')
    levels = len(shares)
    below = np.cumsum(shares, 0) - shares

    def init(key, x):
        del key, x
        return ()

    def of_level(table, level):  # [L, ...], [B, ...] -> [B, ...]
        return jnp.take_along_axis(jnp.asarray(table), level, 0)

    def forward(params, x):
        del params
        place = (x - low) / width
        level = jnp.clip(jnp.floor(place).astype(jnp.int32), 0, levels - 1)
        share = of_level(shares.astype(x.dtype), level)
        quantile = of_level(below.astype(x.dtype), level) + share * (place - level.astype(x.dtype))
        least = jnp.finfo(x.dtype).eps
        z = jax.scipy.special.ndtri(jnp.clip(quantile, least, 1 - least))
        log_slopes = jnp.log(share) - np.log(width) - jax.scipy.stats.norm.logpdf(z)
        return z, jnp.sum(log_slopes, range(1, x.ndim))

    def inverse(params, z):
        del params
        quantile = jax.scipy.special.ndtr(z)
        start = below.astype(z.dtype)
        level = jnp.sum(quantile[:, None] >= start[None, 1:], 1)
        share = of_level(shares.astype(z.dtype), level)
        inside = jnp.clip((quantile - of_level(start, level)) / share, 0, 1)
        return low + width * (level.astype(z.dtype) + inside)

    return Bijection(init, forward, inverse)
