"""Classifiers: p(y | x) as the softmax of a network's logits, fitted by maximum likelihood.

The discriminative counterpart of naive Bayes (Ng and Jordan 2002, "On discriminative vs. generative
classifiers"). The last hidden layer is a representation, by which measures of fidelity compare
images.

Letters: B examples x of any shape, D features, C classes.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from genjax.averages import Decay
from genjax.base import Algorithm, Metrics
from genjax.descent import descend


def features_and_logits(network: nn.Module, params: Any, x: Array) -> tuple[Array, Array]:
    """Features [B, D] and logits [B, C] of x [B, ...].

    Raises:
      ValueError: the network gives something else.
    """
    outputs = network.apply({'params': params}, x)
    shapes = jax.tree.map(jnp.shape, outputs)
    if not isinstance(outputs, tuple) or not _are_rows(shapes, len(x)):
        raise ValueError(
            f'the network gives {shapes} for {len(x)} examples; '
            'needed: (features [B, D], logits [B, C])'
        )
    return outputs


def _are_rows(shapes, n):
    """Whether these are the shapes of two matrices with n rows."""
    return [len(shape) for shape in shapes] == [2, 2] and {shape[0] for shape in shapes} == {n}


def losses(logits: Array, label: Array) -> Metrics:
    """The cross entropy and the error of each example, [B] each.

    Args:
      logits: [B, C].
      label: integers [B]. Outside 0 to C - 1 both metrics are NaN, which ends a run.

    Returns:
      'loss', -log p(y | x) in nats, and 'error', 1 where another class is the most probable.
    """
    valid = (label >= 0) & (label < logits.shape[1])
    log_probs = jax.nn.log_softmax(logits)
    nats = -jnp.take_along_axis(log_probs, label[:, None], 1, mode='clip')[:, 0]
    error = (jnp.argmax(logits, -1) != label).astype(jnp.float32)
    return {'loss': jnp.where(valid, nats, jnp.nan), 'error': jnp.where(valid, error, jnp.nan)}


def classifier(
    network: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    decay: Decay | float = 0.0,
    microbatches: int = 1,
) -> Algorithm:
    """A classifier: batches are {'x': [B, ...], 'label': int32 [B]}, the state is a `Fit`.

    The metrics are those of `losses`. `encode` gives the features, [B, D]. It and `evaluate` use
    the average of the parameters.

    Args:
      network: x [B, ...] -> (features [B, D], logits [B, C]).
      optimizer: of the parameters.
      decay: of the average, as in `descend`.
      microbatches: parts of a batch, one after the other, as in `descend`.

    Raises:
      ValueError: what `descend` refuses, or, when traced, what `features_and_logits` does.
    """

    def batch_losses(key, params, batch):
        del key
        _, logits = features_and_logits(network, params, batch['x'])
        return losses(logits, batch['label'])

    descent = descend(batch_losses, optimizer, decay=decay, microbatches=microbatches)

    def init(key, batch):
        one = batch['x'][:1]
        params = network.init(key, one)['params']
        features_and_logits(network, params, one)  # refuses a network of another form
        return descent.init(params)

    def evaluate(key, state, batch):
        return batch_losses(key, state.average, batch)

    def encode(key, state, batch):
        del key
        features, _ = features_and_logits(network, state.average, batch['x'])
        return features

    return Algorithm(init, descent.update, evaluate, encode=encode)
