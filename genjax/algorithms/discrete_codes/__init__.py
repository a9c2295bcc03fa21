"""Autoencoders with discrete codes: finite scalar and vector quantisation."""

from genjax.algorithms.discrete_codes.discrete_codes import Model, discrete_codes
from genjax.algorithms.discrete_codes.fsq import fsq
from genjax.algorithms.discrete_codes.quantiser import Quantised, Quantiser, straight_through
from genjax.algorithms.discrete_codes.vq import vq

__all__ = [
    'Model',
    'Quantised',
    'Quantiser',
    'discrete_codes',
    'fsq',
    'straight_through',
    'vq',
]
