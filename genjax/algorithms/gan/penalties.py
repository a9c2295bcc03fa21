"""Penalties that keep a discriminator smooth, by its gradient with respect to its input.

A penalty is a function (key, critic, real [B, ...], fake [B, ...]) -> nats [B] of a critic,
x [B, ...] -> logits [B].
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax import Array

from genjax.base import Key
from genjax.parallel import example_keys

Critic = Callable[[Array], Array]  # x [B, ...] -> logits [B]
Penalty = Callable[[Key, Critic, Array, Array], Array]  # (key, critic, real, fake) -> nats [B]


def input_gradients(critic: Critic, x: Array) -> Array:
    """The gradient of each example's logit with respect to the example, [B, ...] as x.

    It is the example's row of the gradient of the sum of logits, since no logit depends on another
    example.
    """

    def total(x):
        return jnp.sum(critic(x))

    return jax.grad(total)(x)


def gradient_penalty(weight: float) -> Penalty:
    """weight (||gradient|| - 1)^2 between a real and a generated example.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, equation 3.

    Raises:
      ValueError: weight is negative.
    """
    _require_nonnegative('weight', weight)

    def mix(share, real, fake):
        return share * real + (1 - share) * fake

    # Safe, since the norm has no gradient where a critic is flat.
    norm = partial(optax.safe_norm, min_norm=1e-12)

    def penalty(key, critic, real, fake):
        shares = jax.vmap(jax.random.uniform)(example_keys(key, len(real)))
        between = jax.vmap(mix)(shares, real, fake)
        return weight * (jax.vmap(norm)(input_gradients(critic, between)) - 1) ** 2

    return penalty


def r1(gamma: float) -> Penalty:
    """gamma / 2 ||gradient||^2 at real examples.

    Source: Mescheder et al. 2018, arXiv:1801.04406, equation 9.

    Raises:
      ValueError: gamma is negative.
    """
    _require_nonnegative('gamma', gamma)

    def penalty(key, critic, real, fake):
        del key
        return _squared_gradients(gamma, critic, real)

    return penalty


def r2(gamma: float) -> Penalty:
    """gamma / 2 ||gradient||^2 at generated examples.

    Source: Mescheder et al. 2018, arXiv:1801.04406, equation 10.

    Raises:
      ValueError: gamma is negative.
    """
    _require_nonnegative('gamma', gamma)

    def penalty(key, critic, real, fake):
        del key
        return _squared_gradients(gamma, critic, fake)

    return penalty


def _squared_gradients(gamma, critic, x):
    """gamma / 2 ||gradient||^2 of each example of x [B, ...], [B]."""

    def of_one(gradient):
        return gamma / 2 * jnp.sum(gradient**2)

    return jax.vmap(of_one)(input_gradients(critic, x))


def _require_nonnegative(name, number):
    if not number >= 0:
        raise ValueError(f'{name} is {number}; a penalty needs at least 0')
