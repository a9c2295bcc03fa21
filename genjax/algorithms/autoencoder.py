"""Autoencoders: h = f(x), r = g(h), trained to minimise L(x, g(f(x))), and their denoising and
sparse kinds.

Denoising is that of Vincent et al. 2008, "Extracting and composing robust features with denoising
autoencoders": f is given a corrupted x, and L compares with the clean one. L is -log p(x | r) of a
likelihood, in nats: the squared error or the cross-entropy. A Gaussian fitted to the codes makes
the autoencoder generative: a random code, decoded, is new data.

B examples x of any shape; K entries of a code, whose own shape may be any too.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from genjax.base import Algorithm, Key, Metrics
from genjax.descent import Fit, descend
from genjax.parallel import device_mean, example_keys

Corrupt = Callable[[Key, Array], Array]  # of one example x


class Model(NamedTuple):
    """What is learned, without its parameters."""

    encoder: Any  # f, flax's: x [B, ...] -> h [B, ...]
    decoder: Any  # g, flax's: h -> the parameters of p(x | r), a pytree of [B, ...]
    # Record of functions of one example: log_prob(parameters, x) -> nats [], mean(parameters) -> x
    likelihood: Any


class Moments(NamedTuple):
    """Of codes, by a weighted mean over the batches so far."""

    weight: Array  # [], of all batches together; that of the last is 1
    mean: Array  # [*shape of a code]
    covariance: Array  # [K, K]


class State(NamedTuple):
    fit: Fit
    moments: Moments


def masking(probability: float) -> Corrupt:
    """Sets each entry of x to 0 with a probability (Vincent et al. 2008, section 2.3, where their
    number is fixed).

    Raises:
      ValueError: probability lies outside [0, 1).
    """
    if not 0 <= probability < 1:
        raise ValueError(f'probability is {probability}; masking needs 0 <= probability < 1')
    return lambda key, x: x * jax.random.bernoulli(key, 1 - probability, x.shape).astype(x.dtype)


def additive(scale: float) -> Corrupt:
    """Adds normal noise of a standard deviation to each entry of x (Vincent et al. 2010, JMLR 11,
    section 3.3).

    Raises:
      ValueError: scale is negative.
    """
    if not scale >= 0:
        raise ValueError(f'scale is {scale}; a standard deviation must be at least 0')
    return lambda key, x: x + scale * jax.random.normal(key, x.shape)


def standard_moments(shape: tuple[int, ...]) -> Moments:
    """Those of a standard normal code, which weigh nothing: the first batch replaces them."""
    mean = jnp.zeros(shape)
    return Moments(jnp.zeros(()), mean, jnp.eye(mean.size))


def remember(moments: Moments, codes: Array, memory: float) -> Moments:
    """Adds a batch of codes [B, ...], whose weight is 1, to moments whose weight is first
    multiplied by memory.

    Means and covariances are merged as of two samples (Chan et al. 1983, "Algorithms for computing
    the sample variance"), so that nothing cancels where a mean is large.
    """
    rows, weight = codes.reshape(len(codes), -1), memory * moments.weight + 1
    mean = device_mean(jnp.mean(rows, 0))
    centred = rows - mean[None]
    covariance = device_mean(jnp.matmul(centred.T, centred, precision='highest') / len(rows))
    rate, shift = 1 / weight, mean - moments.mean.reshape(-1)
    merged = (
        (1 - rate) * moments.covariance
        + rate * covariance
        + rate * (1 - rate) * jnp.outer(shift, shift)
    )
    return Moments(weight, moments.mean + rate * shift.reshape(moments.mean.shape), merged)


def random_codes(moments: Moments, normals: Array) -> Array:
    """Codes [n, ...] of the Gaussian of these moments, from standard normals [n, K].

    By the symmetric root of the covariance: it may be singular, as where an entry of the code is
    always 0, and it turns the axes no more than it must.
    """
    variances, axes = jnp.linalg.eigh(moments.covariance)
    product = partial(jnp.matmul, precision='highest')
    codes = product(product(normals, axes) * jnp.sqrt(jnp.maximum(variances, 0))[None], axes.T)
    return moments.mean[None] + codes.reshape(len(normals), *moments.mean.shape)


def penalised(nats: Array, codes: Array, sparsity: float) -> Metrics:
    """'loss', the nats [B] with the weighted L1 norms of codes [B, K]; 'reconstruction', without;
    and 'zeros', the share of a code's entries that are 0. Weights of g that nothing holds back
    would grow while codes shrink."""
    zeros = jnp.mean((codes == 0).astype(jnp.float32), -1)
    return {
        'loss': nats + sparsity * jnp.sum(jnp.abs(codes), -1),
        'reconstruction': nats,
        'zeros': zeros,
    }


def coded(model: Model, params: Any, x: Array) -> Array:
    """h = f(x), [B, ...]."""
    return model.encoder.apply({'params': params['encoder']}, x)


def parameters_of_x(model: Model, params: Any, h: Array) -> Any:
    """Those of p(x | g(h)), a pytree of [B, ...]."""
    return model.decoder.apply({'params': params['decoder']}, h)


def rebuilt(model: Model, params: Any, h: Array) -> Array:
    """The mean of p(x | g(h)), [B, ...]."""
    return jax.vmap(model.likelihood.mean)(parameters_of_x(model, params, h))


def losses(
    key: Key, model: Model, params: Any, x: Array, corrupt: Corrupt | None, sparsity: float
) -> Metrics:
    """-log p(x | g(f(x))) of each example, nats [B], with x corrupted before f; see `penalised`.

    Raises:
      ValueError: the decoder gives no x.
    """
    corrupted = x if corrupt is None else jax.vmap(corrupt)(example_keys(key, len(x)), x)
    h = coded(model, params, corrupted)
    parameters = parameters_of_x(model, params, h)
    _require_shape(jax.eval_shape(jax.vmap(model.likelihood.mean), parameters), x)
    nats = -jax.vmap(model.likelihood.log_prob)(parameters, x)
    return {'loss': nats} if sparsity == 0 else penalised(nats, h.reshape(len(h), -1), sparsity)


def initial(key: Key, model: Model, x: Array) -> tuple[Any, tuple[int, ...]]:
    """Parameters of both networks for examples x [B, ...], {'encoder', 'decoder'}, and the shape of
    a code.

    Raises:
      ValueError: the decoder gives no x.
    """
    first, second = jax.random.split(key)
    f = model.encoder.lazy_init(
        first, jax.ShapeDtypeStruct((1, *x.shape[1:]), jnp.float32)
    )  # compiles nothing
    h = jax.eval_shape(model.encoder.apply, f, jnp.zeros((1, *x.shape[1:])))
    params = {
        'encoder': f.get('params', {}),
        'decoder': model.decoder.lazy_init(second, h).get('params', {}),
    }
    _require_shape(jax.eval_shape(lambda params, h: rebuilt(model, params, h), params, h), x)
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
    corrupt: Corrupt | None = None,  # of one example before f, as `masking` and `additive`
    sparsity: float = 0.0,  # nats for 1 of the L1 norm of a code, see `penalised`
    decay: float = 0.0,  # of the average of parameters, which everything but training uses
    # What moments keep at each step, since codes move while f learns; at 1 batches weigh alike
    memory: float = 0.99,
) -> Algorithm:
    """An autoencoder: batches are {'x': [B, ...]}, the state is a `State`, samples are random codes
    decoded.

    The metrics are those of `losses`, in `evaluate` too. `encode`, and the moments of codes, take x
    as it is.

    Raises:
      ValueError: a negative sparsity, memory outside [0, 1], what `descend` refuses, or, when
        traced, `initial` and `losses`.
    """
    if not (sparsity >= 0 and 0 <= memory <= 1):
        raise ValueError(
            f'sparsity is {sparsity}, memory {memory}; needed: sparsity >= 0, memory in [0, 1]'
        )
    measure = lambda key, params, batch: losses(key, model, params, batch['x'], corrupt, sparsity)
    descent = descend(measure, optimizer, decay=decay)

    def init(key, batch):
        params, shape = initial(key, model, batch['x'])
        return State(descent.init(params), standard_moments(shape))

    def update(key, state, batch):
        fit, metrics = descent.update(key, state.fit, batch)
        return State(
            fit, remember(state.moments, coded(model, fit.average, batch['x']), memory)
        ), metrics

    def sample(key, state, n):
        normals = jax.vmap(lambda key: jax.random.normal(key, (state.moments.mean.size,)))(
            example_keys(key, n)
        )
        return rebuilt(model, state.fit.average, random_codes(state.moments, normals))

    evaluate = lambda key, state, batch: measure(key, state.fit.average, batch)
    encode = lambda key, state, batch: coded(model, state.fit.average, batch['x'])
    decode = lambda key, state, code: rebuilt(model, state.fit.average, code)
    return Algorithm(init, update, evaluate, sample, encode, decode)
