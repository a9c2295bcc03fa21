"""Flow maps as an algorithm: MeanFlow, self-distillation and consistency training.

B examples of one shape, C classes.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.lax import stop_gradient

from genjax.algorithms.diffusion.conditions import (
    Augment,
    Label,
    images_of,
    labels_at_random,
    require_label_dropout,
    shapes_told,
    told,
    told_in_training,
)
from genjax.algorithms.diffusion.flow_maps.maps import Form, Jumps, Velocity, flow_map, scaled
from genjax.algorithms.diffusion.flow_maps.objectives import Objective, Point
from genjax.algorithms.diffusion.flow_maps.pairs import Pairs
from genjax.algorithms.diffusion.flow_maps.weights import Weight, even
from genjax.algorithms.diffusion.paths import Path, slopes
from genjax.averages import Decay
from genjax.base import Algorithm, Batch, Key
from genjax.descent import Fit, descend
from genjax.numerics.normals import example_normals
from genjax.parallel import batch_length, shard_batch

# Where the parameters of a learnt weight stand among the network's.
LOG_WEIGHT = 'log_weight'


class Model(NamedTuple):
    """A network and how it gives an average velocity.

    Attributes:
      network: (x [B, ...], condition [B], **conditions) -> [B, ...], with the conditions `duration`
        [B] where the form has it, and `label`, int32 [B], where there are classes.
      path: of x_t.
      form: what makes an average velocity of the network.
      classes: C; the label C says that there is none. None: the network takes no label.
    """

    network: nn.Module
    path: Path
    form: Form
    classes: int | None = None


class InTarget(NamedTuple):
    """Guidance that is learnt, by a slope that is led away from the velocity without labels.

    The slope becomes scale slope + mix u(x, t, t | label) + (1 - scale - mix) u(x, t, t), which is
    the guided one of the scale `scale / (1 - mix)` at the optimum. Samples then need one evaluation
    a step.

    Source: Geng et al. 2025, arXiv:2505.13447, equations 19 and 21; omega is `scale`, kappa `mix`.

    Attributes:
      scale: omega.
      mix: kappa, in [0, 1).
    """

    scale: float = 1.0
    mix: float = 0.0


def velocity_with(
    model: Model, params: Any, conditions: Batch, rngs: dict[str, Key] | None = None
) -> Velocity:
    """The average velocity by a network.

    Args:
      model: see `Model`.
      params: the network's.
      conditions: name -> [B, ...], beside x and the times: `label` where there are classes.
      rngs: of its dropout, one mask for all evaluations of an example; None for no dropout.
    """

    def network(x, condition, **duration):
        given = {**duration, **conditions}
        return model.network.apply({'params': params}, x, condition, **given, rngs=rngs)

    return model.form(network)


def draw_points(key: Key, path: Path, x0: Array, pairs: Pairs, updates: Array) -> Point:
    """A point on the path for each of the data [B, ...].

    Args:
      key: of the pairs and the noise.
      path: of x_t.
      x0: data.
      pairs: of times.
      updates: that training has made, [B].
    """
    pairs_key, noise_key = jax.random.split(key)
    t, r = pairs(pairs_key, updates)
    noise = example_normals(noise_key, len(x0), x0.shape[1:])
    alpha_slope, sigma_slope = slopes(path, t)
    x = scaled(path.alpha(t), x0) + scaled(path.sigma(t), noise)
    slope = scaled(alpha_slope, x0) + scaled(sigma_slope, noise)
    return Point(x, t, r, slope, x0, noise, updates)


def guided_slope(
    guidance: InTarget, point: Point, with_label: Velocity, without: Velocity, hidden: Array
) -> Array:
    """The slope of `InTarget`, and the slope itself where the label is hidden.

    Args:
      guidance: see `InTarget`.
      point: with the slope as drawn.
      with_label: u, given labels.
      without: u, given none.
      hidden: whether training hides an example's label, bool [B].
    """
    x, t, _, slope, *_ = point
    own = with_label(x, t, t) if guidance.mix else jnp.zeros_like(slope)
    rest = 1 - guidance.scale - guidance.mix
    led = guidance.scale * slope + guidance.mix * own + rest * without(x, t, t)
    return stop_gradient(jax.vmap(jnp.where)(hidden, slope, led))


def draw_samples(
    model: Model,
    jumps: Jumps,
    shape: tuple[int, ...],
    *,
    label: Label | None = None,
) -> Callable[[Key, Fit, int], Array]:
    """(key, state, n) -> what a few steps make of n draws of noise, by the averaged parameters.

    Args:
      model: see `Model`.
      jumps: the steps, from the end of the path.
      shape: of an example.
      label: (key, n) -> int32 [n]; by default all classes are as likely.
    """
    path, classes = model.path, model.classes
    deviation = float(path.sigma(np.float64(path.end)))

    draw_label = labels_at_random(classes) if label is None else label

    def sample(key, state, n):
        start_key, label_key, chain_key = jax.random.split(key, 3)
        x_T = shard_batch(deviation * jax.random.normal(start_key, (n, *shape)))
        given = {} if classes is None else {'label': shard_batch(draw_label(label_key, n))}
        return jumps(chain_key, velocity_with(model, state.average, given), x_T)

    return sample


def flow_maps(
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    shape: tuple[int, ...],
    objective: Objective,
    pairs: Pairs,
    jumps: Jumps,
    weight: Weight = even,
    log_weight: nn.Module | None = None,
    guidance: InTarget = InTarget(),
    label_dropout: float = 0.0,
    augment: Augment | None = None,
    reversible: bool = False,
    decay: Decay | float = 0.9999,
    others: Mapping[str, Decay | float] = {},
    microbatches: int = 1,
) -> Algorithm:
    """A flow map of batches {'image': [B, *shape], 'label': [B]}; its state is a `Fit`.

    The metrics are the 'loss' with its weight, and the mean squared 'error' of the objective, which
    is the 'loss' of `evaluate`: that of two runs can be compared where they have the same objective
    and pairs, whatever their weights. `decode` takes noise to data by one evaluation and `encode`
    the way back. `evaluate`, `sample`, `encode` and `decode` use the average of the parameters.

    Args:
      model: see `Model`. Its network drops out where it is given the rng 'dropout', in training.
      optimizer: of the parameters.
      shape: of an example.
      objective: what is estimated, and its target.
      pairs: of times.
      jumps: the steps that `sample` takes.
      weight: of the squared errors.
      log_weight: (t [B], r [B]) -> w [B], which is learnt beside the map: the loss is then e^w
        times the mean weighted error of an entry, less w. Its parameters stand beside the
        network's by the name LOG_WEIGHT.
      guidance: that is learnt; by default none.
      label_dropout: the share of labels that training hides, which guidance needs.
      augment: of the training images; the network is given what was done as the condition
        `augmentation` [B, A], which is 0 everywhere else.
      reversible: whether the pairs also lead to more noise (`swapped`), so that there is an
        `encode`.
      decay: of the average, as in `descend`.
      others: further averages, as in `descend`.
      microbatches: parts of a batch, one after the other, as in `descend`.

    Raises:
      ValueError: label_dropout lies outside [0, 1], or guidance is asked of a model without
        classes, or has a mix outside [0, 1); when traced, images of another shape.
    """
    path, classes = model.path, model.classes
    size = math.prod(shape)
    _require_options(guidance, label_dropout, classes)

    def errors(key, params, x0, given, updates, rngs):
        """Squared errors summed over entries [B], and the points."""
        point = draw_points(key, path, x0, pairs, updates)
        velocity = velocity_with(model, params, given, rngs)
        if guidance != InTarget():
            label = given['label']
            none = given | {'label': jnp.full_like(label, classes)}
            without = velocity_with(model, params, none, rngs)
            slope = guided_slope(guidance, point, velocity, without, label == classes)
            point = point._replace(slope=slope)
        estimate, target = objective(velocity, point)
        return jax.vmap(jnp.sum)((estimate - target) ** 2), point

    def training_losses(key, params, batch):
        points_key, dropout_key, label_key, augment_key = jax.random.split(key, 4)
        x0, given = told_in_training(
            label_key,
            augment_key,
            batch,
            shape,
            classes=classes,
            label_dropout=label_dropout,
            augment=augment,
        )
        rngs = {'dropout': dropout_key}
        squares, point = errors(points_key, params, x0, given, batch['updates'], rngs)
        loss = stop_gradient(weight(squares, point.t, point.r)) * squares
        if log_weight is not None:
            w = log_weight.apply({'params': params[LOG_WEIGHT]}, point.t, point.r)
            loss = jnp.exp(w) * loss / size - w
        return {'loss': loss, 'error': squares / size}

    descent = descend(
        training_losses, optimizer, decay=decay, others=others, microbatches=microbatches
    )

    def init(key, batch):
        shapes = shapes_told(key, batch, shape, classes=classes, augment=augment)
        given = {name: jnp.zeros(one.shape, one.dtype) for name, one in shapes.items()}
        params = _init_network(model, key, shape, given)
        if log_weight is not None:
            time = jnp.ones(1)
            params[LOG_WEIGHT] = log_weight.init(key, time, time)['params']
        return descent.init(params)

    def update(key, state, batch):
        updates = jnp.full(batch_length(batch), state.updates)
        return descent.update(key, state, batch | {'updates': updates})

    def evaluate(key, state, batch):
        updates = jnp.full(batch_length(batch), state.updates)
        given = told(batch, classes)
        x0 = images_of(batch, shape)
        squares, _ = errors(key, state.average, x0, given, updates, None)
        return {'loss': squares / size}

    def jump(state, x, given, t, r):
        velocity = velocity_with(model, state.average, given)
        return flow_map(velocity, x, jnp.full(len(x), t), jnp.full(len(x), r))

    def encode(key, state, batch):
        del key
        given = told(batch, classes)
        code = jump(state, images_of(batch, shape), given, 0.0, path.end)
        return {'noise': code, **given} if given else code

    def decode(key, state, code):
        del key
        return jump(state, code['noise'] if classes else code, told(code, classes), path.end, 0.0)

    sample = draw_samples(model, jumps, shape)
    return Algorithm(init, update, evaluate, sample, encode if reversible else None, decode)


def _init_network(model, key, shape, given):
    """The parameters of the network for what its form asks of it."""
    x = jnp.zeros((1, *shape))
    time = jnp.ones(1)

    def init(key):
        made = []

        def network(x, condition, **duration):
            variables = model.network.init(key, x, condition, **duration, **given)
            made.append(variables['params'])
            return jnp.zeros_like(x)

        model.form(network)(x, time, time)
        return made[0]

    return jax.jit(init)(key)


def _require_options(guidance, label_dropout, classes):
    require_label_dropout(label_dropout)
    if guidance != InTarget() and classes is None:
        raise ValueError(f'guidance is {tuple(guidance)}; the model has no classes')
    if not 0 <= guidance.mix < 1:
        raise ValueError(f'guidance has the mix {guidance.mix}; it must lie in [0, 1)')
