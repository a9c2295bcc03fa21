"""Generative adversarial networks: Goodfellow et al. 2014, arXiv:1406.2661, and the games played
since.

A discriminator tells real examples x from generated ones G(z), z of N(0, I); a generator learns to
be mistaken for real. An update is two gradient descents: the discriminator's, perhaps several
times, then the generator's, which answers the new discriminator.

Letters: B examples, Z latent dimensions, n steps of the discriminator for one of the generator.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from genjax.base import Algorithm, Batch, Key, Metrics
from genjax.descent import Descent, Fit, descend
from genjax.parallel import example_keys

REFERENCE = (
    256  # noises that the statistics of a generator's batch norm are taken from, when it samples
)


class Model(NamedTuple):
    """What is learned, without its parameters."""

    generator: Any  # flax's, z [B, Z] -> x [B, *shape]; with classes (z, label [B]) -> x
    # Flax's, x [B, *shape] -> logit [B], or what the game plays with; with classes (x, label)
    discriminator: Any
    latent: int  # Z
    classes: int | None = None  # labels 0 .. classes - 1 are conditioned on; None: nothing is

    def inputs(self, batch: Batch) -> Batch:
        """Those parts of a batch that are learned from."""
        return {name: batch[name] for name in ('x', 'label')[: 1 if self.classes is None else 2]}


class Player(NamedTuple):
    fit: Fit
    # What the network carries beside parameters: power iterations' vectors, batch norm's statistics
    variables: Any


class State(NamedTuple):
    generator: Player
    discriminator: Player


def saturation(game: Any, real: Any, fake: Any) -> Array:
    """1 for a pair that the discriminator has nothing left to learn from, its loss having no slope
    over 0.01; [B]."""
    slopes = jax.vmap(jax.grad(game.discriminator, (0, 1)))(real, fake)
    steep = [
        jnp.max(jnp.abs(slope.reshape(len(slope), -1)), 1) for slope in jax.tree.leaves(slopes)
    ]
    return (sum(steep) < 0.01).astype(jnp.float32)


def trained(
    network: Any, params: Any, variables: Any, x: Array, label: Array | None
) -> tuple[Any, Any]:
    """What a network gives in training, and what it then carries: (output, variables)."""
    return network.apply(
        {'params': params} | variables, *_inputs(x, label), mutable=list(variables)
    )


def _inputs(x, label):
    return (x,) if label is None else (x, label)


def noises(key: Key, latent: int, n: int) -> Array:
    """n draws of N(0, I), [n, latent]."""
    return jax.vmap(lambda key: jax.random.normal(key, (latent,)))(example_keys(key, n))


def generated(key: Key, model: Model, player: Player, z: Array, label: Array | None) -> Array:
    """What the average of the generators makes of z [B, Z], each example by itself, [B, *shape].

    Batch norm's statistics are those of REFERENCE other noises under the same average (standing
    statistics, Brock et al. 2019, arXiv:1809.11096, appendix C.1), not the training's, which belong
    to other parameters.
    """
    variables = player.variables
    if 'batch_stats' in variables:
        others = None if label is None else jnp.arange(REFERENCE) % model.classes
        blank = variables | {'batch_stats': jax.tree.map(jnp.zeros_like, variables['batch_stats'])}
        z_of_others = noises(key, model.latent, REFERENCE)
        new = trained(model.generator, player.fit.average, blank, z_of_others, others)[1]
        variables = variables | {'batch_stats': new['batch_stats']}
    return model.generator.apply({'params': player.fit.average} | variables, *_inputs(z, label))


def augmented(augment: Any, key: Key, x: Array) -> Array:
    """Each example of x [B, *shape] changed with a key of its own."""
    return x if augment is None else jax.vmap(augment)(example_keys(key, len(x)), x)


class Rules(NamedTuple):
    """What stays the same through a run."""

    model: Model
    game: Any  # of networks/games.py, as the penalties
    penalties: Sequence[Any]
    augment: Any


class Turn(NamedTuple):
    """What one side learns from when it is its turn."""

    # The discriminator's: real examples [B, *shape], augmented; the generator's: noise [B, Z]
    x: Array
    label: Array | None  # [B], of real and generated examples alike
    variables: Any  # what its own network carries
    # The discriminator's: generated examples, augmented; the generator's: (its opponent, real
    # examples)
    against: Any


def discriminator_losses(rules: Rules, key: Key, params: Any, turn: Turn) -> Metrics:
    """{'loss': nats [B], with the penalties, ...}; the mean of 'accuracy' is the share of pairs in
    the right order."""
    output = lambda x: trained(rules.model.discriminator, params, turn.variables, x, turn.label)[0]
    logits = jax.vmap(rules.game.logit)
    real, fake = output(turn.x), output(turn.against)
    penalty = jnp.zeros(len(turn.x))
    for i, penalise in enumerate(rules.penalties):
        penalty += penalise(
            jax.random.fold_in(key, i), lambda x: logits(output(x)), turn.x, turn.against
        )
    loss = jax.vmap(rules.game.discriminator)(real, fake) + penalty
    metrics = {'loss': loss, 'penalty': penalty, 'saturation': saturation(rules.game, real, fake)}
    return metrics | compared(logits(real), logits(fake))


def compared(real: Array, fake: Array) -> Metrics:
    """Logits [B] of real and generated examples, and whether each pair stands in the right order."""
    return {'real_logit': real, 'fake_logit': fake, 'accuracy': (real > fake).astype(jnp.float32)}


def generator_losses(rules: Rules, key: Key, params: Any, turn: Turn) -> Metrics:
    """{'loss': nats [B]} against the discriminator as it has become."""
    opponent, real = turn.against
    fake = augmented(
        rules.augment,
        key,
        trained(rules.model.generator, params, turn.variables, turn.x, turn.label)[0],
    )
    judge, carries = opponent.fit.params, opponent.variables
    output = lambda x: trained(rules.model.discriminator, judge, carries, x, turn.label)[0]
    return {'loss': jax.vmap(rules.game.generator)(output(real), output(fake))}


def discriminate(
    rules: Rules, descent: Descent, key: Key, state: State, batch: Batch
) -> tuple[Player, Metrics]:
    """One step of the discriminator."""
    noise, views, other_views, penalty = jax.random.split(key, 4)
    (generator, player), label, model = state, batch.get('label'), rules.model
    z = noises(noise, model.latent, len(batch['x']))
    fake = trained(model.generator, generator.fit.params, generator.variables, z, label)[0]
    real, fake = (
        augmented(rules.augment, views, batch['x']),
        augmented(rules.augment, other_views, fake),
    )
    fit, metrics = descent.update(penalty, player.fit, Turn(real, label, player.variables, fake))
    variables = player.variables
    for x in (
        real,
        fake,
    ):  # the passes of the losses once more, which the compiler finds and makes only once
        variables = trained(model.discriminator, player.fit.params, variables, x, label)[1]
    return Player(fit, variables), metrics


def generate(
    rules: Rules, descent: Descent, key: Key, state: State, batch: Batch
) -> tuple[Player, Metrics]:
    """One step of the generator."""
    noise, views, other_views = jax.random.split(key, 3)
    (player, opponent), label = state, batch.get('label')
    z, real = (
        noises(noise, rules.model.latent, len(batch['x'])),
        augmented(rules.augment, views, batch['x']),
    )
    fit, metrics = descent.update(
        other_views, player.fit, Turn(z, label, player.variables, (opponent, real))
    )
    variables = trained(rules.model.generator, player.fit.params, player.variables, z, label)[1]
    return Player(fit, variables), {f'generator_{name}': metric for name, metric in metrics.items()}


def play(
    rules: Rules, descents: State, steps: int, key: Key, state: State, batch: Batch
) -> tuple[State, Metrics]:
    """The update: `steps` turns of the discriminator, each with its share of the batch, then one of
    the generator."""
    first, second = jax.random.split(key)
    apart = lambda rows: jnp.swapaxes(rows.reshape(-1, steps, *rows.shape[1:]), 0, 1)  # [n, B, ...]
    parts = jax.tree.map(apart, rules.model.inputs(batch))

    def turn(player, seen):
        return discriminate(
            rules, descents.discriminator, seen[0], State(state.generator, player), seen[1]
        )

    player, metrics = jax.lax.scan(
        turn, state.discriminator, (jax.random.split(first, steps), parts)
    )
    last = jax.tree.map(lambda rows: rows[-1], parts)
    met = State(state.generator, player)
    generator, more = generate(rules, descents.generator, second, met, last)
    return State(generator, player), jax.tree.map(jnp.mean, metrics) | more


def _begun(network, descent, key, x, label):
    variables = dict(network.init(key, *_inputs(x, label)))
    return Player(descent.init(variables.pop('params')), variables)


def _refuse_misfits(rules, steps, state, batch):
    x, z = batch['x'], jnp.zeros((len(batch['x']), rules.model.latent))
    sample = lambda: generated(
        jax.random.key(0), rules.model, state.generator, z, batch.get('label')
    )
    if len(x) % steps:
        raise ValueError(f'batch is {len(x)}, which critic_steps {steps} does not divide')
    _require_shape(jax.eval_shape(sample), x)
    if rules.penalties and 'batch_stats' in state.discriminator.variables:
        raise ValueError(
            'penalties want the slope at one example; the discriminator has batch norm, which mixes them'
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
    game: Any,  # of networks/games.py, as the penalties of the discriminator
    penalties: Sequence[Any] = (),
    critic_steps: int = 1,  # n
    decay: float = 0.0,  # of the average of the generator's parameters, which samples
    augment: Callable[[Key, Array], Array]
    | None = None,  # of one example, differentiable; real and generated alike
) -> Algorithm:
    """A GAN: batches are {'x': [n B, *shape]}, with classes {'label': int [n B]} too; the state is
    a `State`.

    Step k of the discriminator sees the rows k, k + n, ... of the batch. `loss` is its loss with
    the penalties, the mean of the n steps. `sample` and `decode`, of z [B, Z], give example i the
    label i mod classes.

    Raises:
      ValueError: critic_steps or latent is below 1; when traced, a batch that critic_steps does not
        divide, a generator whose shape is not the data's, a penalty for a discriminator with batch
        norm.
    """
    if critic_steps < 1 or model.latent < 1:
        raise ValueError(
            f'critic_steps is {critic_steps}, latent {model.latent}; both must be at least 1'
        )
    rules = Rules(model, game, penalties, augment)
    descents = State(
        descend(partial(generator_losses, rules), generator_optimizer, decay=decay),
        descend(partial(discriminator_losses, rules), discriminator_optimizer),
    )
    return _algorithm(rules, descents, critic_steps)


def _algorithm(rules, descents, steps):
    model = rules.model

    def init(key, batch):
        first, second = jax.random.split(key)
        batch = model.inputs(batch)
        one, z = jax.tree.map(lambda rows: rows[:1], batch), jnp.zeros((1, model.latent))
        generator = _begun(model.generator, descents.generator, first, z, one.get('label'))
        discriminator = _begun(
            model.discriminator, descents.discriminator, second, one['x'], one.get('label')
        )
        _refuse_misfits(rules, steps, State(generator, discriminator), batch)
        return State(generator, discriminator)

    def evaluate(key, state, batch):
        noise, others = jax.random.split(key)
        z, label = noises(noise, model.latent, len(batch['x'])), model.inputs(batch).get('label')
        fake, (fit, variables) = (
            generated(others, model, state.generator, z, label),
            state.discriminator,
        )
        _require_shape(fake, batch['x'])
        judge = lambda x: model.discriminator.apply(
            {'params': fit.params} | variables, *_inputs(x, label)
        )
        real, fake = judge(batch['x']), judge(fake)
        losses = {'loss': rules.game.discriminator, 'generator_loss': rules.game.generator}
        logits = jax.vmap(rules.game.logit)
        return {name: jax.vmap(f)(real, fake) for name, f in losses.items()} | compared(
            logits(real), logits(fake)
        )

    def decode(key, state, code):
        label = None if model.classes is None else jnp.arange(len(code)) % model.classes
        return generated(key, model, state.generator, code, label)

    def sample(key, state, n):
        noise, others = jax.random.split(key)
        return decode(others, state, noises(noise, model.latent, n))

    return Algorithm(init, partial(play, rules, descents, steps), evaluate, sample, None, decode)
