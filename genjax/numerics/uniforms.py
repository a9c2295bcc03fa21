"""Uniform numbers in (0, 1), one for each example, whatever the number of devices.

Letters: n examples at hand, B in the whole batch.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from genjax.base import Key
from genjax.parallel import example_keys, example_places

# (key, n) -> u in (0, 1) for each of n examples, [n], each of them uniform
Draw = Callable[[Key, int], Array]


def independent(key: Key, n: int) -> Array:
    """u of each example by itself, [n]."""

    def one(key):
        return jax.random.uniform(key, minval=jnp.finfo(jnp.float32).tiny)

    return jax.vmap(one)(example_keys(key, n))


def stratified(key: Key, n: int) -> Array:
    """One u in each of B equal parts of (0, 1), turned by a common shift, [n].

    B is the whole batch, so a mean over it scatters like a sum over a grid: far less than with
    independent u, while each u is uniform.

    Source: the estimator of Kingma et al. 2021, arXiv:2107.00630, appendix I.1, with a draw of its
    own in each part.
    """
    shift_key, part_key = jax.random.split(key)
    place, total = example_places(n)
    within = independent(part_key, n)
    shares = (place.astype(within.dtype) + within) / total
    return _wrapped(shares + jax.random.uniform(shift_key))


def low_discrepancy(key: Key, n: int) -> Array:
    """B even steps through (0, 1) from one random start, [n].

    Source: Kingma et al. 2021, arXiv:2107.00630, appendix I.1.
    """
    place, total = example_places(n)
    first = jax.random.uniform(key)
    return _wrapped(place.astype(first.dtype) / total + first)


def _wrapped(u):
    """u modulo 1, inside (0, 1)."""
    return jnp.clip(u % 1.0, jnp.finfo(u.dtype).tiny, 1 - jnp.finfo(u.dtype).epsneg)
