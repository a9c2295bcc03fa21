"""Naive Bayes: p(x, y) = p(y) prod_d p(x_d | y), fitted by counting.

Probabilities are of maximum likelihood or means under a Dirichlet prior. Bayes' rule makes a
classifier of it, p(y | x) = p(x | y) p(y) / sum_c p(x | c) p(c); drawing y and then x, a generator.
The state is counts and moments, on which order and batches of the examples leave no trace but
rounding; an example that comes twice counts twice. Probabilities are a pure function of it.

B examples, D features, C classes.
"""

from typing import Generic, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.naive_bayes.counts import (
    Pseudocounts,
    class_counts,
    posterior_mean,
    require_pseudocounts,
)
from genjax.algorithms.naive_bayes.features import Feature, Parameters, Statistics
from genjax.algorithms.naive_bayes.validity import (
    invalid_examples,
    training_alarms,
    with_invalid,
)
from genjax.base import Algorithm, Metrics
from genjax.parallel import device_mean, example_keys


class Counted(NamedTuple, Generic[Statistics]):
    """What training has counted."""

    classes: Array  # [C] uint32
    features: Statistics  # of the feature


def log_joint(
    feature: Feature, prior: Array, parameters: Parameters, x: Array, floor: float
) -> tuple[Array, Array]:
    """log p(x, y) for every y, nats [B, C], and how many events have probability 0, [B, C].

    Each event in (x, y) of probability 0 counts as `floor`: the class with fewest of them wins, as
    in the limit of small pseudocounts.

    Args:
      feature: the kind of x.
      prior: p(y), [C].
      parameters: of the feature, each with a leading axis C.
      x: [B, D].
      floor: a probability.
    """
    every_class = jax.vmap(feature.log_prob, (0, None, None))
    nats, unseen = jax.vmap(lambda x: every_class(parameters, x, floor))(x)
    log_prior = jnp.log(jnp.maximum(prior, floor))
    unseen_class = (prior <= 0).astype(jnp.float32)
    return nats + log_prior[None], unseen + unseen_class[None]


def losses(joint: Array, unseen: Array, label: Array) -> Metrics:
    """The metrics of each example, [B]: 'loss', 'joint', 'error' and 'unseen'.

    'loss' is -log p(y | x) and 'joint' -log p(x, y), in nats; 'error' is 1 where another class is
    the most probable; 'unseen' is how many of its events have probability 0.

    Args:
      joint: log p(x, y), [B, C].
      unseen: events of probability 0, [B, C].
      label: y, [B].
    """

    def of_label(values):
        return jnp.take_along_axis(values, label[:, None], 1, mode='clip')[:, 0]

    return {
        'loss': -of_label(jax.nn.log_softmax(joint)),
        'joint': -of_label(joint),
        'error': (jnp.argmax(joint, -1) != label).astype(jnp.float32),
        'unseen': of_label(unseen),
    }


def naive_bayes(
    classes: int,
    feature: Feature,
    *,
    alpha: Pseudocounts = 0.0,
    floor: float = 1e-20,
) -> Algorithm:
    """Naive Bayes: batches are {'x': float32 [B, D], 'label': int32 [B]}, the state is a `Counted`.

    `evaluate` gives `losses`, see `with_invalid`. An update gives their means over the batch before
    that is counted (prequential, Dawid 1984), and `training_alarms`. What the model allows and
    training never had is no error in either: it is counted as unseen. `encode` needs no label and
    gives log p(y | x), [B, C], NaN for an x outside the support; `sample` draws from p(x, y), in
    the form of a batch.

    Args:
      classes: C.
      feature: the kind of x.
      alpha: pseudocounts of the classes.
      floor: the probability that an impossible event counts as, since metrics must be finite.

    Raises:
      ValueError: classes < 2, negative pseudocounts, a floor outside (0, 1), or batches of another
        form.
    """
    if not (classes >= 2 and 0 < floor < 1):
        raise ValueError(
            f'naive Bayes of classes {classes}, floor {floor}; needed: classes >= 2, 0 < floor < 1'
        )
    require_pseudocounts(alpha, classes)

    def fit(state):
        return posterior_mean(state.classes, alpha), feature.fit(state.features)

    def joint_and_unseen(state, x):
        prior, parameters = fit(state)
        return log_joint(feature, prior, parameters, x, floor)

    def example_losses(state, batch):
        joint, unseen = joint_and_unseen(state, batch['x'])
        return losses(joint, unseen, batch['label'])

    def init(key, batch):
        shapes = {name: batch[name].shape for name in ('x', 'label') if name in batch}
        if len(shapes.get('x', ())) != 2 or shapes.get('label') != shapes['x'][:1]:
            raise ValueError(f'a batch has {shapes}; naive Bayes needs x [B, D] and label [B]')
        _, features = shapes['x']
        return Counted(jnp.zeros(classes, jnp.uint32), feature.init(classes, features))

    def update(key, state, batch):
        label = batch['label']
        means = device_mean(jax.tree.map(jnp.mean, example_losses(state, batch)))
        after = Counted(
            state.classes + class_counts(label, classes),
            feature.add(state.features, label, batch['x']),
        )
        return after, means | training_alarms(feature, classes, state, after, batch)

    def evaluate(key, state, batch):
        return with_invalid(example_losses(state, batch), invalid_examples(feature, classes, batch))

    def sample(key, state, n):
        prior, parameters = fit(state)
        label_keys, x_keys = jax.vmap(jax.random.split, out_axes=1)(example_keys(key, n))
        label = jax.vmap(jax.random.categorical, (0, None))(label_keys, jnp.log(prior))
        of_label = jax.tree.map(lambda p: p[label], parameters)
        return {'x': jax.vmap(feature.draw)(x_keys, of_label), 'label': label}

    def encode(key, state, batch):
        inside = jnp.all(feature.inside(batch['x']), -1, keepdims=True)
        joint, _ = joint_and_unseen(state, batch['x'])
        return jnp.where(inside, jax.nn.log_softmax(joint), jnp.nan)

    return Algorithm(init, update, evaluate, sample, encode)
