"""Metrics that are infinite instead of 0 where an example is outside what the model allows.

An infinite metric ends a training run.

B examples, D features, C classes.
"""

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.naive_bayes.features import Feature
from genjax.base import Batch, Metrics, State
from genjax.parallel import device_max


def invalid_examples(feature: Feature, classes: int, batch: Batch) -> dict[str, Array]:
    """Which examples of a batch the model does not allow, by what is wrong, bool [B] each.

    Args:
      feature: what x may be.
      classes: C.
      batch: {'x': [B, D], 'label': [B]}.
    """
    label = batch['label']
    return {
        f'x outside {feature.support}': jnp.any(~feature.inside(batch['x']), -1),
        f'label outside 0 to {classes - 1}': (label < 0) | (label >= classes),
    }


def training_alarms(
    feature: Feature, classes: int, before: State, after: State, batch: Batch
) -> Metrics:
    """What ends a run: invalid examples, and counts that have wrapped around; [] each.

    Args:
      feature: what x may be.
      classes: C.
      before: the state, a pytree, before the batch was counted.
      after: the state after it.
      batch: {'x': [B, D], 'label': [B]}.
    """

    def is_smaller(a, b):
        return (a.dtype == jnp.uint32) & jnp.any(b < a)

    smaller = jax.tree.map(is_smaller, before, after)
    wrapped = jax.tree.reduce(jnp.logical_or, smaller)
    alarms = invalid_examples(feature, classes, batch) | {'counts over 2^32': wrapped}
    return {name: device_max(_infinite(jnp.any(bad))) for name, bad in alarms.items()}


def with_invalid(metrics: Metrics, invalid: dict[str, Array]) -> Metrics:
    """Metrics of examples beside each kind of `invalid_examples`.

    Of an example that is none every metric is infinite: none that could be taken for a score enters
    a mean.
    """
    bad = jnp.any(jnp.stack(list(invalid.values())), 0)
    scores = {name: jnp.where(bad, jnp.inf, values) for name, values in metrics.items()}
    return scores | {name: _infinite(values) for name, values in invalid.items()}


def _infinite(bad):
    return jnp.where(bad, jnp.inf, 0.0)
