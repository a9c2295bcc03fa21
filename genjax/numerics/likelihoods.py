"""Densities p(x | parameters) of one example, whose parameters are the output of a decoder.

x is an array [*shape] with independent entries; the parameters are what the decoder gives for that
example.
"""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.base import Key

Parameters = TypeVar('Parameters')


class Likelihood(NamedTuple, Generic[Parameters]):
    """One kind of density; the parameters are a pytree of its own."""

    log_prob: Callable[[Parameters, Array], Array]  # (parameters, x) -> log p(x), nats []
    mean: Callable[[Parameters], Array]  # parameters -> E x [*shape]
    sample: Callable[[Key, Parameters], Array]  # (key, parameters) -> x [*shape]


def _bernoulli_log_prob(logits, x):
    return jnp.sum(logits * x - jax.nn.softplus(logits))


def _bernoulli_sample(key, logits):
    return jax.random.bernoulli(key, jax.nn.sigmoid(logits)).astype(jnp.float32)


# x in {0, 1}; parameters are logits [*shape]. For x inside (0, 1) log_prob is minus the
# cross-entropy, no density.
bernoulli = Likelihood(_bernoulli_log_prob, jax.nn.sigmoid, _bernoulli_sample)


def _gaussian_log_prob(parameters, x):
    mean, log_scale = parameters
    log_scale = jnp.broadcast_to(log_scale, x.shape)
    standard = (x - mean) * jnp.exp(-log_scale)
    return -jnp.sum(standard**2 / 2 + log_scale + np.log(2 * np.pi) / 2)


def _gaussian_mean(parameters):
    mean, _ = parameters
    return mean


def _gaussian_sample(key, parameters):
    mean, log_scale = parameters
    scale = jnp.exp(jnp.broadcast_to(log_scale, mean.shape))
    return mean + scale * jax.random.normal(key, mean.shape)


# x real; parameters are (mean [*shape], log of the standard deviation, [] or [*shape]).
gaussian = Likelihood(_gaussian_log_prob, _gaussian_mean, _gaussian_sample)


def fixed_gaussian(scale: float) -> Likelihood[Array]:
    """A Gaussian of one standard deviation for all entries; parameters are the mean [*shape].

    Args:
      scale: the standard deviation, in the unit of x.

    Raises:
      ValueError: scale is not positive.
    """
    if not scale > 0:
        raise ValueError(f'scale is {scale}; a standard deviation must be positive')
    log_scale = np.float32(np.log(scale))

    def log_prob(mean, x):
        return gaussian.log_prob((mean, log_scale), x)

    def identity(mean):
        return mean

    def sample(key, mean):
        return gaussian.sample(key, (mean, log_scale))

    return Likelihood(log_prob, identity, sample)


def squares(c: float) -> Likelihood[Array]:
    """log_prob is -c ||x - mean||^2, a Gaussian without the constant that makes it a density.

    The scale of that Gaussian, which `sample` draws from, is (2 c)^-1/2.

    Args:
      c: the weight of the squared error.

    Raises:
      ValueError: c is not positive.
    """
    if not c > 0:
        raise ValueError(f'c is {c}; the weight of the squared error must be positive')

    def log_prob(mean, x):
        return -c * jnp.sum((x - mean) ** 2)

    return fixed_gaussian((2 * c) ** -0.5)._replace(log_prob=log_prob)


def _logistic_log_prob(parameters, x):
    """log of sigmoid(upper) - sigmoid(lower), the mass of the interval around a level."""
    mean, log_scale = parameters
    inverse = jnp.exp(-jnp.broadcast_to(log_scale, x.shape))
    upper = (x + 1 / 255 - mean) * inverse
    lower = (x - 1 / 255 - mean) * inverse

    width = jnp.log(-jnp.expm1(lower - upper))
    inner = jax.nn.log_sigmoid(upper) + jax.nn.log_sigmoid(-lower) + width
    ends = jnp.where(x < -0.999, jax.nn.log_sigmoid(upper), jax.nn.log_sigmoid(-lower))
    return jnp.sum(jnp.where(jnp.abs(x) > 0.999, ends, inner))


def _logistic_mean(parameters):
    mean, _ = parameters
    return jnp.clip(mean, -1.0, 1.0)


def _logistic_sample(key, parameters):
    mean, log_scale = parameters
    scale = jnp.exp(jnp.broadcast_to(log_scale, mean.shape))
    x = mean + scale * jax.random.logistic(key, mean.shape)
    level = jnp.clip(jnp.round((x + 1) * 127.5), 0, 255)
    return (2 * level - 255) * (1 / 255)


# x on the 256 levels -1, -1 + 2/255, ..., 1; parameters are (mean [*shape], log of the scale, [] or
# [*shape]). A level has the logistic distribution's mass within half a step of it, the two outer
# ones all that lies beyond (Kingma et al. 2016, arXiv:1606.04934, section 5; Salimans et al. 2017,
# arXiv:1701.05517, eq. 2).
discretised_logistic = Likelihood(_logistic_log_prob, _logistic_mean, _logistic_sample)
