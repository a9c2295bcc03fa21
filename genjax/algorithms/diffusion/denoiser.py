"""Denoisers on a continuous path: EDM, v-prediction and flow matching are one loss.

B examples of one shape, C classes.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

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
from genjax.algorithms.diffusion.continuous_bound import bits_per_dim
from genjax.algorithms.diffusion.guidance import led_away
from genjax.algorithms.diffusion.paths import Path, log_snr, noise_level
from genjax.algorithms.diffusion.predictions import (
    Prediction,
    determinant,
    predicted_x0,
    target,
)
from genjax.algorithms.diffusion.samplers.second_order import heun
from genjax.algorithms.diffusion.samplers.steps import Denoise, Sampler
from genjax.algorithms.diffusion.times import Law, karras_times
from genjax.algorithms.diffusion.weights import Weight
from genjax.averages import Decay
from genjax.base import Algorithm, Batch, Key
from genjax.descent import Fit, descend
from genjax.numerics.normals import example_normals
from genjax.numerics.uniforms import Draw, stratified
from genjax.parallel import shard_batch

# (x_t [B, ...], t [B]) -> the network's y [B, ...]
Predict = Callable[[Array, Array], Array]


class Model(NamedTuple):
    """A network and what it is trained to give.

    Attributes:
      network: (x [B, ...], condition [B], **conditions) -> [B, ...], with the condition `label`,
        int32 [B], where there are classes.
      path: of x_t.
      prediction: what the network gives, and in which form it is given x_t and t.
      classes: C; the label C says that there is none. None: the network takes no label.
    """

    network: nn.Module
    path: Path
    prediction: Prediction
    classes: int | None = None


class Guidance(NamedTuple):
    """Classifier-free guidance, for samples; see `guided`."""

    scale: float = 1.0
    interval: tuple[float, float] = (0.0, np.inf)


def predictor(
    model: Model, params: Any, conditions: Batch, rngs: dict[str, Key] | None = None
) -> Predict:
    """What the network gives, in float32.

    Args:
      model: see `Model`.
      params: the network's.
      conditions: name -> [B, ...], beside x and t.
      rngs: of its dropout; None for no dropout.
    """
    prediction = model.prediction

    def predict(x, t):
        scale = prediction.scale(model.path, t)
        condition = prediction.condition(model.path, t).astype(jnp.float32)
        scaled = jax.vmap(jnp.multiply)(scale, x)
        y = model.network.apply({'params': params}, scaled, condition, **conditions, rngs=rngs)
        return y.astype(x.dtype)

    return predict


def denoise_with(model: Model, params: Any, label: Array | None = None) -> Denoise:
    """E[x_0 | x_t] by a network; label is int32 [B] where the model has classes."""
    predict = predictor(model, params, _labelled(label))

    def denoise(x, t):
        return jax.vmap(partial(predicted_x0, model.path, model.prediction))(t, x, predict(x, t))

    return denoise


def guided_by_labels(model: Model, params: Any, label: Array, guidance: Guidance) -> Denoise:
    """A network with labels int32 [B], led away from what it estimates without them.

    Both estimates are of one call of the network, on 2 B examples.
    """
    if guidance.scale == 1:
        return denoise_with(model, params, label)
    both_labels = jnp.concatenate([label, jnp.full_like(label, model.classes)])
    denoise_both = denoise_with(model, params, both_labels)

    def denoise(x, t):
        estimates = denoise_both(jnp.concatenate([x, x]), jnp.concatenate([t, t]))
        with_label, without = jnp.split(estimates, 2)
        return led_away(with_label, without, noise_level(model.path, t), *guidance)

    return denoise


def _labelled(label):
    return {} if label is None else {'label': label}


def losses(
    key: Key, model: Model, predict: Predict, x0: Array, *, law: Law, draw: Draw, weight: Weight
) -> Array:
    """w(log_snr) |x_0 - D(x_t, t)|^2, the mean over the entries of each example, [B].

    Args:
      key: of t and the noise.
      model: see `Model`.
      predict: the network.
      x0: data [B, ...].
      law: of t.
      draw: how the t of a batch are drawn.
      weight: w.
    """
    times_key, noise_key = jax.random.split(key)
    t = law.quantile(draw(times_key, len(x0)))
    noise = example_normals(noise_key, len(x0), x0.shape[1:])
    path, prediction = model.path, model.prediction

    def corrupt(t, x0, noise):
        return path.alpha(t) * x0 + path.sigma(t) * noise

    y = predict(jax.vmap(corrupt)(t, x0, noise), t)
    wanted = jax.vmap(partial(target, path, prediction))(t, x0, noise)
    error = jax.vmap(jnp.mean)((y - wanted) ** 2)
    # An error of y is one of x_0 times this.
    ratio = path.sigma(t) / determinant(path, prediction, t)
    return weight(log_snr(path, t)) * ratio**2 * error


def draw_samples(
    model: Model,
    sampler: Sampler,
    shape: tuple[int, ...],
    *,
    guidance: Guidance = Guidance(),
    label: Label | None = None,
) -> Callable[[Key, Fit, int], Array]:
    """(key, state, n) -> what a sampler makes of n draws of noise, by the averaged parameters.

    Args:
      model: see `Model`.
      sampler: through times that begin at the end of the path; also one of frames.
      shape: of an example.
      guidance: away from the model without labels, where it has classes.
      label: (key, n) -> int32 [n]; by default all classes are as likely.
    """
    path, classes = model.path, model.classes
    deviation = float(path.sigma(np.float64(path.end)))

    draw_label = labels_at_random(classes) if label is None else label

    def sample(key, state, n):
        start_key, label_key, chain_key = jax.random.split(key, 3)
        x_T = shard_batch(deviation * jax.random.normal(start_key, (n, *shape)))
        if classes is None:
            denoise = denoise_with(model, state.average)
        else:
            labels = shard_batch(draw_label(label_key, n))
            denoise = guided_by_labels(model, state.average, labels, guidance)
        return sampler(chain_key, denoise, x_T)

    return sample


def denoiser(
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    shape: tuple[int, ...],
    weight: Weight,
    law: Law,
    sampler: Sampler,
    draw: Draw = stratified,
    guidance: Guidance = Guidance(),
    label_dropout: float = 0.0,
    augment: Augment | None = None,
    ode_steps: int = 40,
    decay: Decay | float = 0.9999,
    others: Mapping[str, Decay | float] = {},
    microbatches: int = 1,
) -> Algorithm:
    """A denoiser of batches {'image': [B, *shape] in [-1, 1], 'label': [B]}; its state is a `Fit`.

    The metrics are the 'loss' and, at evaluation, 'bits_per_dim', an unbiased estimate of the
    variational bound (see `continuous_bound`). `encode` gives the noise that the probability-flow
    ODE makes of the images, with their labels where there are classes, and `decode` goes back.
    `evaluate`, `sample`, `encode` and `decode` use the average of the parameters.

    Args:
      model: see `Model`. Its network drops out where it is given the rng 'dropout', in training.
      optimizer: of the parameters.
      shape: of an example.
      weight: of the loss, a curve over log-SNR.
      law: of t in training.
      sampler: that `sample` uses.
      draw: how the t of a batch are drawn.
      guidance: of `sample`; by default none.
      label_dropout: the share of labels that training hides, which guidance needs.
      augment: of the training images; the network is given what was done as the condition
        `augmentation` [B, A], which is 0 everywhere else.
      ode_steps: of Heun's method in `encode` and `decode`, spaced as in `karras_times`.
      decay: of the average, as in `descend`.
      others: further averages, as in `descend`.
      microbatches: parts of a batch, one after the other, as in `descend`.

    Raises:
      ValueError: label_dropout lies outside [0, 1], or guidance of another scale than 1 is asked
        of a model without classes; when traced, images of another shape, or no floats.
    """
    path, classes = model.path, model.classes
    require_label_dropout(label_dropout)
    if classes is None and guidance.scale != 1:
        raise ValueError(f'guidance has the scale {guidance.scale}; the model has no classes')

    def training_losses(key, params, batch):
        losses_key, dropout_key, label_key, augment_key = jax.random.split(key, 4)
        x0, given = told_in_training(
            label_key,
            augment_key,
            batch,
            shape,
            classes=classes,
            label_dropout=label_dropout,
            augment=augment,
        )
        predict = predictor(model, params, given, {'dropout': dropout_key})
        loss = losses(losses_key, model, predict, x0, law=law, draw=draw, weight=weight)
        return {'loss': loss}

    descent = descend(
        training_losses, optimizer, decay=decay, others=others, microbatches=microbatches
    )

    def init(key, batch):
        x0 = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        condition = jax.ShapeDtypeStruct((1,), jnp.float32)
        given = shapes_told(key, batch, shape, classes=classes, augment=augment)
        # The forward pass is not needed: no run computes it, older flax not even by hand.
        return descent.init(model.network.lazy_init(key, x0, condition, **given)['params'])

    def evaluate(key, state, batch):
        losses_key, bound_key = jax.random.split(key)
        x0 = images_of(batch, shape)
        predict = predictor(model, state.average, told(batch, classes))
        loss = losses(losses_key, model, predict, x0, law=law, draw=draw, weight=weight)
        denoise = denoise_with(model, state.average, batch['label'] if classes else None)
        return {'loss': loss, 'bits_per_dim': bits_per_dim(bound_key, path, denoise, x0)}

    sample = draw_samples(model, sampler, shape, guidance=guidance)
    # As EDM's, from the noise to the start, without the last step to the data.
    times = karras_times(path, ode_steps + 1)[:-1]
    to_noise = heun(path, times[::-1])
    to_data = heun(path, times)

    def encode(key, state, batch):
        label = batch['label'] if classes else None
        x0 = images_of(batch, shape)
        code = to_noise(key, denoise_with(model, state.average, label), x0)
        return code if label is None else {'noise': code, 'label': label}

    def decode(key, state, code):
        label = code['label'] if classes else None
        x_T = code['noise'] if classes else code
        return to_data(key, denoise_with(model, state.average, label), x_T)

    return Algorithm(init, descent.update, evaluate, sample, encode, decode)
