"""Variational autoencoders: Kingma and Welling 2014, arXiv:1312.6114.

Letters: B examples, Z latent dimensions.
"""

import jax
import optax

from genjax.algorithms.vae.bounds import Objective, elbo
from genjax.algorithms.vae.model import (
    Model,
    apply_decoder,
    encode_mean,
    init_params,
    sample_model,
)
from genjax.averages import Decay
from genjax.base import Algorithm
from genjax.descent import descend


def vae(
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    objective: Objective = elbo(),
    decay: Decay | float = 0.0,
    microbatches: int = 1,
) -> Algorithm:
    """A VAE: batches are {'x': [B, *shape]}, the state is a `Fit`, the metrics are the objective's.

    `encode` gives the mean of q(z | x), [B, Z], and with a flow what that makes of its Gaussian's
    mean; `decode` the mean of p(x | z); `sample` draws of p(x), with the noise of p(x | z). Of
    several layers z is the one next to x. All but `update` use the average of the parameters.

    Args:
      model: the networks, the likelihood and the prior.
      optimizer: of the parameters of all.
      objective: `elbo` or `iwae`.
      decay: of the average, as in `descend`.
      microbatches: parts of a batch, one after the other, as in `descend`.

    Raises:
      ValueError: latent is below 1, what the objective and `descend` refuse, or, when traced, what
        `posterior`, `apply_flow`, `log_p_x_given_z` and the prior do.
    """
    if model.latent < 1:
        raise ValueError(f'latent is {model.latent}; at least 1 dimension is needed')

    def losses(key, params, batch):
        return objective(key, model, params, batch['x'])

    descent = descend(losses, optimizer, decay=decay, microbatches=microbatches)

    def init(key, batch):
        return descent.init(init_params(key, model, batch['x']))

    def evaluate(key, state, batch):
        return losses(key, state.average, batch)

    def sample(key, state, n):
        return sample_model(key, model, state.average, n)

    def encode(key, state, batch):
        del key
        return encode_mean(model, state.average, batch['x'])

    def decode(key, state, code):
        del key
        return jax.vmap(model.likelihood.mean)(apply_decoder(model, state.average, code))

    return Algorithm(init, descent.update, evaluate, sample, encode, decode)
