"""The pairs of words in a window, and what each counts.

Letters: B excerpts, L places of each, W the window.
"""

import math
from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from genjax.counting import ABSENT

# Distance of a pair, 1 .. W -> what it adds to its count, an integer of 1 or more
Weight = Callable[[int], int]

MAX_HARMONIC = 22  # the widest window whose distances have a common multiple below 2^32


def uniform(distance: int) -> int:
    """Every pair in the window counts 1."""
    del distance
    return 1


def harmonic(window: int) -> Weight:
    """A pair at distance d counts 1/d, in units of 1/lcm(1, ..., window).

    Raises:
      ValueError: window lies outside 1 to 22; the unit of a wider one has more than 32 bits.

    Source: GloVe, Pennington et al. 2014.
    """
    if not 1 <= window <= MAX_HARMONIC:
        raise ValueError(f'window is {window}; weights of 1/d take 1 to {MAX_HARMONIC}')
    unit = math.lcm(*range(1, window + 1))

    def weight(distance):
        return unit // distance

    return weight


def dynamic(window: int) -> Weight:
    """A pair at distance d counts 1 - (d - 1) / window, in units of 1/window.

    It is the mean of word2vec's windows, each drawn from 1 to its full width.
    """

    def weight(distance):
        return window + 1 - distance

    return weight


def pairs(words: Array, window: int, margin: int = 0) -> Array:
    """The word at each place with the word d places before it, d = 1 .. W.

    A pair lies within one sentence: there is no place without a word between its two. A pair
    belongs to its later place, and the first `margin` places of an excerpt have none. So a text
    that is cut into excerpts, each of which begins with the last W places of the one before, has
    every pair once where margin is W.

    Args:
      words: [B, L] int32, negative where there is no word.
      window: W.
      margin: places.

    Returns:
      int32 [B, W, L, 2]: the earlier word, the later word; ABSENT twice where there is no pair.
    """
    length = words.shape[1]
    padded = jnp.pad(words, ((0, 0), (window, 0)), constant_values=-1)
    breaks = jnp.cumsum(padded < 0, -1)

    def pairs_at(distance):
        earlier = slice(window - distance, window - distance + length)
        valid = (breaks[:, earlier] == breaks[:, window:]) & (padded[:, earlier] >= 0)
        valid &= (jnp.arange(length) >= margin)[None]
        return jnp.where(valid[..., None], jnp.stack([padded[:, earlier], words], -1), ABSENT)

    return jnp.stack([pairs_at(distance) for distance in range(1, window + 1)], 1)
