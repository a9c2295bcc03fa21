"""Masked diffusion of discrete data: Shi et al. 2024 (MD4), arXiv:2406.04329.

Also Sahoo et al. 2024 (MDLM), arXiv:2406.07524. The network is not told the time: what is hidden
tells it, and the best prediction does not depend on it.

Letters: B texts, L places, V symbols; V is also the id of what is hidden.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from genjax.algorithms.masked_diffusion.bounds import (
    Hiding,
    Predict,
    continuous,
    each_by_itself,
    text_losses,
)
from genjax.algorithms.masked_diffusion.samplers import Sampler
from genjax.algorithms.masked_diffusion.schedules import linear
from genjax.averages import Decay
from genjax.base import Algorithm, Key
from genjax.descent import Fit, descend
from genjax.numerics.uniforms import Draw, stratified


def predictor(network: nn.Module, params: Any) -> Predict:
    """log p(. | what is not hidden) by a network, see `masked_diffusion`."""

    def predict(ids):
        return jax.nn.log_softmax(network.apply({'params': params}, ids))

    return predict


def infilled(network: nn.Module, sampler: Sampler) -> Callable[[Key, Fit, Array], Array]:
    """(key, state, words int32 [B, L], -1 where to fill in) -> words, by the averaged parameters.

    Args:
      network: see `masked_diffusion`.
      sampler: of the hidden ones.
    """

    def fill(key, state, words):
        ids = jnp.where(words < 0, network.symbols, words)
        return sampler(key, predictor(network, state.average), ids)

    return fill


def masked_diffusion(
    network: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    length: int,
    sampler: Sampler,
    hiding: Hiding = each_by_itself(continuous(linear)),
    draw: Draw = stratified,
    evaluations: int = 1,
    decay: Decay | float = 0.0,
    microbatches: int = 1,
) -> Algorithm:
    """Masked diffusion: batches are {'words': int32 [B, L]}, the state is a `Fit`.

    Words are 0 .. V - 1; -1 where there is none. Metrics are those of `text_losses`: 'loss' is the
    bound in nats a word. Samples are int32 [., length].

    Args:
      network: as `networks.transformer.Transformer`: ids [B, L] -> logits [B, L, V], with
        `symbols`, which is V and the id of what is hidden.
      optimizer: of its parameters.
      length: of a sample.
      sampler: `ancestral` or `random_order`.
      hiding: by which the bound is estimated that is minimised and evaluated: `by_number`, or
        `each_by_itself` as the process has it.
      draw: how the times of a batch, or the numbers, are drawn.
      evaluations: draws of the time for each text whose mean `evaluate` gives.
      decay: of the average, as in `descend`.
      microbatches: parts of a batch, one after the other, as in `descend`.

    Raises:
      ValueError: length or evaluations is below 1, or what `descend` refuses.
    """
    if length < 1 or evaluations < 1:
        raise ValueError(f'length is {length}, evaluations {evaluations}; both must be at least 1')

    def losses(key, params, batch):
        predict = predictor(network, params)
        return text_losses(
            key, predict, batch['words'], symbols=network.symbols, hiding=hiding, draw=draw
        )

    descent = descend(losses, optimizer, decay=decay, microbatches=microbatches)

    def init(key, batch):
        everything_hidden = jnp.full_like(batch['words'][:1], network.symbols)
        return descent.init(network.init(key, everything_hidden)['params'])

    def evaluate(key, state, batch):
        if evaluations == 1:
            return losses(key, state.average, batch)
        keys = jax.random.split(key, evaluations)
        every = jax.lax.map(partial(losses, params=state.average, batch=batch), keys)
        return {name: jnp.mean(values, 0) for name, values in every.items()}

    def sample(key, state, n):
        hidden = jnp.full((n, length), network.symbols, jnp.int32)
        return sampler(key, predictor(network, state.average), hidden)

    return Algorithm(init, descent.update, evaluate, sample)
