"""The only place where a gradient becomes an update."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from genjax.base import Batch, Key, Metrics
from genjax.parallel import device_mean


class Fit(NamedTuple):
    """Parameters in training, a pytree.

    Attributes:
      params: as they are now.
      opt_state: the optimiser's.
      average: exponential moving average of params, for evaluate and sample.
    """

    params: Any
    opt_state: optax.OptState
    average: Any


class Descent(NamedTuple):
    """How parameters begin, and how one batch changes them."""

    init: Callable[[Any], Fit]
    update: Callable[[Key, Fit, Batch], tuple[Fit, Metrics]]


def descend(
    losses: Callable[[Key, Any, Batch], Metrics],
    optimizer: optax.GradientTransformation,
    *,
    decay: float = 0.0,
    axis: str | None = None,
) -> Descent:
    """Gradient descent on the mean of per-example losses.

    Args:
      losses: (key, params, batch) -> {'loss': [B], ...}; the mean of 'loss' is minimised, and the
        means of all are the metrics, with 'gradient_norm', the norm of the gradient.
      optimizer: makes an update of the gradient.
      decay: average <- decay * average + (1 - decay) * params after each update; 0 keeps the two
        equal.
      axis: a mapped axis to average over, besides the devices.

    Raises:
      ValueError: decay lies outside [0, 1).
    """
    if not 0 <= decay < 1:
        raise ValueError(f'decay is {decay}; the average needs 0 <= decay < 1')

    def global_mean(tree):
        tree = device_mean(tree)
        return tree if axis is None else jax.lax.pmean(tree, axis)

    def init(params):
        return Fit(params, optimizer.init(params), jax.tree.map(jnp.copy, params))

    def update(key, state, batch):
        def mean_loss(params):
            means = {name: jnp.mean(values) for name, values in losses(key, params, batch).items()}
            return means['loss'], means

        gradient, means = global_mean(jax.grad(mean_loss, has_aux=True)(state.params))
        with jax.numpy_dtype_promotion('standard'):  # optax raises floats to integer powers
            steps, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, steps)
        average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, state.average, params)
        metrics = means | {'gradient_norm': optax.tree.norm(gradient)}
        return Fit(params, opt_state, average), metrics

    return Descent(init, update)
