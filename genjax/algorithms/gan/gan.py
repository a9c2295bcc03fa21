"""Generative adversarial networks: Goodfellow et al. 2014, arXiv:1406.2661, and their successors.

A discriminator tells real examples x from generated ones G(z), z of N(0, I); a generator learns to
be mistaken for real. An update is two gradient descents: the discriminator's, perhaps several
times, then the generator's, against the new discriminator.

Letters: B examples, Z latent dimensions, n steps of the discriminator for one of the generator.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from genjax.algorithms.gan.games import Game, Output
from genjax.algorithms.gan.penalties import Penalty
from genjax.algorithms.gan.players import (
    Model,
    Player,
    State,
    apply_in_training,
    decode_latents,
    init_player,
    model_inputs,
    network_arguments,
    sample_latents,
)
from genjax.averages import Decay
from genjax.base import Algorithm, Batch, Key, Metrics
from genjax.descent import Descent, descend
from genjax.parallel import example_keys

Augment = Callable[[Key, Array], Array]  # of one example, differentiable


class Setup(NamedTuple):
    """What stays the same through a run."""

    model: Model
    game: Game
    penalties: Sequence[Penalty]
    augment: Augment | None


class Descents(NamedTuple):
    """The gradient descents of both players."""

    generator: Descent
    discriminator: Descent


class DiscriminatorInputs(NamedTuple):
    """What a step of the discriminator is computed from, beside its parameters.

    Attributes:
      real: real examples [B, *shape], augmented.
      fake: generated examples [B, *shape], augmented.
      label: of both, [B], or None.
      variables: the discriminator's own.
    """

    real: Array
    fake: Array
    label: Array | None
    variables: Any


class GeneratorInputs(NamedTuple):
    """What a step of the generator is computed from, beside its parameters.

    Attributes:
      z: latents [B, Z].
      real: real examples [B, *shape], augmented.
      label: of both, [B], or None.
      variables: the generator's own.
      opponent: the discriminator.
    """

    z: Array
    real: Array
    label: Array | None
    variables: Any
    opponent: Player


def augment_batch(augment: Augment | None, key: Key, x: Array) -> Array:
    """Changes each example of x [B, *shape] with a key of its own; None changes nothing."""
    return x if augment is None else jax.vmap(augment)(example_keys(key, len(x)), x)


def saturation(game: Game, real: Output, fake: Output) -> Array:
    """1 for a pair from which the discriminator has nothing left to learn, [B].

    That is where its loss has no slope over 0.01.

    Args:
      game: that is played.
      real: the discriminator's outputs for real examples, [B, ...].
      fake: for generated ones.
    """
    slopes = jax.vmap(jax.grad(game.discriminator, (0, 1)))(real, fake)

    def steepest(slope):
        return jnp.max(jnp.abs(slope.reshape(len(slope), -1)), 1)

    total = sum(steepest(slope) for slope in jax.tree.leaves(slopes))
    return (total < 0.01).astype(jnp.float32)


def logit_metrics(real: Array, fake: Array) -> Metrics:
    """The logits of real and generated examples and whether a pair is in the right order; [B]."""
    return {'real_logit': real, 'fake_logit': fake, 'accuracy': (real > fake).astype(jnp.float32)}


def discriminator_losses(
    setup: Setup, key: Key, params: Any, inputs: DiscriminatorInputs
) -> Metrics:
    """The losses of the discriminator, [B] each.

    'loss' holds the penalties, and the mean of 'accuracy' is the share of pairs in the right order.
    """
    network = setup.model.discriminator

    def output(x):
        return apply_in_training(network, params, inputs.variables, x, inputs.label)[0]

    def critic(x):
        return jax.vmap(setup.game.logit)(output(x))

    real = output(inputs.real)
    fake = output(inputs.fake)
    penalty = jnp.zeros(len(inputs.real))
    for i, penalise in enumerate(setup.penalties):
        penalty += penalise(jax.random.fold_in(key, i), critic, inputs.real, inputs.fake)
    loss = jax.vmap(setup.game.discriminator)(real, fake) + penalty
    metrics = {'loss': loss, 'penalty': penalty, 'saturation': saturation(setup.game, real, fake)}
    logits = jax.vmap(setup.game.logit)
    return metrics | logit_metrics(logits(real), logits(fake))


def generator_losses(setup: Setup, key: Key, params: Any, inputs: GeneratorInputs) -> Metrics:
    """{'loss': nats [B]} against the opponent."""
    generator = setup.model.generator
    opponent = inputs.opponent
    x, _ = apply_in_training(generator, params, inputs.variables, inputs.z, inputs.label)
    x = augment_batch(setup.augment, key, x)

    def output(x):
        network = setup.model.discriminator
        return apply_in_training(network, opponent.fit.params, opponent.variables, x, inputs.label)[
            0
        ]

    return {'loss': jax.vmap(setup.game.generator)(output(inputs.real), output(x))}


def discriminator_step(
    setup: Setup, descent: Descent, key: Key, state: State, batch: Batch
) -> tuple[Player, Metrics]:
    """One step of the discriminator on a batch of B examples."""
    latents_key, real_key, fake_key, penalty_key = jax.random.split(key, 4)
    model = setup.model
    generator, discriminator = state
    label = batch.get('label')

    z = sample_latents(latents_key, model.latent, len(batch['x']))
    fake, _ = apply_in_training(
        model.generator, generator.fit.params, generator.variables, z, label
    )
    real = augment_batch(setup.augment, real_key, batch['x'])
    fake = augment_batch(setup.augment, fake_key, fake)

    inputs = DiscriminatorInputs(real, fake, label, discriminator.variables)
    fit, metrics = descent.update(penalty_key, discriminator.fit, inputs)
    # The passes of the losses once more, which the compiler finds and makes only once.
    variables = discriminator.variables
    for x in (real, fake):
        _, variables = apply_in_training(
            model.discriminator, discriminator.fit.params, variables, x, label
        )
    return Player(fit, variables), metrics


def generator_step(
    setup: Setup, descent: Descent, key: Key, state: State, batch: Batch
) -> tuple[Player, Metrics]:
    """One step of the generator on a batch of B examples."""
    latents_key, real_key, fake_key = jax.random.split(key, 3)
    model = setup.model
    generator, discriminator = state
    label = batch.get('label')

    z = sample_latents(latents_key, model.latent, len(batch['x']))
    real = augment_batch(setup.augment, real_key, batch['x'])
    inputs = GeneratorInputs(z, real, label, generator.variables, discriminator)
    fit, metrics = descent.update(fake_key, generator.fit, inputs)
    # Made only once, as in `discriminator_step`.
    _, variables = apply_in_training(
        model.generator, generator.fit.params, generator.variables, z, label
    )
    named = {f'generator_{name}': metric for name, metric in metrics.items()}
    return Player(fit, variables), named


def update(
    setup: Setup, descents: Descents, steps: int, key: Key, state: State, batch: Batch
) -> tuple[State, Metrics]:
    """n steps of the discriminator, each on its share of the batch, then one of the generator.

    Args:
      setup: the networks and the game.
      descents: of both players.
      steps: n.
      key: of this update.
      state: both players.
      batch: n B examples.
    """
    discriminator_key, generator_key = jax.random.split(key)

    def split_rows(rows):  # [n B, ...] -> [n, B, ...]
        return jnp.swapaxes(rows.reshape(-1, steps, *rows.shape[1:]), 0, 1)

    shares = jax.tree.map(split_rows, model_inputs(setup.model, batch))

    def step(discriminator, inputs):
        key, share = inputs
        current = State(state.generator, discriminator)
        return discriminator_step(setup, descents.discriminator, key, current, share)

    discriminator, metrics = jax.lax.scan(
        step, state.discriminator, (jax.random.split(discriminator_key, steps), shares)
    )
    last_share = jax.tree.map(lambda rows: rows[-1], shares)
    newest = State(state.generator, discriminator)
    generator, generator_metrics = generator_step(
        setup, descents.generator, generator_key, newest, last_share
    )
    means = jax.tree.map(jnp.mean, metrics)
    return State(generator, discriminator), means | generator_metrics


def _refuse_misfits(setup, steps, state, batch):
    model = setup.model
    x = batch['x']
    z = jnp.zeros((len(x), model.latent))

    def sample():
        return decode_latents(jax.random.key(0), model, state.generator, z, batch.get('label'))

    if len(x) % steps:
        raise ValueError(f'batch is {len(x)}, which critic_steps {steps} does not divide')
    _require_shape(jax.eval_shape(sample), x)
    if setup.penalties and 'batch_stats' in state.discriminator.variables:
        raise ValueError(
            'penalties want the slope at one example; '
            'the discriminator has batch norm, which mixes them'
        )


def _require_shape(fake, real):
    if fake.shape != real.shape:
        raise ValueError(
            f'the generator gives examples of shape {fake.shape[1:]}, the data has {real.shape[1:]}'
        )


def gan(
    model: Model,
    generator_optimizer: optax.GradientTransformation,
    discriminator_optimizer: optax.GradientTransformation,
    *,
    game: Game,
    penalties: Sequence[Penalty] = (),
    critic_steps: int = 1,
    decay: Decay | float = 0.0,
    augment: Augment | None = None,
) -> Algorithm:
    """A GAN: batches are {'x': [n B, *shape]}, with classes {'label': int [n B]} too.

    The state is a `State`. Step k of the discriminator is made on the rows k, k + n, ... of the
    batch. 'loss' is its loss with the penalties, the mean of the n steps. `sample` and `decode`, of
    z [B, Z], give example i the label i mod classes.

    Args:
      model: both networks.
      generator_optimizer: of the generator's parameters.
      discriminator_optimizer: of the discriminator's.
      game: the losses of both.
      penalties: of the discriminator.
      critic_steps: n.
      decay: of the average of the generator's parameters, which samples, as in `descend`.
      augment: of real and generated examples alike, before the discriminator.

    Raises:
      ValueError: critic_steps or latent is below 1; when traced, a batch that critic_steps does not
        divide, a generator whose shape is not the data's, a penalty for a discriminator with batch
        norm.
    """
    if critic_steps < 1 or model.latent < 1:
        raise ValueError(
            f'critic_steps is {critic_steps}, latent {model.latent}; both must be at least 1'
        )
    setup = Setup(model, game, penalties, augment)
    descents = Descents(
        descend(partial(generator_losses, setup), generator_optimizer, decay=decay),
        descend(partial(discriminator_losses, setup), discriminator_optimizer),
    )

    def init(key, batch):
        generator_key, discriminator_key = jax.random.split(key)
        batch = model_inputs(model, batch)
        one = jax.tree.map(lambda rows: rows[:1], batch)
        label = one.get('label')
        z = jnp.zeros((1, model.latent))
        generator = init_player(model.generator, descents.generator, generator_key, z, label)
        discriminator = init_player(
            model.discriminator, descents.discriminator, discriminator_key, one['x'], label
        )
        state = State(generator, discriminator)
        _refuse_misfits(setup, critic_steps, state, batch)
        return state

    def evaluate(key, state, batch):
        latents_key, reference_key = jax.random.split(key)
        label = model_inputs(model, batch).get('label')
        z = sample_latents(latents_key, model.latent, len(batch['x']))
        fake = decode_latents(reference_key, model, state.generator, z, label)
        _require_shape(fake, batch['x'])

        fit, variables = state.discriminator

        def output(x):
            return model.discriminator.apply(
                {'params': fit.params} | variables, *network_arguments(x, label)
            )

        real_output = output(batch['x'])
        fake_output = output(fake)
        logits = jax.vmap(game.logit)
        losses = {
            'loss': jax.vmap(game.discriminator)(real_output, fake_output),
            'generator_loss': jax.vmap(game.generator)(real_output, fake_output),
        }
        return losses | logit_metrics(logits(real_output), logits(fake_output))

    def decode(key, state, code):
        label = None if model.classes is None else jnp.arange(len(code)) % model.classes
        return decode_latents(key, model, state.generator, code, label)

    def sample(key, state, n):
        latents_key, reference_key = jax.random.split(key)
        return decode(reference_key, state, sample_latents(latents_key, model.latent, n))

    return Algorithm(
        init,
        partial(update, setup, descents, critic_steps),
        evaluate,
        sample=sample,
        decode=decode,
    )
