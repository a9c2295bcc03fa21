"""The only place where a gradient becomes an update."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from genjax.averages import Decay, as_decay, move
from genjax.base import Batch, Key, Metrics
from genjax.parallel import device_mean


class Fit(NamedTuple):
    """Parameters in training, a pytree.

    Attributes:
      params: as they are now.
      opt_state: the optimiser's.
      average: of params, for evaluate and sample.
      others: further averages by name, each like params.
      updates: how many have been made, int32 [].
    """

    params: Any
    opt_state: optax.OptState
    average: Any
    others: dict[str, Any]
    updates: Array


class Descent(NamedTuple):
    """How parameters begin, and how one batch changes them."""

    init: Callable[[Any], Fit]
    update: Callable[[Key, Fit, Batch], tuple[Fit, Metrics]]


def descend(
    losses: Callable[[Key, Any, Batch], Metrics],
    optimizer: optax.GradientTransformation,
    *,
    decay: Decay | float = 0.0,
    others: Mapping[str, Decay | float] = {},
    axis: str | None = None,
) -> Descent:
    """Gradient descent on the mean of per-example losses.

    Args:
      losses: (key, params, batch) -> {'loss': [B], ...}; the mean of 'loss' is minimised, and the
        means of all are the metrics, with 'gradient_norm', the norm of the gradient.
      optimizer: makes an update of the gradient.
      decay: how the average forgets. A number is a fixed decay with warm-up,
        beta = min(decay, (1 + n) / (10 + n)) after n updates; 0 keeps the average equal to params.
      others: further averages that are kept beside, by name.
      axis: a mapped axis to average over, besides the devices.

    Raises:
      ValueError: a decay lies outside [0, 1), or another average is named 'average'.
    """
    decay = as_decay(decay)
    others = {name: as_decay(other) for name, other in others.items()}
    if 'average' in others:
        raise ValueError("others has 'average', which is the name of the first one")

    def global_mean(tree):
        tree = device_mean(tree)
        return tree if axis is None else jax.lax.pmean(tree, axis)

    def init(params):
        copies = {name: jax.tree.map(jnp.copy, params) for name in others}
        average = jax.tree.map(jnp.copy, params)
        return Fit(params, optimizer.init(params), average, copies, jnp.zeros((), jnp.int32))

    def update(key, state, batch):
        def mean_loss(params):
            means = {name: jnp.mean(values) for name, values in losses(key, params, batch).items()}
            return means['loss'], means

        gradient, means = global_mean(jax.grad(mean_loss, has_aux=True)(state.params))
        with jax.numpy_dtype_promotion('standard'):  # optax raises floats to integer powers
            steps, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, steps)
        average = move(decay, state.updates, state.average, params)
        kept = {
            name: move(other, state.updates, state.others[name], params)
            for name, other in others.items()
        }
        metrics = means | {'gradient_norm': optax.tree.norm(gradient)}
        return Fit(params, opt_state, average, kept, state.updates + 1), metrics

    return Descent(init, update)


def with_average(fit: Fit, name: str) -> Fit:
    """The fit with another of its averages in the place of `average`, for evaluate and sample.

    Raises:
      ValueError: it keeps none of that name.
    """
    if name not in fit.others:
        raise ValueError(f'no average {name!r} is kept; there are {sorted(fit.others)}')
    return fit._replace(average=fit.others[name])


def choose_average(state: Any, name: str) -> Any:
    """A state whose fits evaluate and sample by another average of their parameters.

    Args:
      state: any pytree with fits in it, as a game of two players has.
      name: 'none', the parameters themselves; 'average', as it is; or one of `others`, in the fits
        that keep it.

    Raises:
      ValueError: no fit keeps it, or there is no fit.
    """
    fits = [leaf for leaf in jax.tree.leaves(state, is_leaf=_is_fit) if _is_fit(leaf)]
    if not fits:
        raise ValueError(f'average is {name!r}; the state keeps no average of parameters')
    kept = sorted({other for fit in fits for other in fit.others})
    if name not in ('none', 'average', *kept):
        there = ', '.join(['none', 'average', *kept])
        raise ValueError(f'average is {name!r}; there are: {there}')

    def chosen(leaf):
        if not _is_fit(leaf):
            return leaf
        if name == 'none':
            return leaf._replace(average=leaf.params)
        return with_average(leaf, name) if name in leaf.others else leaf

    return jax.tree.map(chosen, state, is_leaf=_is_fit)


def _is_fit(leaf):
    return isinstance(leaf, Fit)
