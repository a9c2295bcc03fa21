"""Autoencoders, denoising and sparse ones too: h = f(x), r = g(h), and L(x, g(f(x))) is minimised.

L is -log p(x | r) of a likelihood, in nats: the squared error or the cross-entropy. In a denoising
autoencoder f is given a corrupted x, and L compares with the clean one (Vincent et al. 2008,
"Extracting and composing robust features with denoising autoencoders"). A Gaussian fitted to the
codes makes the autoencoder generative: a random code, decoded, is a sample.

Letters: B examples x of any shape, K entries of a code, which may have any shape too.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from genjax.averages import Decay
from genjax.base import Algorithm, Key, Metrics
from genjax.descent import Fit, descend
from genjax.numerics.likelihoods import Likelihood
from genjax.numerics.moments import mean_and_covariance
from genjax.numerics.normals import example_normals
from genjax.numerics.products import matmul
from genjax.parallel import example_keys

Corrupt = Callable[[Key, Array], Array]  # of one example x


class Model(NamedTuple):
    """What is learned, without its parameters.

    Attributes:
      encoder: f, x [B, ...] -> h [B, ...].
      decoder: g, h -> the parameters of p(x | r), a pytree of [B, ...].
      likelihood: p(x | r) by its parameters; `log_prob` and `mean` are used.
    """

    encoder: nn.Module
    decoder: nn.Module
    likelihood: Likelihood


class Moments(NamedTuple):
    """Moments of codes, by a weighted mean over the batches so far.

    Attributes:
      weight: [], of all batches together; that of the last is 1.
      mean: of the shape of a code.
      covariance: [K, K].
    """

    weight: Array
    mean: Array
    covariance: Array


class State(NamedTuple):
    """The parameters of both networks, and the moments of codes."""

    fit: Fit
    moments: Moments


def masking(probability: float) -> Corrupt:
    """Sets each entry of x to 0 with a probability.

    Vincent et al. 2008, section 2.3, where the number of zeros is fixed.

    Raises:
      ValueError: probability lies outside [0, 1).
    """
    if not 0 <= probability < 1:
        raise ValueError(f'probability is {probability}; masking needs 0 <= probability < 1')

    def corrupt(key, x):
        return x * jax.random.bernoulli(key, 1 - probability, x.shape).astype(x.dtype)

    return corrupt


def additive(scale: float) -> Corrupt:
    """Adds normal noise to each entry of x (Vincent et al. 2010, JMLR 11, section 3.3).

    Args:
      scale: the standard deviation of the noise.

    Raises:
      ValueError: scale is negative.
    """
    if not scale >= 0:
        raise ValueError(f'scale is {scale}; a standard deviation must be at least 0')

    def corrupt(key, x):
        return x + scale * jax.random.normal(key, x.shape)

    return corrupt


def standard_moments(shape: tuple[int, ...]) -> Moments:
    """Those of a standard normal code, with a weight of 0: the first batch replaces them."""
    mean = jnp.zeros(shape)
    return Moments(jnp.zeros(()), mean, jnp.eye(mean.size))


def update_moments(moments: Moments, codes: Array, memory: float) -> Moments:
    """Adds a batch of codes [B, ...], which has a weight of 1.

    Means and covariances are merged as those of two samples (Chan et al. 1983, "Algorithms for
    computing the sample variance"), so that nothing cancels where a mean is large.

    Args:
      moments: of the batches so far.
      codes: [B, ...].
      memory: the weight of the moments so far is multiplied by it.
    """
    weight = memory * moments.weight + 1
    rows = codes.reshape(len(codes), -1)
    mean, covariance = mean_and_covariance(rows)

    rate = 1 / weight
    shift = mean - moments.mean.reshape(-1)
    merged_covariance = (
        (1 - rate) * moments.covariance
        + rate * covariance
        + rate * (1 - rate) * jnp.outer(shift, shift)
    )
    merged_mean = moments.mean + rate * shift.reshape(moments.mean.shape)
    return Moments(weight, merged_mean, merged_covariance)


def random_codes(moments: Moments, normals: Array) -> Array:
    """Codes [n, ...] of the Gaussian of these moments, from standard normals [n, K].

    By the symmetric root of the covariance: it may be singular, as where an entry of the code is
    always 0, and it turns the axes no more than it must.
    """
    variances, axes = jnp.linalg.eigh(moments.covariance)
    scales = jnp.sqrt(jnp.maximum(variances, 0))
    codes = matmul(matmul(normals, axes) * scales[None], axes.T)
    return moments.mean[None] + codes.reshape(len(normals), *moments.mean.shape)


def apply_encoder(model: Model, params: Any, x: Array) -> Array:
    """h = f(x), [B, ...]."""
    return model.encoder.apply({'params': params['encoder']}, x)


def apply_decoder(model: Model, params: Any, h: Array) -> Any:
    """The parameters of p(x | g(h)), a pytree of [B, ...]."""
    return model.decoder.apply({'params': params['decoder']}, h)


def decode_mean(model: Model, params: Any, h: Array) -> Array:
    """The mean of p(x | g(h)), [B, ...]."""
    return jax.vmap(model.likelihood.mean)(apply_decoder(model, params, h))


def sparse_metrics(nats: Array, codes: Array, sparsity: float) -> Metrics:
    """The metrics of a sparse autoencoder, [B] each.

    Nothing here keeps the weights of g small: where nothing else does, they grow while codes
    shrink.

    Args:
      nats: -log p(x | r) of each example, [B].
      codes: [B, K].
      sparsity: nats for 1 of the L1 norm of a code.

    Returns:
      'loss', the nats with the penalty; 'reconstruction', without; and 'zeros', the share of
      entries of a code that are 0.
    """
    penalty = sparsity * jnp.sum(jnp.abs(codes), -1)
    zeros = jnp.mean((codes == 0).astype(jnp.float32), -1)
    return {'loss': nats + penalty, 'reconstruction': nats, 'zeros': zeros}


def losses(
    key: Key, model: Model, params: Any, x: Array, corrupt: Corrupt | None, sparsity: float
) -> Metrics:
    """-log p(x | g(f(x))) of each example, nats [B], as 'loss'; see `sparse_metrics` for others.

    Args:
      key: of the corruption.
      model: the networks and the likelihood.
      params: of both networks.
      x: [B, ...].
      corrupt: of x before f, or None.
      sparsity: nats for 1 of the L1 norm of a code.

    Raises:
      ValueError: the decoder gives no x.
    """
    corrupted = x if corrupt is None else jax.vmap(corrupt)(example_keys(key, len(x)), x)
    h = apply_encoder(model, params, corrupted)
    parameters = apply_decoder(model, params, h)
    _require_shape(jax.eval_shape(jax.vmap(model.likelihood.mean), parameters), x)
    nats = -jax.vmap(model.likelihood.log_prob)(parameters, x)
    if sparsity == 0:
        return {'loss': nats}
    return sparse_metrics(nats, h.reshape(len(h), -1), sparsity)


def init_params(key: Key, model: Model, x: Array) -> tuple[Any, tuple[int, ...]]:
    """Parameters of both networks for examples x [B, ...], and the shape of a code.

    Raises:
      ValueError: the decoder gives no x.
    """
    encoder_key, decoder_key = jax.random.split(key)
    one = jax.ShapeDtypeStruct((1, *x.shape[1:]), jnp.float32)
    encoder = model.encoder.lazy_init(encoder_key, one)
    h = jax.eval_shape(model.encoder.apply, encoder, one)
    decoder = model.decoder.lazy_init(decoder_key, h)
    # A network may have no parameters.
    params = {'encoder': encoder.get('params', {}), 'decoder': decoder.get('params', {})}
    _require_shape(jax.eval_shape(partial(decode_mean, model), params, h), x)
    return params, h.shape[1:]


def _require_shape(given, x):
    if given.shape[1:] != x.shape[1:]:
        raise ValueError(
            f'the decoder gives x of shape {given.shape[1:]}; the data have {x.shape[1:]}'
        )


def autoencoder(
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    corrupt: Corrupt | None = None,
    sparsity: float = 0.0,
    decay: Decay | float = 0.0,
    memory: float = 0.99,
    microbatches: int = 1,
) -> Algorithm:
    """An autoencoder: batches are {'x': [B, ...]}, the state is a `State`.

    The metrics are those of `losses`, in `evaluate` too. `encode`, and the moments of codes, take x
    as it is. `sample` decodes random codes.

    Args:
      model: the networks and the likelihood.
      optimizer: of the parameters of both networks.
      corrupt: of one example before f, as `masking` and `additive`; None for no corruption.
      sparsity: nats for 1 of the L1 norm of a code.
      decay: of the average of the parameters, as in `descend`, which everything but training uses.
      memory: the share of the moments' weight that each step keeps, since codes move while f
        learns; at 1 batches weigh alike.
      microbatches: parts of a batch, one after the other, as in `descend`.

    Raises:
      ValueError: a negative sparsity, memory outside [0, 1], what `descend` refuses, or, when
        traced, `init_params` and `losses`.
    """
    if not (sparsity >= 0 and 0 <= memory <= 1):
        raise ValueError(
            f'sparsity is {sparsity}, memory {memory}; needed: sparsity >= 0, memory in [0, 1]'
        )

    def batch_losses(key, params, batch):
        return losses(key, model, params, batch['x'], corrupt, sparsity)

    descent = descend(batch_losses, optimizer, decay=decay, microbatches=microbatches)

    def init(key, batch):
        params, shape = init_params(key, model, batch['x'])
        return State(descent.init(params), standard_moments(shape))

    def update(key, state, batch):
        fit, metrics = descent.update(key, state.fit, batch)
        codes = apply_encoder(model, fit.average, batch['x'])
        return State(fit, update_moments(state.moments, codes, memory)), metrics

    def evaluate(key, state, batch):
        return batch_losses(key, state.fit.average, batch)

    def sample(key, state, n):
        normals = example_normals(key, n, (state.moments.mean.size,))
        return decode_mean(model, state.fit.average, random_codes(state.moments, normals))

    def encode(key, state, batch):
        del key
        return apply_encoder(model, state.fit.average, batch['x'])

    def decode(key, state, code):
        del key
        return decode_mean(model, state.fit.average, code)

    return Algorithm(init, update, evaluate, sample, encode, decode)
