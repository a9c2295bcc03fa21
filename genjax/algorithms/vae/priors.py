"""Priors that are learnt: a mixture of posteriors, and a second layer of latent variables.

Letters: B examples, K samples of z for each, Z latent dimensions, C pseudo-inputs.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import logsumexp

from genjax.algorithms.vae.model import (
    Model,
    Posterior,
    Prior,
    init_params,
    log_q,
    log_weights,
    posterior,
    sample_model,
)
from genjax.parallel import example_keys


def vamp(count: int, *, deviation: float = 0.1) -> Prior:
    """The VampPrior, p(z) = 1/C sum_c q(z | u_c): the mean of the posteriors of pseudo-inputs u_c.

    They are learnt, and begin as examples of the first batch with some noise, so that no two are
    alike. The paper keeps them within the range of the data; here they are free.

    Source: Tomczak and Welling 2018, arXiv:1705.07120.

    Args:
      count: C.
      deviation: of that noise.

    Raises:
      ValueError: count is below 1, deviation not positive, or, when traced, the posterior has a
        flow, so that it is no Gaussian.
    """
    if count < 1 or not deviation > 0:
        raise ValueError(
            f'vamp of count {count}, deviation {deviation}; needed: at least 1, a positive one'
        )

    def init(key, x, z):
        del z
        places_key, noise_key = jax.random.split(key)
        rows = x[jax.random.randint(places_key, (count,), 0, len(x))]
        return rows + deviation * jax.random.normal(noise_key, rows.shape, rows.dtype)

    def log_ratio(key, model, params, draw):
        del key
        if model.flow is not None:
            raise ValueError('the VampPrior is a mixture of Gaussians; the posterior has a flow')
        components = posterior(model, params, params['prior'])
        return log_mixture(components, draw.z) - log_q(draw)

    def sample(key, model, params, n):
        components = posterior(model, params, params['prior'])

        def draw_one(key):
            place_key, noise_key = jax.random.split(key)
            place = jax.random.randint(place_key, (), 0, count)
            mean = components.mean[place]
            scale = jnp.exp(components.log_variance[place] / 2)
            return mean + scale * jax.random.normal(noise_key, mean.shape, mean.dtype)

        return jax.vmap(draw_one)(example_keys(key, n))

    return Prior(log_ratio, sample, init)


def log_mixture(components: Posterior, z: Array) -> Array:
    """The logarithm of the mean of C Gaussians' densities at z [..., Z], nats [...]."""
    count, latent = components.mean.shape
    flat = z.reshape(-1, 1, latent)
    squares = (flat - components.mean[None]) ** 2 * jnp.exp(-components.log_variance)[None]
    terms = squares + components.log_variance[None]
    log_normals = -(jnp.sum(terms, -1) + latent * np.log(2 * np.pi)) / 2
    return (logsumexp(log_normals, axis=1) - np.log(count)).reshape(z.shape[:-1])


def hierarchical(top: Model) -> Prior:
    """A model of z as its prior: p(h1) = E p(h1 | h2) over p(h2), with h1 in the place of z.

    The weight of a draw h1 has p(h1, h2) / q(h2 | h1) of one draw h2 in the place of p(h1), so that
    both layers together have the weight p(x, h1, h2) / q(h1, h2 | x) with q(h1 | x) q(h2 | h1). The
    prior of `top` may be one such model again.

    Source: Burda et al. 2016, arXiv:1509.00519, section 2.

    Args:
      top: of h1 [B, Z], as examples.
    """

    def init(key, x, z):
        del x
        return init_params(key, top, z)

    def log_ratio(key, model, params, draw):
        del model

        def one_draw_each(key, z):
            return log_weights(key, top, params['prior'], z, 1)[0]

        keys = jax.random.split(key, len(draw.z))
        return jax.vmap(one_draw_each)(keys, draw.z) - log_q(draw)

    def sample(key, model, params, n):
        del model
        return sample_model(key, top, params['prior'], n)

    return Prior(log_ratio, sample, init)
