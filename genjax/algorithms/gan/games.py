"""The games that a GAN's two sides play, as losses of one real and one generated example.

A discriminator gives an example a logit, whose sigmoid is D, the probability of being real; it
learns to give real examples higher logits. Losses are in nats, [].
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import Array
from jax.nn import log_sigmoid, relu, softplus

# What the discriminator gives for one example: a logit [], or what `expected` plays with.
Output = Any
Loss = Callable[[Output, Output], Array]  # (real, fake) -> nats []


def identity(output: Array) -> Array:
    """The logit of a discriminator that gives logits."""
    return output


class Game(NamedTuple):
    """The losses of both sides.

    Attributes:
      discriminator: (its output for a real example, for a generated one) -> its loss.
      generator: likewise.
      logit: the discriminator's output -> its logit [].
    """

    discriminator: Loss
    generator: Loss
    logit: Callable[[Output], Array] = identity


def value(real: Array, fake: Array) -> Array:
    """log D(x) + log(1 - D(G(z))) of one x and one z (Goodfellow et al. 2014, eq. 1)."""
    return log_sigmoid(real) + log_sigmoid(-fake)


def _minus_value(real, fake):
    return -value(real, fake)


def _minus_log_d(real, fake):
    del real
    return softplus(-fake)


def _minus_fake(real, fake):
    del real
    return -fake


def _hinge_discriminator(real, fake):
    return relu(1 - real) + relu(1 + fake)


def _squares_discriminator(real, fake):
    return ((real - 1) ** 2 + fake**2) / 2


def _squares_generator(real, fake):
    del real
    return (fake - 1) ** 2 / 2


def _critic(real, fake):
    return fake - real


def _relativistic_discriminator(real, fake):
    return softplus(fake - real)


def _relativistic_generator(real, fake):
    return softplus(real - fake)


# min_G max_D V(D, G): Goodfellow et al. 2014, arXiv:1406.2661, equation 1.
minimax = Game(_minus_value, value)
# The same, section 3: G maximises log D(G(z)).
non_saturating = Game(_minus_value, _minus_log_d)
# Lim and Ye 2017, arXiv:1705.02894.
hinge = Game(_hinge_discriminator, _minus_fake)
# Mao et al. 2017, arXiv:1611.04076, equation 9.
least_squares = Game(_squares_discriminator, _squares_generator)
# Arjovsky et al. 2017, arXiv:1701.07875.
wasserstein = Game(_critic, _minus_fake)
# Jolicoeur-Martineau 2019, arXiv:1807.00734; Huang et al. 2024, arXiv:2501.05441, equation 2.
relativistic = Game(_relativistic_discriminator, _relativistic_generator)


def expected(game: Game) -> Game:
    """The game where an example is a distribution over K atoms, and losses are exact means.

    The discriminator gives a pair, the logits of the atoms [K] and the distribution [K]. A loss is
    the mean over independent draws of a real and a generated atom; the logit is the mean logit.
    """

    def mean_of(loss):
        all_pairs = jax.vmap(jax.vmap(loss, (None, 0)), (0, None))  # [K, K]

        def mean_loss(real, fake):
            real_logits, real_weights = real
            fake_logits, fake_weights = fake
            return real_weights @ all_pairs(real_logits, fake_logits) @ fake_weights

        return mean_loss

    def mean_logit(output):
        logits, weights = output
        return logits @ weights

    return Game(mean_of(game.discriminator), mean_of(game.generator), mean_logit)
