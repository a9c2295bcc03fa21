"""The games that a GAN's two sides play, as losses of one example, and the penalties that keep a
discriminator smooth.

A discriminator gives an example a logit, and D is its sigmoid; it learns to give real examples
higher ones.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.nn import log_sigmoid, relu, softplus

from genjax.base import Key
from genjax.parallel import example_keys


class Game(NamedTuple):
    """The losses of both sides, of what the discriminator gives for one real and for one generated
    example."""

    discriminator: Callable[[Any, Any], Array]  # (real, fake) -> nats []
    generator: Callable[[Any, Any], Array]  # (real, fake) -> nats []
    logit: Callable[[Any], Array] = lambda output: output  # what the discriminator gives -> []


def value(real: Array, fake: Array) -> Array:
    """log D(x) + log(1 - D(G(z))) of one x and one z, nats []; D is the sigmoid of the logit (2014,
    eq. 1)."""
    return log_sigmoid(real) + log_sigmoid(-fake)


# Of logits [] of one real and one generated example.
minimax = Game(lambda real, fake: -value(real, fake), value)  # min_G max_D V(D, G), eq. 1
non_saturating = Game(
    minimax.discriminator, lambda real, fake: softplus(-fake)
)  # section 3: G maximises log D(G(z))
hinge = Game(
    lambda real, fake: relu(1 - real) + relu(1 + fake), lambda real, fake: -fake
)  # arXiv:1705.02894
least_squares = Game(  # Mao et al. 2017, arXiv:1611.04076, eq. 9
    lambda real, fake: ((real - 1) ** 2 + fake**2) / 2, lambda real, fake: (fake - 1) ** 2 / 2
)
wasserstein = Game(
    lambda real, fake: fake - real, lambda real, fake: -fake
)  # Arjovsky et al. 2017, arXiv:1701.07875
relativistic = (
    Game(  # Jolicoeur-Martineau 2019, arXiv:1807.00734; Huang et al. 2024, arXiv:2501.05441, eq. 2
        lambda real, fake: softplus(fake - real), lambda real, fake: softplus(real - fake)
    )
)


def expected(game: Game) -> Game:
    """The game where an example is a distribution over K atoms and its losses are the exact means
    over draws of it.

    The discriminator gives (the logits of the atoms [K], the distribution [K]); the logit is its
    mean.
    """

    def mean(loss):
        pairs = jax.vmap(jax.vmap(loss, (None, 0)), (0, None))  # [K, K]
        return lambda real, fake: real[1] @ pairs(real[0], fake[0]) @ fake[1]

    return Game(
        mean(game.discriminator), mean(game.generator), lambda output: output[0] @ output[1]
    )


# (key, critic, real [B, ...], fake [B, ...]) -> nats [B], of a critic x [B, ...] -> logit [B]
Penalty = Callable[[Key, Callable[[Array], Array], Array, Array], Array]


def slopes(critic: Callable[[Array], Array], x: Array) -> Array:
    """The gradient of each example's logit with respect to the example, [B, ...] for x [B, ...].

    It is the example's row of the gradient of the sum of logits, since no example sees another.
    """
    return jax.grad(lambda x: jnp.sum(critic(x)))(x)


def gradient_penalty(weight: float) -> Penalty:
    """weight (||slope|| - 1)^2 between a real and a generated example; ValueError: weight < 0.

    Gulrajani et al. 2017, arXiv:1704.00028, eq. 3.
    """
    _refuse_negative('weight', weight)

    def penalise(key, critic, real, fake):
        share = jax.vmap(jax.random.uniform)(example_keys(key, len(real)))
        between = jax.vmap(lambda share, x, y: share * x + (1 - share) * y)(share, real, fake)
        return (
            weight
            * (jax.vmap(lambda slope: optax.safe_norm(slope, 1e-12))(slopes(critic, between)) - 1)
            ** 2
        )

    return penalise


def r1(gamma: float) -> Penalty:
    """gamma/2 ||slope||^2 at real examples; ValueError: gamma < 0 (Mescheder et al. 2018,
    arXiv:1801.04406 eq. 9)."""
    return _squared_slope(gamma, lambda real, fake: real)


def r2(gamma: float) -> Penalty:
    """gamma/2 ||slope||^2 at generated examples; ValueError: gamma < 0 (the same, eq. 10)."""
    return _squared_slope(gamma, lambda real, fake: fake)


def _squared_slope(gamma, choose):
    _refuse_negative('gamma', gamma)
    half = lambda slope: gamma / 2 * jnp.sum(slope**2)
    return lambda key, critic, real, fake: jax.vmap(half)(slopes(critic, choose(real, fake)))


def _refuse_negative(name, number):
    if not number >= 0:
        raise ValueError(f'{name} is {number}; a penalty needs at least 0')
