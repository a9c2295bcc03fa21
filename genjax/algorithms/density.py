"""Fitting a density q to a density p by either divergence, KL(q, p) = integral of q ln(q / p).

KL(p, q) makes q cover all of p; of p it needs no more than samples, and minimising it is maximum
likelihood. KL(q, p) keeps q where p is; of q it needs samples, of p the density, up to a factor.
(Bishop 2006, Pattern Recognition and Machine Learning, section 10.1.2; Minka 2005, "Divergence
measures and message passing".)

Letters: B examples of D features, K parts of a mixture.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.scipy.linalg import solve_triangular

from genjax.averages import Decay
from genjax.base import Algorithm, Batch, Key, Metrics
from genjax.descent import descend
from genjax.numerics.normals import example_normals

LogDensity = Callable[[Array], Array]  # x [B, D] -> nats [B]
Losses = Callable[[Key, Any, Batch], Metrics]  # (key, params, batch) -> {'loss': nats [B]}


class Family(NamedTuple):
    """Densities by their parameters, a pytree in which all values of all leaves name a density.

    Attributes:
      init: (key, batch) -> params; the batch supplies shapes.
      log_prob: (params, x [B, D]) -> nats [B].
      sample: (key, params, n) -> [n, D].
    """

    init: Callable[[Key, Batch], Any]
    log_prob: Callable[[Any, Array], Array]
    sample: Callable[[Key, Any, int], Array]


class Gaussian(NamedTuple):
    """The parameters of N(mean, L L^T).

    Attributes:
      mean: [D].
      factor: [D, D], L below the diagonal and on it log L; nothing is read above.
    """

    mean: Array
    factor: Array


def _gaussian_init(key, batch):
    if batch['x'].ndim != 2:
        raise ValueError(f'x has shape {batch["x"].shape}; a Gaussian needs vectors, [B, D]')
    features = batch['x'].shape[1]
    return Gaussian(jax.random.normal(key, (features,)), jnp.zeros((features, features)))


def _gaussian_log_prob(params, x):
    # A product with L^-1: on a CPU it takes a hundredth of the time of B triangular solves.
    inverse = solve_triangular(cholesky(params), jnp.eye(len(params.mean)), lower=True)
    white = (x - params.mean[None]) @ inverse.T  # [B, D]
    constant = jnp.sum(jnp.diag(params.factor)) + len(params.mean) * np.log(2 * np.pi) / 2
    return -jnp.sum(white**2, 1) / 2 - constant


def _gaussian_sample(key, params, n):
    noise = example_normals(key, n, params.mean.shape)  # [n, D]
    return params.mean[None] + noise @ cholesky(params).T


# All Gaussians. One begins as N(m, I) with m drawn from N(0, I). Samples are reparameterised,
# m + L noise.
gaussian = Family(_gaussian_init, _gaussian_log_prob, _gaussian_sample)


def cholesky(params: Gaussian) -> Array:
    """L [D, D], lower triangular with a positive diagonal."""
    return jnp.tril(params.factor, -1) + jnp.diag(jnp.exp(jnp.diag(params.factor)))


def covariance(params: Gaussian) -> Array:
    """L L^T, [D, D]."""
    return cholesky(params) @ cholesky(params).T


def gaussian_of(mean: Array, covariance: Array) -> Gaussian:
    """The parameters of N(mean, covariance).

    Args:
      mean: [D].
      covariance: [D, D]; where it is not positive definite the factor is NaN.
    """
    root = jnp.linalg.cholesky(covariance)
    return Gaussian(mean, jnp.tril(root, -1) + jnp.diag(jnp.log(jnp.diag(root))))


def mixed(family: Family, weights: Sequence[float], parts: Any) -> LogDensity:
    """The log density of a fixed mixture.

    Args:
      family: of the parts.
      weights: [K].
      parts: parameters with an axis [K] in front of every leaf.

    Raises:
      ValueError: a weight is not positive, or they do not sum to one.
    """
    weights = np.asarray(weights, np.float64)
    if not (np.all(weights > 0) and abs(weights.sum() - 1) < 1e-6):
        raise ValueError(
            f'weights are {tuple(weights.tolist())}; they must be positive and sum to 1'
        )
    log_weights = jnp.asarray(np.log(weights), jnp.float32)
    log_probs = jax.vmap(family.log_prob, (0, None))

    def log_density(x):
        return jax.nn.logsumexp(log_weights[:, None] + log_probs(parts, x), 0)

    return log_density


def forward_kl(family: Family) -> Losses:
    """KL(p, q) up to the entropy of p, from examples of p: maximum likelihood.

    The loss is -log q(x).
    """

    def losses(key, params, batch):
        del key
        return {'loss': -family.log_prob(params, batch['x'])}

    return losses


def reverse_kl(family: Family, log_p: LogDensity, *, samples: int = 1) -> Losses:
    """KL(q, p) = E_q [log q(x) - log p(x)] by reparameterised samples of q.

    Of a batch only the length is used. The gradient flows through the samples alone. What log q
    adds to it, E_q [d log q(x) / d params], is zero, and left out the gradient's variance vanishes
    where q = p (Roeder et al. 2017, arXiv:1703.09194, eq. 6).

    Args:
      family: its `sample` must be differentiable in the parameters.
      log_p: log p(x) + any constant, by which the loss is then less.
      samples: draws of q for each example of a batch.

    Raises:
      ValueError: samples is below 1.
    """
    if samples < 1:
        raise ValueError(f'samples is {samples}; at least 1 is needed')

    def losses(key, params, batch):
        fixed = jax.lax.stop_gradient(params)

        def log_ratio(key):
            x = family.sample(key, params, len(batch['x']))
            return family.log_prob(fixed, x) - log_p(x)

        ratios = jax.vmap(log_ratio)(jax.random.split(key, samples))  # [samples, B]
        return {'loss': jnp.mean(ratios, 0)}

    return losses


def density(
    family: Family,
    losses: Losses,
    optimizer: optax.GradientTransformation,
    *,
    decay: Decay | float = 0.0,
) -> Algorithm:
    """Fits a density: batches are {'x': [B, D]}, the state is a `Fit` of the family's parameters.

    The metrics are those of the losses; `evaluate` adds 'nll', -log q(x), nats [B], whatever is
    minimised.

    Args:
      family: the densities to choose from.
      losses: `forward_kl` or `reverse_kl` of the family.
      optimizer: of the parameters.
      decay: of the average of the parameters, as in `descend`, which `evaluate` and `sample` use.

    Raises:
      ValueError: what `descend` or the family refuses.
    """
    descent = descend(losses, optimizer, decay=decay)

    def init(key, batch):
        return descent.init(family.init(key, batch))

    def evaluate(key, state, batch):
        nll = -family.log_prob(state.average, batch['x'])
        return losses(key, state.average, batch) | {'nll': nll}

    def sample(key, state, n):
        return family.sample(key, state.average, n)

    return Algorithm(init, descent.update, evaluate, sample)
