"""Autoencoders with discrete codes: finite scalar and vector quantisation, and a prior of codes."""

from genjax.algorithms.discrete_codes.discrete_codes import Model, discrete_codes
from genjax.algorithms.discrete_codes.fsq import fsq
from genjax.algorithms.discrete_codes.prior import with_prior
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
    'with_prior',
]
