"""Classifiers: p(y | x) as the softmax of a network's logits, fitted by maximum likelihood.

The discriminative counterpart of naive Bayes (Ng and Jordan 2002, "On discriminative vs. generative
classifiers"). Its last hidden layer is a representation, by which measures of fidelity compare
images.

B examples x of any shape, D features, C classes.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from genjax.base import Algorithm, Metrics
from genjax.descent import descend


def seen(network: Any, params: Any, x: Array) -> tuple[Array, Array]:
    """Features [B, D] and logits [B, C].

    Raises:
      ValueError: the network gives something else.
    """
    found = network.apply({'params': params}, x)
    shapes = jax.tree.map(jnp.shape, found)
    if (
        not isinstance(found, tuple)
        or [len(s) for s in shapes] != [2, 2]
        or {s[0] for s in shapes} != {len(x)}
    ):
        raise ValueError(
            f'the network gives {shapes} for {len(x)} examples; needed: (features [B, D], logits [B, C])'
        )
    return found


def measure(logits: Array, label: Array) -> Metrics:
    """Of each example 'loss', the cross entropy -log p(y | x) in nats, and 'error', 1 where another
    class is the most probable; each [B]. Of a label outside 0 to C - 1 neither is a number, which
    ends a run."""
    inside = (label >= 0) & (label < logits.shape[1])
    nats = -jnp.take_along_axis(jax.nn.log_softmax(logits), label[:, None], 1, mode='clip')[:, 0]
    error = (jnp.argmax(logits, -1) != label).astype(jnp.float32)
    return {'loss': jnp.where(inside, nats, jnp.nan), 'error': jnp.where(inside, error, jnp.nan)}


def classifier(
    network: Any, optimizer: optax.GradientTransformation, *, decay: float = 0.0
) -> Algorithm:
    """A classifier: batches are {'x': [B, ...], 'label': int32 [B]}, the state is a `Fit`, the
    metrics are `measure`'s.

    `encode` gives the features, [B, D]. It and `evaluate` use the average of the parameters.

    Args:
      network: flax's, x [B, ...] -> (features [B, D], logits [B, C]).
      decay: of the average, as in `descend`.

    Raises:
      ValueError: what `descend` refuses, or, when traced, what `seen` does.
    """
    losses = lambda key, params, batch: measure(
        seen(network, params, batch['x'])[1], batch['label']
    )
    descent = descend(losses, optimizer, decay=decay)

    def init(key, batch):
        params = network.init(key, batch['x'][:1])['params']
        seen(network, params, batch['x'][:1])  # refuses a network of another form
        return descent.init(params)

    evaluate = lambda key, state, batch: losses(key, state.average, batch)
    encode = lambda key, state, batch: seen(network, state.average, batch['x'])[0]
    return Algorithm(init, descent.update, evaluate, encode=encode)
