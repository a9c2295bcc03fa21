"""Generative adversarial networks: the players, the games, the penalties, and the update."""

from genjax.algorithms.gan.games import (
    Game,
    expected,
    hinge,
    least_squares,
    minimax,
    non_saturating,
    relativistic,
    wasserstein,
)
from genjax.algorithms.gan.gan import gan, saturation
from genjax.algorithms.gan.penalties import Penalty, gradient_penalty, r1, r2
from genjax.algorithms.gan.players import REFERENCE, Model, Player, State, sample_latents

__all__ = [
    'REFERENCE',
    'Game',
    'Model',
    'Penalty',
    'Player',
    'State',
    'expected',
    'gan',
    'gradient_penalty',
    'hinge',
    'least_squares',
    'minimax',
    'non_saturating',
    'r1',
    'r2',
    'relativistic',
    'sample_latents',
    'saturation',
    'wasserstein',
]
