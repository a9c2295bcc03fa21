"""The latent variable model of a VAE: p(x | z), q(z | x) and p(z), draws of q and their weights.

q(z | x) is a Gaussian with a diagonal covariance, or what a flow makes of one (Rezende and Mohamed
2015, arXiv:1505.05770); p(z) is N(0, I) here, see `priors` for others; p(x | z) is the `likelihood`
of what the decoder gives. Equation numbers marked IWAE are those of Burda et al. 2016,
arXiv:1509.00519.

Letters: B examples, K samples of z for each, Z latent dimensions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.base import Key
from genjax.numerics.likelihoods import Likelihood
from genjax.numerics.normals import example_normals
from genjax.parallel import example_keys

# The key of a prior is fold_in(key, PRIOR) where examples have fold_in(key, place).
PRIOR = 2**32 - 1


class Posterior(NamedTuple):
    """A Gaussian of each example: q(z | x), or where a flow begins.

    Attributes:
      mean: [B, Z].
      log_variance: [B, Z].
    """

    mean: Array
    log_variance: Array


class Draw(NamedTuple):
    """K draws z of q(z | x) for each example.

    Attributes:
      q: the Gaussian of which u = mean + exp(log_variance / 2) noise is drawn.
      noise: N(0, I), [K, B, Z].
      z: u, or what the flow makes of it, [K, B, Z].
      log_det: log |det dz/du| of the flow, [K, B]; None without one.
    """

    q: Posterior
    noise: Array
    z: Array
    log_det: Array | None


class Prior(NamedTuple):
    """p(z), as pure functions of the model and its params, of which params['prior'] are its own.

    Attributes:
      log_ratio: (key, model, params, draw) -> log p(z) / q(z | x), nats [K, B]. Where p(z) is an
        integral of its own, an estimate of it stands in its place that is right in the mean.
      sample: (key, model, params, n) -> draws of p(z), [n, Z].
      init: (key, x [B, *shape], z [B, Z]) -> params; None where there are none. Both are examples,
        z the means of q(z | x).
      kl: KL(q || p) of each latent dimension for a Gaussian q, nats [B, Z]; None where it has no
        such form.
    """

    log_ratio: Callable[[Key, Any, Any, Draw], Array]
    sample: Callable[[Key, Any, Any, int], Array]
    init: Callable[[Key, Array, Array], Any] | None = None
    kl: Callable[[Posterior], Array] | None = None


class Flow(Protocol):
    """What is asked of a flow's `Bijection`."""

    init: Callable[[Key, Array], Any]
    forward: Callable[[Any, Array], tuple[Array, Array]]


def kl_terms(q: Posterior) -> Array:
    """KL(q(z_j | x) || N(0, 1)) of each latent dimension j, nats [B, Z] (appendix B of VAE)."""
    return (q.mean**2 + jnp.expm1(q.log_variance) - q.log_variance) / 2


def standard_normal() -> Prior:
    """N(0, I)."""

    def log_ratio(key, model, params, draw):
        del key, model, params
        # All normalising constants cancel but for the variance of q.
        squares = draw.noise**2 - draw.z**2 + draw.q.log_variance[None]
        ratio = jnp.sum(squares, -1) / 2
        return ratio if draw.log_det is None else ratio + draw.log_det

    def sample(key, model, params, n):
        del params
        return example_normals(key, n, (model.latent,))

    return Prior(log_ratio, sample, kl=kl_terms)


class Model(NamedTuple):
    """What is learned, without its parameters.

    Attributes:
      encoder: x [B, *shape] -> [B, 2, Z], the mean and the log variance of a Gaussian.
      decoder: z [B, Z] -> the parameters of p(x | z), a pytree of [B, ...].
      likelihood: p(x | z) by its parameters.
      latent: Z.
      prior: p(z).
      flow: a bijection of rows [B, 3 Z], the u of the Gaussian beside its mean and log variance. It
        moves u in the light of the others, which it leaves: q(z | x) is then the density of z, the
        first Z entries. A coupling whose mask is `conditional` is one. None: z is u.
    """

    encoder: nn.Module
    decoder: nn.Module
    likelihood: Likelihood
    latent: int
    prior: Prior = standard_normal()
    flow: Flow | None = None


def init_params(key: Key, model: Model, x: Array) -> dict[str, Any]:
    """The parameters of a model of which x [B, *shape] are examples.

    Raises:
      ValueError: what `posterior` does.
    """
    encoder_key, decoder_key, prior_key, flow_key = jax.random.split(key, 4)
    params = {'encoder': model.encoder.init(encoder_key, x[:1])['params']}
    one = posterior(model, params, x[:1])  # refuses an encoder of another shape
    params['decoder'] = model.decoder.init(decoder_key, jnp.zeros((1, model.latent)))['params']
    if model.flow is not None:
        params['flow'] = model.flow.init(flow_key, _flow_rows(one, one.mean[None]))
    if model.prior.init is not None:
        params['prior'] = model.prior.init(prior_key, x, posterior(model, params, x).mean)
    return params


def posterior(model: Model, params: Any, x: Array) -> Posterior:
    """The Gaussian that the encoder gives of x [B, *shape].

    Raises:
      ValueError: the encoder gives something else than [B, 2, Z].
    """
    outputs = model.encoder.apply({'params': params['encoder']}, x)
    needed = (len(x), 2, model.latent)
    if outputs.shape != needed:
        raise ValueError(f'the encoder gives {outputs.shape}; it must be {needed}, [B, 2, latent]')
    return Posterior(outputs[:, 0], outputs[:, 1])


def sample_posterior(key: Key, q: Posterior, samples: int) -> tuple[Array, Array]:
    """K draws of a Gaussian, and the noise in them, N(0, I), [K, B, Z] each (VAE, section 2.4)."""
    batch, latent = q.mean.shape
    noise = example_normals(key, batch, (samples, latent)).swapaxes(0, 1)
    u = q.mean[None] + jnp.exp(q.log_variance / 2)[None] * noise
    return u, noise


def apply_flow(model: Model, params: Any, q: Posterior, u: Array) -> tuple[Array, Array]:
    """What the model's flow makes of u [K, B, Z], and log |det dz/du|, [K, B].

    Raises:
      ValueError: the flow gives rows of another shape.
    """
    rows = _flow_rows(q, u)
    outputs, log_det = model.flow.forward(params['flow'], rows)
    if jnp.shape(outputs) != rows.shape:
        raise ValueError(f'the flow gives {jnp.shape(outputs)}; it must be {rows.shape}')
    z = outputs[:, : model.latent].reshape(u.shape)
    return z, log_det.reshape(u.shape[:-1])


def _flow_rows(q, u):
    """u [K, B, Z] beside the mean and the log variance of its Gaussian, [K B, 3 Z]."""
    moments = jnp.concatenate(q, -1)
    beside = jnp.broadcast_to(moments[None], (len(u), *moments.shape))
    return jnp.concatenate([u, beside], -1).reshape(-1, 3 * u.shape[-1])


def draw_posterior(key: Key, model: Model, params: Any, x: Array, samples: int) -> Draw:
    """K draws of q(z | x) for each of x [B, *shape]."""
    q = posterior(model, params, x)
    u, noise = sample_posterior(key, q, samples)
    if model.flow is None:
        return Draw(q, noise, u, None)
    z, log_det = apply_flow(model, params, q, u)
    return Draw(q, noise, z, log_det)


def log_q(draw: Draw) -> Array:
    """log q(z | x) of the draws, nats [K, B]: of their noise, by the change of variables."""
    constant = draw.z.shape[-1] * np.log(2 * np.pi)
    log_normal = -(jnp.sum(draw.noise**2 + draw.q.log_variance[None], -1) + constant) / 2
    return log_normal if draw.log_det is None else log_normal - draw.log_det


def encode_mean(model: Model, params: Any, x: Array) -> Array:
    """The mean of q(z | x) of x [B, *shape], [B, Z]; with a flow what that makes of u's mean."""
    q = posterior(model, params, x)
    if model.flow is None:
        return q.mean
    z, _ = apply_flow(model, params, q, q.mean[None])
    return z[0]


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


def log_weights(key: Key, model: Model, params: Any, x: Array, samples: int) -> Array:
    """log p(x, z) / q(z | x) of K samples of q, nats [K, B] (IWAE eq. 8)."""
    draw = draw_posterior(key, model, params, x, samples)
    ratio = model.prior.log_ratio(jax.random.fold_in(key, PRIOR), model, params, draw)
    return log_p_x_given_z(model, params, x, draw.z) + ratio


def sample_model(key: Key, model: Model, params: Any, n: int) -> Array:
    """n draws of p(x), with the noise of p(x | z), [n, *shape]."""
    latents_key, outputs_key = jax.random.split(key)
    z = model.prior.sample(latents_key, model, params, n)
    parameters = apply_decoder(model, params, z)
    return jax.vmap(model.likelihood.sample)(example_keys(outputs_key, n), parameters)
