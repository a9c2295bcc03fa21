"""Denoising diffusion: Ho et al. 2020, arXiv:2006.11239, whose equation numbers these are."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from genjax.algorithms.diffusion.likelihood import prior_term, step_term
from genjax.algorithms.diffusion.process import (
    Predict,
    Process,
    last_step,
    linear_schedule,
    make_process,
    noise_like,
    predict_x0,
    q_sample,
)
from genjax.algorithms.diffusion.samplers.reverse_chain import reverse_chain
from genjax.algorithms.diffusion.samplers.steps import Denoise, Sampler
from genjax.averages import Decay
from genjax.base import Algorithm, Batch, Key, Metrics
from genjax.descent import Fit, descend
from genjax.parallel import example_keys, shard_batch


def predictor(network: nn.Module, params: Any, rngs: dict[str, Key] | None = None) -> Predict:
    """eps_theta of a network, in float32.

    Args:
      network: (x [B, ...], int32 [B] in 0..T-1) -> [B, ...]. It is given t - 1, as in the authors'
        code.
      params: the network's.
      rngs: of its dropout; None for no dropout.
    """

    def predict(xt, t):
        index = jnp.asarray(t - 1, jnp.int32)
        return network.apply({'params': params}, xt, index, rngs=rngs).astype(jnp.float32)

    return predict


def make_denoise(process: Process, predict: Predict, clip: float = 1.0) -> Denoise:
    """The estimate of x_0 by a network that predicts the noise, clipped to [-clip, clip]."""

    def denoise(xt, t):
        of_one = partial(predict_x0, process, clip=clip)
        return jax.vmap(of_one)(t, xt, predict(xt, t))

    return denoise


def random_xt(key: Key, process: Process, x0: Array) -> tuple[Array, Array, Array]:
    """(t [B], noise [B, ...], x_t [B, ...]) of x0 [B, ...], t uniform in 1..T (algorithm 1)."""
    times_key, noise_key = jax.random.split(key)
    total = last_step(process)

    def random_step(key):
        return jax.random.randint(key, (), 1, total + 1)

    t = jax.vmap(random_step)(example_keys(times_key, len(x0)))
    noise = noise_like(noise_key, x0)
    xt = jax.vmap(partial(q_sample, process))(t, x0, noise)
    return t, noise, xt


def losses(key: Key, process: Process, predict: Predict, x0: Array, clip: float = 1.0) -> Metrics:
    """The loss and the bound of x0 [B, ...], each example at one random t; [B] each.

    Args:
      key: of t and the noise.
      process: the diffusion.
      predict: eps_theta.
      x0: data in [-1, 1].
      clip: of the predicted x_0, in the bound.

    Returns:
      'loss', the mean squared error of the noise (eq. 14), and 'bits_per_dim', an unbiased estimate
      of the sum of `bound`, which carries no gradient.
    """
    t, noise, xt = random_xt(key, process, x0)
    predicted = predict(xt, t)

    terms = jax.vmap(partial(step_term, process, clip=clip))(
        t, x0, xt, jax.lax.stop_gradient(predicted)
    )
    bits = last_step(process) * terms + jax.vmap(partial(prior_term, process))(x0)
    return {'loss': jax.vmap(jnp.mean)((noise - predicted) ** 2), 'bits_per_dim': bits}


def sample_with(
    sampler: Callable[[Key, Denoise, Array], Array],
    network: nn.Module,
    process: Process,
    shape: tuple[int, ...],
    clip: float = 1.0,
) -> Callable[[Key, Fit, int], Array]:
    """(key, state, n) -> what a sampler makes of n draws of x_T, by the average of the parameters.

    Args:
      sampler: a `Sampler`, also one of frames.
      network: as in `ddpm`.
      process: the diffusion.
      shape: of an example.
      clip: see `make_denoise`.
    """

    def sample(key, state, n):
        start_key, chain_key = jax.random.split(key)
        x_T = shard_batch(jax.random.normal(start_key, (n, *shape)))
        denoise = make_denoise(process, predictor(network, state.average), clip)
        return sampler(chain_key, denoise, x_T)

    return sample


def checked_images(batch: Batch, shape: tuple[int, ...]) -> Array:
    """The images of a batch, [B, *shape].

    Convolutions would take other shapes as well, and train on what is never sampled.

    Raises:
      ValueError: images of another shape, or no floats.
    """
    x = batch['image']
    if x.shape[1:] != shape:
        raise ValueError(f'shape is {shape}; the data have {x.shape[1:]}')
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f'images are {x.dtype}; ddpm needs floats in [-1, 1]')
    return x


def ddpm(
    network: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    shape: tuple[int, ...],
    steps: int = 1000,
    process: Process | None = None,
    sampler: Sampler | None = None,
    clip: float = 1.0,
    decay: Decay | float = 0.9999,
    others: Mapping[str, Decay | float] = {},
    microbatches: int = 1,
) -> Algorithm:
    """DDPM: batches are {'image': [B, *shape] in [-1, 1]}, the state is a `Fit`.

    The metrics are those of `losses`. `evaluate` and `sample` use the average of the parameters.

    Args:
      network: as in `predictor`. It drops out where it is given the rng 'dropout', in training.
      optimizer: of the parameters.
      shape: of an example.
      steps: T of the default process; not used where a process is given.
      process: by default the linear schedule with the larger variance.
      sampler: that `sample` uses; by default `reverse_chain(process)`.
      clip: of the predicted x_0, in samples and in the bound.
      decay: of the average, as in `descend`.
      others: further averages, as in `descend`.
      microbatches: parts of a batch, one after the other, as in `descend`.

    Raises:
      ValueError: shape is no tuple of positive integers, or what `linear_schedule` and `descend`
        refuse; when traced, images of another shape, or no floats.
    """
    if not (isinstance(shape, tuple) and all(isinstance(n, int) and n > 0 for n in shape)):
        raise ValueError(f'shape is {shape!r}; ddpm needs a tuple of positive integers')
    if process is None:
        process = make_process(linear_schedule(steps))
    if sampler is None:
        sampler = reverse_chain(process)

    def training_losses(key, params, batch):
        losses_key, dropout_key = jax.random.split(key)
        predict = predictor(network, params, {'dropout': dropout_key})
        return losses(losses_key, process, predict, checked_images(batch, shape), clip)

    descent = descend(
        training_losses, optimizer, decay=decay, others=others, microbatches=microbatches
    )

    def init(key, batch):
        del batch
        x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        t = jax.ShapeDtypeStruct((1,), jnp.int32)
        # The forward pass is not needed: no run computes it, older flax not even by hand.
        return descent.init(network.lazy_init(key, x, t)['params'])

    def evaluate(key, state, batch):
        predict = predictor(network, state.average)
        return losses(key, process, predict, checked_images(batch, shape), clip)

    sample = sample_with(sampler, network, process, shape, clip)
    return Algorithm(init, descent.update, evaluate, sample)
