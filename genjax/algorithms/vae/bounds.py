"""What is maximised in the place of log p(x), and the estimate of that itself.

Equation numbers marked IWAE are those of Burda et al. 2016, arXiv:1509.00519.

Letters: B examples, K samples of z for each, Z latent dimensions.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.algorithms.vae.model import (
    PRIOR,
    Draw,
    Model,
    draw_posterior,
    log_p_x_given_z,
    log_weights,
)
from genjax.base import Batch, Key, Metrics, State
from genjax.parallel import device_mean

# (key, model, params, x [B, *shape]) -> {'loss': [B], ...}, nats
Objective = Callable[[Key, Model, Any, Array], Metrics]


def divergence(key: Key, model: Model, params: Any, draw: Draw) -> Array:
    """KL(q(z | x) || p(z)) of each latent dimension, nats [B, Z], where there is a closed form.

    Elsewhere the mean of log q(z | x) / p(z) of the draws, [B, 1].
    """
    if model.flow is None and model.prior.kl is not None:
        return model.prior.kl(draw.q)
    log_ratio = model.prior.log_ratio(jax.random.fold_in(key, PRIOR), model, params, draw)
    return -jnp.mean(log_ratio, 0)[:, None]


def elbo(beta: float = 1.0, free_nats: float = 0.0, samples: int = 1) -> Objective:
    """Minus the evidence lower bound, as 'loss'.

    'reconstruction' is minus E log p(x | z), and 'kl' is KL(q(z | x) || p(z)). With squares(c) for
    the likelihood the loss is the lecture's c ||x - x^||^2 + KL[N(mu_x, sigma_x), N(0, I)].

    Args:
      beta: weight of the KL divergence in the loss (Higgins et al. 2017).
      free_nats: a latent dimension whose KL, averaged over the batch, lies below this counts as
        this (Kingma et al. 2016, arXiv:1606.04934, section 3.3, who call it free bits); all of
        them together, where the KL is estimated.
      samples: K, of the estimate of the expectation, and of the KL's where that has no closed form.

    Raises:
      ValueError: a weight is negative, or samples below 1.
    """
    if not (beta >= 0 and free_nats >= 0 and samples >= 1):
        raise ValueError(
            f'elbo of beta {beta}, free_nats {free_nats}, samples {samples}; '
            'needed: >= 0, >= 0, >= 1'
        )

    def objective(key, model, params, x):
        draw = draw_posterior(key, model, params, x, samples)
        reconstruction = -jnp.mean(log_p_x_given_z(model, params, x, draw.z), 0)
        kl = divergence(key, model, params, draw)
        not_free = device_mean(jnp.mean(kl, 0, keepdims=True)) > free_nats
        loss = reconstruction + beta * jnp.sum(jnp.where(not_free, kl, free_nats), -1)
        return {'loss': loss, 'reconstruction': reconstruction, 'kl': jnp.sum(kl, -1)}

    return objective


def iwae(samples: int) -> Objective:
    """Minus the importance weighted bound L_K, as 'loss' (IWAE eq. 8).

    'elbo_loss' is what K = 1 has in the mean.

    Raises:
      ValueError: samples, which is K, is below 1.
    """
    if samples < 1:
        raise ValueError(f'samples is {samples}; the bound needs at least 1')

    def objective(key, model, params, x):
        weights = log_weights(key, model, params, x, samples)
        bound = jax.nn.logsumexp(weights, axis=0) - np.log(samples)
        return {'loss': -bound, 'elbo_loss': -jnp.mean(weights, 0)}

    return objective


def log_likelihood(
    model: Model, *, samples: int, chunk: int = 25
) -> Callable[[Key, State, Batch], Array]:
    """(key, state, batch) -> log p(x) of each example by importance sampling from q, nats [B].

    The logarithm of the mean of K weights has L_K for its expectation, so it is too small in the
    mean. The weights are summed a chunk at a time, each against the largest so far.

    Args:
      model: whose average of the parameters is in the state.
      samples: K.
      chunk: samples of z for each example in memory at a time.

    Raises:
      ValueError: chunk does not divide samples.
    """
    if samples < 1 or chunk < 1 or samples % chunk:
        raise ValueError(f'samples is {samples}, in chunks of {chunk}; a chunk must divide them')

    def estimate(key, state, batch):
        x = batch['x']

        def add_chunk(i, carry):
            largest, total = carry
            weights = log_weights(jax.random.fold_in(key, i), model, state.average, x, chunk)
            top = jnp.maximum(largest, jnp.max(weights, 0))
            added = jnp.sum(jnp.exp(weights - top[None]), 0)
            return top, total * jnp.exp(largest - top) + added

        start = (jnp.full(len(x), -jnp.inf), jnp.zeros(len(x)))
        largest, total = jax.lax.fori_loop(0, samples // chunk, add_chunk, start)
        return largest + jnp.log(total) - np.log(samples)

    return estimate
