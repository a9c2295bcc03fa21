"""The two players of a GAN: their networks, their parameters, and samples of the generator.

Letters: B examples, Z latent dimensions.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from genjax.base import Batch, Key
from genjax.descent import Descent, Fit
from genjax.numerics.normals import example_normals

# Latents from which a generator's batch norm takes its statistics when it samples.
REFERENCE = 256


class Model(NamedTuple):
    """What is learned, without its parameters.

    Attributes:
      generator: z [B, Z] -> x [B, *shape]; with classes (z, label [B]) -> x.
      discriminator: x [B, *shape] -> logits [B], or what the game plays with; with classes
        (x, label).
      latent: Z.
      classes: labels 0 .. classes - 1 condition both networks; None for no labels.
    """

    generator: nn.Module
    discriminator: nn.Module
    latent: int
    classes: int | None = None


class Player(NamedTuple):
    """A network in training.

    Attributes:
      fit: its parameters.
      variables: what it carries beside them, as the vectors of spectral norm or the statistics of
        batch norm.
    """

    fit: Fit
    variables: Any


class State(NamedTuple):
    """Both players."""

    generator: Player
    discriminator: Player


def model_inputs(model: Model, batch: Batch) -> Batch:
    """The parts of a batch that the model is trained on: x, and label where it has classes."""
    if model.classes is None:
        return {'x': batch['x']}
    return {'x': batch['x'], 'label': batch['label']}


def network_arguments(x: Array, label: Array | None) -> tuple[Array, ...]:
    """What a network is called with."""
    return (x,) if label is None else (x, label)


def init_player(
    network: nn.Module, descent: Descent, key: Key, x: Array, label: Array | None
) -> Player:
    """A player with new parameters, for inputs as x [1, ...] and label [1]."""
    variables = dict(network.init(key, *network_arguments(x, label)))
    params = variables.pop('params')
    return Player(descent.init(params), variables)


def apply_in_training(
    network: nn.Module, params: Any, variables: Any, x: Array, label: Array | None
) -> tuple[Any, Any]:
    """(output, new variables) of a network in training."""
    return network.apply(
        {'params': params} | variables, *network_arguments(x, label), mutable=list(variables)
    )


def sample_latents(key: Key, latent: int, n: int) -> Array:
    """n draws of N(0, I), [n, latent]."""
    return example_normals(key, n, (latent,))


def decode_latents(key: Key, model: Model, player: Player, z: Array, label: Array | None) -> Array:
    """What the average of the generators makes of z [B, Z], [B, *shape].

    No example depends on another. The statistics of batch norm are those of REFERENCE other latents
    under the same average (standing statistics, Brock et al. 2019, arXiv:1809.11096, appendix C.1);
    those of the training belong to other parameters.

    Args:
      key: of the reference latents.
      model: the networks.
      player: the generator.
      z: latents.
      label: [B], or None.
    """
    average = player.fit.average
    variables = player.variables
    if 'batch_stats' in variables:
        latents = sample_latents(key, model.latent, REFERENCE)
        labels = None if label is None else jnp.arange(REFERENCE) % model.classes
        empty = jax.tree.map(jnp.zeros_like, variables['batch_stats'])
        _, updated = apply_in_training(
            model.generator, average, variables | {'batch_stats': empty}, latents, labels
        )
        variables = variables | {'batch_stats': updated['batch_stats']}
    return model.generator.apply({'params': average} | variables, *network_arguments(z, label))
