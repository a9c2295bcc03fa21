"""Variational autoencoders: Kingma and Welling 2014, arXiv:1312.6114.

With the importance weighted bound of Burda et al. 2016, arXiv:1509.00519, whose equation numbers
are marked IWAE. p(z) is N(0, I), q(z | x) a Gaussian with a diagonal covariance, p(x | z) the
`likelihood` of what the decoder gives.

Letters: B examples, K samples of z for each, Z latent dimensions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from genjax.averages import Decay
from genjax.base import Algorithm, Batch, Key, Metrics, State
from genjax.descent import descend
from genjax.numerics.likelihoods import Likelihood
from genjax.numerics.normals import example_normals
from genjax.parallel import device_mean, example_keys


class Model(NamedTuple):
    """What is learned, without its parameters.

    Attributes:
      encoder: x [B, *shape] -> [B, 2, Z], the mean and the log variance of q(z | x).
      decoder: z [B, Z] -> the parameters of p(x | z), a pytree of [B, ...].
      likelihood: p(x | z) by its parameters.
      latent: Z.
    """

    encoder: nn.Module
    decoder: nn.Module
    likelihood: Likelihood
    latent: int


class Posterior(NamedTuple):
    """q(z | x) of each example.

    Attributes:
      mean: [B, Z].
      log_variance: [B, Z].
    """

    mean: Array
    log_variance: Array


# (key, model, params, x [B, *shape]) -> {'loss': [B], ...}, nats
Objective = Callable[[Key, Model, Any, Array], Metrics]


def posterior(model: Model, params: Any, x: Array) -> Posterior:
    """q(z | x) of x [B, *shape].

    Raises:
      ValueError: the encoder gives something else than [B, 2, Z].
    """
    outputs = model.encoder.apply({'params': params['encoder']}, x)
    needed = (len(x), 2, model.latent)
    if outputs.shape != needed:
        raise ValueError(f'the encoder gives {outputs.shape}; it must be {needed}, [B, 2, latent]')
    return Posterior(outputs[:, 0], outputs[:, 1])


def sample_posterior(key: Key, q: Posterior, samples: int) -> tuple[Array, Array]:
    """K draws z of q(z | x), and the noise in them, N(0, I), [K, B, Z] each (section 2.4)."""
    batch, latent = q.mean.shape
    noise = example_normals(key, batch, (samples, latent)).swapaxes(0, 1)
    z = q.mean[None] + jnp.exp(q.log_variance / 2)[None] * noise
    return z, noise


def apply_decoder(model: Model, params: Any, z: Array) -> Any:
    """The parameters of p(x | z) for z [..., Z], a pytree of [..., ...]."""
    flat = model.decoder.apply({'params': params['decoder']}, z.reshape(-1, z.shape[-1]))
    return jax.tree.map(lambda leaf: leaf.reshape(*z.shape[:-1], *leaf.shape[1:]), flat)


def log_p_x_given_z(model: Model, params: Any, x: Array, z: Array) -> Array:
    """log p(x | z) of x [B, *shape] for z [K, B, Z], nats [K, B].

    Raises:
      ValueError: the decoder gives no x.
    """
    parameters = apply_decoder(model, params, z)
    mean = jax.vmap(jax.vmap(model.likelihood.mean))
    given = jax.eval_shape(mean, parameters).shape[2:]
    if given != x.shape[1:]:
        raise ValueError(f'the decoder gives x of shape {given}; the data have {x.shape[1:]}')
    return jax.vmap(jax.vmap(model.likelihood.log_prob), (0, None))(parameters, x)


def kl_terms(q: Posterior) -> Array:
    """KL(q(z_j | x) || N(0, 1)) of each latent dimension j, nats [B, Z] (appendix B)."""
    return (q.mean**2 + jnp.expm1(q.log_variance) - q.log_variance) / 2


def log_weights(key: Key, model: Model, params: Any, x: Array, samples: int) -> Array:
    """log p(x, z) / q(z | x) of K samples of q, nats [K, B] (IWAE eq. 8)."""
    q = posterior(model, params, x)
    z, noise = sample_posterior(key, q, samples)
    # log p(z) / q(z | x), where all normalising constants cancel but for the variance of q.
    prior_ratio = jnp.sum(noise**2 - z**2 + q.log_variance[None], -1) / 2
    return log_p_x_given_z(model, params, x, z) + prior_ratio


def elbo(beta: float = 1.0, free_nats: float = 0.0, samples: int = 1) -> Objective:
    """Minus the evidence lower bound, as 'loss'.

    'reconstruction' is minus E log p(x | z), and 'kl' is KL(q(z | x) || p(z)). With squares(c) for
    the likelihood the loss is the lecture's c ||x - x^||^2 + KL[N(mu_x, sigma_x), N(0, I)].

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
            f'elbo of beta {beta}, free_nats {free_nats}, samples {samples}; '
            'needed: >= 0, >= 0, >= 1'
        )

    def objective(key, model, params, x):
        q = posterior(model, params, x)
        z, _ = sample_posterior(key, q, samples)
        reconstruction = -jnp.mean(log_p_x_given_z(model, params, x, z), 0)
        kl = kl_terms(q)
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


def vae(
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    objective: Objective = elbo(),
    decay: Decay | float = 0.0,
    microbatches: int = 1,
) -> Algorithm:
    """A VAE: batches are {'x': [B, *shape]}, the state is a `Fit`, the metrics are the objective's.

    `encode` gives the mean of q(z | x), [B, Z]; `decode` the mean of p(x | z); `sample` draws of
    p(x), with the noise of p(x | z). All but `update` use the average of the parameters.

    Args:
      model: the networks and the likelihood.
      optimizer: of the parameters of both networks.
      objective: `elbo` or `iwae`.
      decay: of the average, as in `descend`.
      microbatches: parts of a batch, one after the other, as in `descend`.

    Raises:
      ValueError: latent is below 1, what the objective and `descend` refuse, or, when traced, what
        `posterior` and `log_p_x_given_z` do.
    """
    if model.latent < 1:
        raise ValueError(f'latent is {model.latent}; at least 1 dimension is needed')

    def losses(key, params, batch):
        return objective(key, model, params, batch['x'])

    descent = descend(losses, optimizer, decay=decay, microbatches=microbatches)

    def init(key, batch):
        encoder_key, decoder_key = jax.random.split(key)
        one = batch['x'][:1]
        encoder = model.encoder.init(encoder_key, one)['params']
        posterior(model, {'encoder': encoder}, one)  # refuses an encoder of another shape
        decoder = model.decoder.init(decoder_key, jnp.zeros((1, model.latent)))['params']
        return descent.init({'encoder': encoder, 'decoder': decoder})

    def evaluate(key, state, batch):
        return losses(key, state.average, batch)

    def sample(key, state, n):
        latents_key, outputs_key = jax.random.split(key)
        z = example_normals(latents_key, n, (model.latent,))
        parameters = apply_decoder(model, state.average, z)
        return jax.vmap(model.likelihood.sample)(example_keys(outputs_key, n), parameters)

    def encode(key, state, batch):
        del key
        return posterior(model, state.average, batch['x']).mean

    def decode(key, state, code):
        del key
        return jax.vmap(model.likelihood.mean)(apply_decoder(model, state.average, code))

    return Algorithm(init, descent.update, evaluate, sample, encode, decode)
