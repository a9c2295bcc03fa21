"""What a decoder's output says of the data: densities p(x | parameters) of one example, as records
of functions.

The parameters are what the decoder gives for that example, x an array [*shape]; entries of x are
independent.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


class Likelihood(NamedTuple):
    log_prob: Callable[[Any, Array], Array]  # (parameters, x) -> log p(x), nats []
    mean: Callable[[Any], Array]  # parameters -> E x [*shape]
    sample: Callable[[Array, Any], Array]  # (key, parameters) -> x [*shape]


def _bernoulli_sample(key, logits):
    return jax.random.bernoulli(key, jax.nn.sigmoid(logits)).astype(jnp.float32)


# x in {0, 1}; parameters are logits [*shape]. For x inside (0, 1) log_prob is minus the
# cross-entropy, no density.
bernoulli = Likelihood(
    lambda logits, x: jnp.sum(logits * x - jax.nn.softplus(logits)),
    jax.nn.sigmoid,
    _bernoulli_sample,
)


def _gaussian_log_prob(parameters, x):
    mean, log_scale = parameters
    log_scale = jnp.broadcast_to(log_scale, x.shape)
    standard = (x - mean) * jnp.exp(-log_scale)
    return -jnp.sum(standard**2 / 2 + log_scale + np.log(2 * np.pi) / 2)


def _gaussian_sample(key, parameters):
    mean, log_scale = parameters
    return mean + jnp.exp(jnp.broadcast_to(log_scale, mean.shape)) * jax.random.normal(
        key, mean.shape
    )


# x real; parameters are (mean [*shape], log of the standard deviation, [] or [*shape]).
gaussian = Likelihood(_gaussian_log_prob, lambda parameters: parameters[0], _gaussian_sample)


def fixed_gaussian(scale: float) -> Likelihood:
    """A Gaussian of one standard deviation for all entries; parameters are the mean [*shape].

    Raises:
      ValueError: scale is not positive.
    """
    if not scale > 0:
        raise ValueError(f'scale is {scale}; a standard deviation must be positive')
    with_scale = lambda mean: (mean, jnp.float32(np.log(scale)))
    return Likelihood(
        lambda mean, x: gaussian.log_prob(with_scale(mean), x),
        lambda mean: mean,
        lambda key, mean: gaussian.sample(key, with_scale(mean)),
    )


def squares(c: float) -> Likelihood:
    """log_prob is -c ||x - mean||^2: `fixed_gaussian` of scale (2 c)^-1/2 without the constant that
    makes it a density.

    Raises:
      ValueError: c is not positive.
    """
    if not c > 0:
        raise ValueError(f'c is {c}; the weight of the squared error must be positive')
    return fixed_gaussian((2 * c) ** -0.5)._replace(
        log_prob=lambda mean, x: -c * jnp.sum((x - mean) ** 2)
    )


def _logistic_log_prob(parameters, x):
    """log of sigmoid(upper) - sigmoid(lower), the mass of the interval around a level."""
    mean, log_scale = parameters
    inverse = jnp.exp(-jnp.broadcast_to(log_scale, x.shape))
    upper, lower = (x + 1 / 255 - mean) * inverse, (x - 1 / 255 - mean) * inverse
    inner = (
        jax.nn.log_sigmoid(upper) + jax.nn.log_sigmoid(-lower) + jnp.log(-jnp.expm1(lower - upper))
    )
    ends = jnp.where(x < -0.999, jax.nn.log_sigmoid(upper), jax.nn.log_sigmoid(-lower))
    return jnp.sum(jnp.where(jnp.abs(x) > 0.999, ends, inner))


def _logistic_sample(key, parameters):
    mean, log_scale = parameters
    draw = mean + jnp.exp(jnp.broadcast_to(log_scale, mean.shape)) * jax.random.logistic(
        key, mean.shape
    )
    return (2 * jnp.clip(jnp.round((draw + 1) * 127.5), 0, 255) - 255) * (1 / 255)


# x on the 256 levels -1, -1 + 2/255, ..., 1; parameters are (mean [*shape], log of the scale, [] or
# [*shape]). A level has the logistic distribution's mass within half a step of it, the two outer
# ones all that lies beyond (Kingma et al. 2016, arXiv:1606.04934, section 5; Salimans et al. 2017,
# arXiv:1701.05517, eq. 2).
discretised_logistic = Likelihood(
    _logistic_log_prob, lambda parameters: jnp.clip(parameters[0], -1.0, 1.0), _logistic_sample
)
