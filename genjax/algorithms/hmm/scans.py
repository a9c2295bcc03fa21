"""Passes over a sequence as chains of products of matrices, in the order that a scan chooses.

A `Product` says what sum and product are: all paths, or the best one. A `Scan` says in which order
the products are taken: one after another, or in a tree (Sarkka and Garcia-Fernandez 2021,
arXiv:1905.13002).

All is done with logarithms, and the largest is taken off at each place before the next: float32
then serves sequences of any length.

B sequences of L places, t a place; K states. Places stand first, [L, B, K].
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

# log A [..., I, K], log B [..., K, J] -> log of their product [..., I, J]
Product = Callable[[Array, Array], Array]

# (product, start [B, K], log A [K, K], log b [L, B, K]) -> s [L, B, K], each up to a constant of
# its own: s_1 = start, s_{t+1} = (s_t + log b(x_t)) A
Scan = Callable[[Product, Array, Array, Array], Array]


def log_product(a: Array, b: Array) -> Array:
    """log of exp(a) exp(b), entry by entry from its own largest term: nothing underflows.

    The terms [..., I, K, J] are computed twice, for the largest and for the sum, so that they are
    never in memory. The barrier keeps the compiler from computing them once and keeping them.
    """
    largest = jax.lax.stop_gradient(finite_or_zero(jnp.max(_terms(a, b), -2)))
    a, b, largest = jax.lax.optimization_barrier((a, b, largest))
    total = jnp.sum(jnp.exp(_terms(a, b) - largest[..., None, :]), -2)
    return jnp.log(total) + largest


def scaled_product(a: Array, b: Array) -> Array:
    """log of exp(a) exp(b) by a product of matrices whose rows and columns are scaled.

    Each is divided by its largest entry. EM by it is twice as fast as by `log_product` with 8
    states on a CPU, 8 times with 32. But a term below e^-87 of the scales vanishes: right where
    every state may follow every other, wrong where only a state that seemed so unlikely can go on,
    as in a chain without a way back.
    """
    row_max = _finite_max(a, -1)
    column_max = _finite_max(b, -2)
    scaled = jnp.matmul(jnp.exp(a - row_max), jnp.exp(b - column_max), precision='highest')
    return jnp.log(scaled) + row_max + column_max


def max_product(a: Array, b: Array) -> Array:
    """The largest term in place of the sum: the best path instead of all."""
    return jnp.max(_terms(a, b), -2)


def _terms(a, b):
    """a_ik + b_kj, [..., I, K, J]."""
    return a[..., :, :, None] + b[..., None, :, :]


def finite_or_zero(x: Array) -> Array:
    """0 in place of log 0, where x is subtracted: log 0 less log 0 would be NaN."""
    return jnp.where(x == -jnp.inf, 0.0, x)


def _finite_max(x, axes):
    return finite_or_zero(jnp.max(x, axes, keepdims=True))


def sequential(product: Product, start: Array, log_transition: Array, log_prob: Array) -> Array:
    """The `Scan` from place to place: L products of a vector by a matrix.

    Args:
      product: sum and product.
      start: [B, K], s of the first place.
      log_transition: log A, [K, K].
      log_prob: log b(x_t), [L, B, K].

    Returns:
      s, [L, B, K], each less a constant.
    """

    def step(s, log_b):
        after = product(s + log_b, log_transition)
        return after - _finite_max(after, -1), s

    _, s = jax.lax.scan(step, start, log_prob)
    return s


def parallel(product: Product, start: Array, log_transition: Array, log_prob: Array) -> Array:
    """The `Scan` in a tree: O(log L) rounds of products of K x K matrices.

    For accelerators and long sequences. Arguments and value are those of `sequential`.
    """

    def combine(a, b):
        both = product(a, b)
        return both - _finite_max(both, (-2, -1))

    matrices = log_prob[:-1, :, :, None] + log_transition[None, None]
    products = jax.lax.associative_scan(combine, matrices)
    later = product(start[None, :, None], products)[:, :, 0]
    return jnp.concatenate([start[None], later])
