"""An autoencoder whose code is L of K symbols: VQ-VAE and FSQ by their quantisers.

A model of such codes, as any language model, makes it generative.

Letters: B examples, L codes of each, D features of a code, K codes.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from genjax.algorithms.discrete_codes.quantiser import Quantised, Quantiser
from genjax.averages import Decay
from genjax.base import Algorithm
from genjax.descent import descend
from genjax.numerics.likelihoods import Likelihood


class Model(NamedTuple):
    """What is learned, without its parameters.

    Attributes:
      encoder: x [B, *shape] -> features [B, L, D].
      decoder: codes [B, L, D] -> the parameters of p(x | codes), a pytree of [B, ...].
      quantiser: `fsq` or `vq`.
      likelihood: p(x | codes) by its parameters.
    """

    encoder: nn.Module
    decoder: nn.Module
    quantiser: Quantiser
    likelihood: Likelihood


def quantised(model: Model, params: Any, x: Array) -> Quantised:
    """The codes of x [B, *shape].

    Raises:
      ValueError: the encoder gives something else than [B, L, D].
    """
    z = model.encoder.apply({'params': params['encoder']}, x)
    if z.ndim != 3 or z.shape[-1] != model.quantiser.features:
        raise ValueError(
            f'the encoder gives {z.shape}; it must be [B, L, {model.quantiser.features}]'
        )
    return model.quantiser.quantise(params['quantiser'], z)


def discrete_codes(
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    decay: Decay | float = 0.0,
    microbatches: int = 1,
) -> Algorithm:
    """An autoencoder of discrete codes: batches are {'x': [B, *shape]}, the state is a `Fit`.

    'loss' is -log p(x | codes), which is 'reconstruction', and what the quantiser adds. `encode`
    gives the codes, int32 [B, L] in 0 .. K - 1; `decode` the mean of p(x | codes). All but `update`
    use the average of the parameters.

    Args:
      model: the networks, the quantiser and the likelihood.
      optimizer: of all parameters.
      decay: of the average, as in `descend`.
      microbatches: parts of a batch, one after the other, as in `descend`.

    Raises:
      ValueError: what `descend` refuses, or, when traced, what `quantised` does, or a decoder that
        gives no x.
    """

    def decoded(params, code):
        return model.decoder.apply({'params': params['decoder']}, code)

    def losses(key, params, batch):
        del key
        x = batch['x']
        codes = quantised(model, params, x)
        parameters = decoded(params, codes.code)
        given = jax.eval_shape(jax.vmap(model.likelihood.mean), parameters).shape[1:]
        if given != x.shape[1:]:
            raise ValueError(f'the decoder gives x of shape {given}; the data have {x.shape[1:]}')
        reconstruction = -jax.vmap(model.likelihood.log_prob)(parameters, x)
        loss = reconstruction + jnp.sum(codes.loss, -1)
        return {'loss': loss, 'reconstruction': reconstruction}

    descent = descend(losses, optimizer, decay=decay, microbatches=microbatches)

    def init(key, batch):
        encoder_key, quantiser_key, decoder_key = jax.random.split(key, 3)
        one = batch['x'][:1]
        params = {
            'encoder': model.encoder.init(encoder_key, one)['params'],
            'quantiser': model.quantiser.init(quantiser_key),
        }
        code = quantised(model, params, one).code
        decoder = model.decoder.init(decoder_key, code)['params']
        return descent.init(params | {'decoder': decoder})

    def evaluate(key, state, batch):
        return losses(key, state.average, batch)

    def encode(key, state, batch):
        del key
        return quantised(model, state.average, batch['x']).index

    def decode(key, state, code):
        del key
        codes = model.quantiser.lookup(state.average['quantiser'], code)
        return jax.vmap(model.likelihood.mean)(decoded(state.average, codes))

    return Algorithm(init, descent.update, evaluate, encode=encode, decode=decode)
