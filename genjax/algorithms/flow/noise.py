"""What a flow adds to its data, so that they have a density, and how samples are freed of it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jax import Array

from genjax.base import Key


class Noise(NamedTuple):
    """One kind of noise.

    Attributes:
      add: (key, x [...]) -> y [...] of one example.
      clean: (score, y [B, ...]) -> x [B, ...], what is taken for the data behind y; the score is
        y [B, ...] -> grad log p(y) of the density of y.
      width: of the interval that the noise spreads a level over, where it is uniform; then log p(y)
        says how many bits the levels take. None for other noise.
    """

    add: Callable[[Key, Array], Array]
    clean: Callable[[Callable[[Array], Array], Array], Array]
    width: float | None = None


def no_noise() -> Noise:
    """None, for data that have a density of their own."""

    def add(key, x):
        del key
        return x

    return Noise(add, _as_it_is)


def uniform_noise(width: float) -> Noise:
    """Uniform on an interval around each entry, which dequantises data on levels so far apart.

    The mean of -log p(y) - log(width) of each entry is then no less than -log P(x) of the levels
    (Theis et al. 2016, arXiv:1511.01844, section 3.1).

    Args:
      width: of the interval, 2 / 255 for images in [-1, 1].

    Raises:
      ValueError: width is not positive.
    """
    if not width > 0:
        raise ValueError(f'width is {width}; the noise needs a positive one')

    def add(key, x):
        return x + width * (jax.random.uniform(key, x.shape, x.dtype) - 0.5)

    return Noise(add, _as_it_is, width)


def gaussian_noise(deviation: float) -> Noise:
    """N(0, sigma^2). The mean of x given y is y + sigma^2 grad log p(y), which frees samples of it.

    Source: TarFlow, arXiv:2412.06329, section 2.4, equation 8; Robbins 1956 and Efron 2011, who
    name the formula for Tweedie.

    Args:
      deviation: sigma.

    Raises:
      ValueError: the deviation is not positive.
    """
    if not deviation > 0:
        raise ValueError(f'deviation is {deviation}; the noise needs a positive one')

    def add(key, x):
        return x + deviation * jax.random.normal(key, x.shape, x.dtype)

    def clean(score, y):
        return y + deviation**2 * score(y)

    return Noise(add, clean)


def _as_it_is(score, y):
    del score
    return y
