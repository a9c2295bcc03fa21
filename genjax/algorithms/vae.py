"""Variational autoencoders: Kingma and Welling 2014, arXiv:1312.6114, with the importance weighted
bound of Burda et al. 2016, arXiv:1509.00519, whose equation numbers are marked IWAE.

p(z) is N(0, I), q(z | x) a Gaussian with a diagonal covariance, p(x | z) the `likelihood` of what
the decoder gives.

Letters: B examples, K samples of z for each, Z latent dimensions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from genjax.base import Algorithm, Batch, Key, Metrics, State
from genjax.descent import descend
from genjax.parallel import device_mean, example_keys


class Model(NamedTuple):
    """What is learned, without its parameters."""

    # Flax's, x [B, *shape] -> [B, 2, Z], the mean and the logarithm of the variance of q(z | x)
    encoder: Any
    decoder: Any  # flax's, z [B, Z] -> parameters of p(x | z), a pytree of [B, ...]
    # Records of functions of one example: log_prob(parameters, x), mean(parameters), sample(key,
    # ...)
    likelihood: Any
    latent: int  # Z


class Posterior(NamedTuple):
    """q(z | x) of each example."""

    mean: Array  # [B, Z]
    log_variance: Array  # [B, Z]


# (key, model, params, x [B, *shape]) -> {'loss': [B], ...}, nats
Objective = Callable[[Key, Model, Any, Array], Metrics]


def posterior(model: Model, params: Any, x: Array) -> Posterior:
    """q(z | x), [B, Z] each.

    Raises:
      ValueError: the encoder gives something else than [B, 2, Z].
    """
    found = model.encoder.apply({'params': params['encoder']}, x)
    if found.shape != (len(x), 2, model.latent):
        raise ValueError(
            f'the encoder gives {found.shape}; it must be {(len(x), 2, model.latent)}, [B, 2, latent]'
        )
    return Posterior(found[:, 0], found[:, 1])


def decoded(model: Model, params: Any, z: Array) -> Any:
    """The parameters of p(x | z), a pytree of [..., ...] for z [..., Z]."""
    flat = model.decoder.apply({'params': params['decoder']}, z.reshape(-1, z.shape[-1]))
    return jax.tree.map(lambda leaf: leaf.reshape(*z.shape[:-1], *leaf.shape[1:]), flat)


def drawn(key: Key, q: Posterior, samples: int) -> tuple[Array, Array]:
    """z of q(z | x) and the standard normal noise that it was made of, [K, B, Z] each (section
    2.4)."""
    draw = lambda key: jax.random.normal(key, (samples, q.mean.shape[-1]))
    noise = jax.vmap(draw, out_axes=1)(example_keys(key, len(q.mean)))
    return q.mean[None] + jnp.exp(q.log_variance / 2)[None] * noise, noise


def log_joint(model: Model, params: Any, x: Array, z: Array) -> Array:
    """log p(x | z) for z [K, B, Z], nats [K, B].

    Raises:
      ValueError: the decoder gives no x.
    """
    parameters = decoded(model, params, z)
    given = jax.eval_shape(jax.vmap(jax.vmap(model.likelihood.mean)), parameters).shape[2:]
    if given != x.shape[1:]:
        raise ValueError(f'the decoder gives x of shape {given}; the data have {x.shape[1:]}')
    return jax.vmap(jax.vmap(model.likelihood.log_prob), (0, None))(parameters, x)


def kl_terms(q: Posterior) -> Array:
    """KL(q(z_j | x) || N(0, 1)) of each latent dimension j, nats [B, Z] (appendix B)."""
    return (q.mean**2 + jnp.expm1(q.log_variance) - q.log_variance) / 2


def log_weights(key: Key, model: Model, params: Any, x: Array, samples: int) -> Array:
    """log p(x, z) / q(z | x) of K samples of q, nats [K, B] (IWAE eq. 8).

    The normalising constants of p(z) and q(z | x) but for the variance of the latter are the same
    and cancel.
    """
    q = posterior(model, params, x)
    z, noise = drawn(key, q, samples)
    ratio = jnp.sum(noise**2 - z**2 + q.log_variance[None], -1) / 2  # log p(z) / q(z | x)
    return log_joint(model, params, x, z) + ratio


def elbo(beta: float = 1.0, free_nats: float = 0.0, samples: int = 1) -> Objective:
    """'loss' is minus the evidence lower bound, 'reconstruction' minus E log p(x | z), and 'kl'
    KL(q(z | x) || p(z)).

    With squares(c) for the likelihood the loss is the lecture's c ||x - x^||^2 + KL[N(mu_x,
    sigma_x), N(0, I)].

    Args:
      beta: weight of the KL divergence in the loss (Higgins et al. 2017).
      free_nats: a latent dimension whose KL, averaged over the batch, lies below this counts as
        this (Kingma et al. 2016, arXiv:1606.04934, section 3.3, who call it free bits).
      samples: K, of the estimate of the expectation; the KL is exact.

    Raises:
      ValueError: a weight is negative, or samples below 1.
    """
    if not (beta >= 0 and free_nats >= 0 and samples >= 1):
        raise ValueError(
            f'elbo of beta {beta}, free_nats {free_nats}, samples {samples}; needed: >= 0, >= 0, >= 1'
        )

    def objective(key, model, params, x):
        q = posterior(model, params, x)
        reconstruction = -jnp.mean(log_joint(model, params, x, drawn(key, q, samples)[0]), 0)
        kl = kl_terms(q)
        used = device_mean(jnp.mean(kl, 0, keepdims=True)) > free_nats
        loss = reconstruction + beta * jnp.sum(jnp.where(used, kl, free_nats), -1)
        return {'loss': loss, 'reconstruction': reconstruction, 'kl': jnp.sum(kl, -1)}

    return objective


def iwae(samples: int) -> Objective:
    """'loss' is minus the importance weighted bound L_K (IWAE eq. 8), and 'elbo_loss' what K = 1
    has in the mean.

    Raises:
      ValueError: samples is below 1.
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

    The logarithm of the mean of `samples` weights, which has L_K for its expectation and so errs on
    the side of less; the weights are summed a chunk at a time, each against the largest so far.

    Args:
      samples: K.
      chunk: samples of z for each example in memory at a time.

    Raises:
      ValueError: chunk does not divide samples.
    """
    if samples < 1 or chunk < 1 or samples % chunk:
        raise ValueError(f'samples is {samples}, in chunks of {chunk}; a chunk must divide them')

    def estimate(key, state, batch):
        def more(i, carry):
            largest, total = carry
            weights = log_weights(
                jax.random.fold_in(key, i), model, state.average, batch['x'], chunk
            )
            top = jnp.maximum(largest, jnp.max(weights, 0))
            return top, total * jnp.exp(largest - top) + jnp.sum(jnp.exp(weights - top[None]), 0)

        rows = len(batch['x'])
        largest, total = jax.lax.fori_loop(
            0, samples // chunk, more, (jnp.full(rows, -jnp.inf), jnp.zeros(rows))
        )
        return largest + jnp.log(total) - np.log(samples)

    return estimate


def vae(
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    objective: Objective = elbo(),
    decay: float = 0.0,
) -> Algorithm:
    """A VAE: batches are {'x': [B, *shape]}, the state is a `Fit`, the metrics are the objective's.

    `encode` gives the mean of q(z | x), [B, Z]; `decode` the mean of p(x | z); `sample` draws of
    p(x), with the noise of p(x | z). All but `update` use the average of the parameters, whose
    decay is `decay`.

    Raises:
      ValueError: latent is below 1, what the objective and `descend` refuse, or, when traced, what
        `posterior` and `log_joint` do.
    """
    if model.latent < 1:
        raise ValueError(f'latent is {model.latent}; at least 1 dimension is needed')
    losses = lambda key, params, batch: objective(key, model, params, batch['x'])
    descent = descend(losses, optimizer, decay=decay)

    def init(key, batch):
        first, second = jax.random.split(key)
        z = jnp.zeros((1, model.latent))
        params = {'encoder': model.encoder.init(first, batch['x'][:1])['params']}
        posterior(model, params, batch['x'][:1])  # refuses an encoder of another shape
        return descent.init(params | {'decoder': model.decoder.init(second, z)['params']})

    def sample(key, state, n):
        latents, outputs = jax.random.split(key)
        z = jax.vmap(lambda key: jax.random.normal(key, (model.latent,)))(example_keys(latents, n))
        return jax.vmap(model.likelihood.sample)(
            example_keys(outputs, n), decoded(model, state.average, z)
        )

    evaluate = lambda key, state, batch: losses(key, state.average, batch)
    encode = lambda key, state, batch: posterior(model, state.average, batch['x']).mean
    decode = lambda key, state, code: jax.vmap(model.likelihood.mean)(
        decoded(model, state.average, code)
    )
    return Algorithm(init, descent.update, evaluate, sample, encode, decode)
