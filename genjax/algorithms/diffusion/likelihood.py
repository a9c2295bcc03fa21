"""The variational bound on -log p(x_0), term by term, in bits a dimension.

Ho et al. 2020, arXiv:2006.11239, whose equation numbers these are. Terms are of one example.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import log_ndtr

from genjax.algorithms.diffusion.process import (
    Process,
    at,
    last_step,
    noise_like,
    posterior_mean,
    predict_x0,
    q_sample,
)
from genjax.base import Key


def decoder_log_likelihood(x0: Array, mean: Array, scale: Array | float) -> Array:
    """log p(x_0 | x_1) entry by entry, nats, of the shape of x0 (eq. 13).

    Args:
      x0: on the 256 levels -1, -1 + 2/255, ..., 1.
      mean: of p(x_0 | x_1), of the same shape.
      scale: its standard deviation.
    """
    lower = jnp.where(x0 < -0.999, -jnp.inf, (x0 - 1 / 255 - mean) / scale)
    upper = jnp.where(x0 > 0.999, jnp.inf, (x0 + 1 / 255 - mean) / scale)
    # An interval above the mean is mirrored below it, since log_ndtr keeps its digits however far
    # out in the lower tail.
    mirror = lower + upper > 0
    low = jnp.where(mirror, -upper, lower)
    high = jnp.where(mirror, -lower, upper)
    return log_ndtr(high) + jnp.log(-jnp.expm1(log_ndtr(low) - log_ndtr(high)))


def prior_term(process: Process, x0: Array) -> Array:
    """L_T, bits/dim []: KL(q(x_T | x_0) || N(0, I)), exact (eq. 5)."""
    alpha_bar = float(process.alpha_bar[-1])
    return jnp.mean(alpha_bar * (x0**2 - 1) - np.log1p(-alpha_bar)) / (2 * np.log(2))


def step_term(
    process: Process,
    t: Array | int,
    x0: Array,
    xt: Array,
    noise: Array,
    clip: float = 1.0,
    variance: Array | None = None,
) -> Array:
    """L_{t-1}, bits/dim [] (eq. 5; eq. 13 for t = 1).

    Args:
      process: the diffusion.
      t: in 1..T.
      x0: the data.
      xt: a draw of q(x_t | x_0).
      noise: the noise that is predicted in xt.
      clip: of the x_0 that the noise implies; see `predict_x0`.
      variance: of p(x_{t-1} | x_t), of the shape of x0; by default the process's model_variance.
    """
    predicted_x0 = predict_x0(process, t, xt, noise, clip)
    mean = posterior_mean(process, t, predicted_x0, xt)
    if variance is None:
        variance = at(process.model_variance, t)
    true_mean = posterior_mean(process, t, x0, xt)
    # What is not chosen has a gradient too, which must be finite.
    ratio = jnp.where(t > 1, at(process.posterior_variance, t) / variance, 1.0)
    kl = (ratio - 1 - jnp.log(ratio) + (true_mean - mean) ** 2 / variance) / 2
    decoder = -decoder_log_likelihood(x0, mean, jnp.where(t > 1, 1.0, jnp.sqrt(variance)))
    return jnp.mean(jnp.where(t > 1, kl, decoder)) / np.log(2)


def bound(
    key: Key,
    process: Process,
    predict: Callable[[Array, Array], Any],
    x0: Array,
    clip: float = 1.0,
    term: Callable[..., Array] = step_term,
) -> Array:
    """The terms L_0..L_T of x0 [B, ...], bits/dim [B, T + 1], by T calls of `predict` (eq. 5).

    Args:
      key: of the x_t, one draw for each example and each t.
      process: the diffusion.
      predict: eps_theta, or what else the term takes.
      x0: data on the 256 levels of `decoder_log_likelihood`.
      clip: see `predict_x0`.
      term: as `step_term`, of one example.
    """

    def terms_of_step(t):
        xt = q_sample(process, t, x0, noise_like(jax.random.fold_in(key, t), x0))
        predicted = predict(xt, jnp.full(len(x0), t))
        return jax.vmap(partial(term, process, t, clip=clip))(x0, xt, predicted)

    step_terms = jax.lax.map(terms_of_step, jnp.arange(1, last_step(process) + 1))  # [T, B]
    prior_terms = jax.vmap(partial(prior_term, process))(x0)
    return jnp.column_stack([step_terms.T, prior_terms])
