"""Weights of the squared errors of flow maps; their gradient is stopped. B examples."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

# (the squared error of an example, summed over its entries, t, r) -> weights, all of them [B]
Weight = Callable[[Array, Array, Array], Array]


def even(squares: Array, t: Array, r: Array) -> Array:
    """1."""
    del t, r
    return jnp.ones_like(squares)


def adaptive(p: float = 1.0, c: float = 1e-3) -> Weight:
    """1 / (|error|^2 + c)^p.

    At p = 1/2 the gradient is twice that of the pseudo-Huber distance sqrt(|error|^2 + c).

    Source: Geng et al. 2025, arXiv:2505.13447, equation 22; Song and Dhariwal 2023,
    arXiv:2310.14189, equation 8, for pseudo-Huber.

    Args:
      p: 0 for squares, 1/2 for about the error itself, 1 for about its logarithm.
      c: keeps the weight finite.

    Raises:
      ValueError: p is negative, or c not positive.
    """
    if p < 0 or not c > 0:
        raise ValueError(f'p is {p}, c {c}; needed: >= 0, > 0')

    def weight(squares, t, r):
        del t, r
        return (squares + c) ** -p

    return weight


def per_duration(weight: Weight = even) -> Weight:
    """A weight over |t - r|, for pairs with r != t: Geng et al. 2024, arXiv:2406.14548."""

    def divided(squares, t, r):
        return weight(squares, t, r) / jnp.abs(t - r)

    return divided
