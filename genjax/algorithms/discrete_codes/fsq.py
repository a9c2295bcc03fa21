"""Finite scalar quantisation: Mentzer et al. 2023, arXiv:2309.15505, section 3 and appendix A.

Each of D features is squashed to a range and rounded to one of a few levels; a code is one of the
product of the levels. Nothing is learned and no loss is added.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.algorithms.discrete_codes.quantiser import Quantised, Quantiser, straight_through

MARGIN = 1e-3  # by which the range is wider, so that the outermost levels are reached


def fsq(levels: Sequence[int]) -> Quantiser:
    """The quantiser of features with these numbers of levels, K of them in all; codes lie in
    [-1, 1].

    The index of a code is its levels as the digits of a number, the first the least.

    Raises:
      ValueError: there are no levels, or a feature has fewer than 2.
    """
    levels = tuple(levels)
    if not levels or min(levels) < 2:
        raise ValueError(f'levels are {levels}; needed: one number or more, each at least 2')
    number = np.array(levels)
    centre = number // 2  # the level that is 0
    digit = np.cumprod([1, *levels[:-1]])

    def by_level(row, like):
        """A number of each level, with axes in front and of the type to go with like [..., D]."""
        return jnp.expand_dims(jnp.asarray(row, like.dtype), tuple(range(like.ndim - 1)))

    def as_code(level):
        return level / by_level(centre, level)

    def quantise(params, z):
        del params
        squashed = squash(z, np.expand_dims(number, tuple(range(z.ndim - 1))))
        level = jnp.round(squashed)
        place = level.astype(jnp.int32)
        place = place + by_level(centre, place)
        index = jnp.sum(place * by_level(digit, place), -1)
        code = as_code(straight_through(squashed, level))
        return Quantised(code, index, jnp.zeros(index.shape, z.dtype))

    def lookup(params, index):
        del params
        index = index[..., None]
        place = index // by_level(digit, index) % by_level(number, index)
        return as_code((place - by_level(centre, index)).astype(jnp.float32))

    return Quantiser(math.prod(levels), len(levels), lambda key: {}, quantise, lookup)


def squash(z: Array, levels: np.ndarray) -> Array:
    """z squashed to a range in which `levels` whole numbers lie, from -(levels // 2) up; any shape.

    Even numbers of levels lie about -1/2, and the squashing is shifted so that 0 stays 0.
    """
    half = (levels - 1) * (1 + MARGIN) / 2
    offset = np.where(levels % 2 == 0, 0.5, 0.0)
    shift = np.arctanh(offset / half)
    half, offset, shift = (jnp.asarray(x, z.dtype) for x in (half, offset, shift))
    return jnp.tanh(z + shift) * half - offset
