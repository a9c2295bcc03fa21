"""Masked diffusion of discrete data: schedules, bounds, samplers, infilling."""

from genjax.algorithms.masked_diffusion.bounds import (
    Bound,
    Hiding,
    Predict,
    by_number,
    continuous,
    each_by_itself,
    finite,
    text_losses,
)
from genjax.algorithms.masked_diffusion.masked_diffusion import infilled, masked_diffusion
from genjax.algorithms.masked_diffusion.samplers import Sampler, ancestral, random_order
from genjax.algorithms.masked_diffusion.schedules import Schedule, cosine, linear, polynomial

__all__ = [
    'Bound',
    'Hiding',
    'Predict',
    'Sampler',
    'Schedule',
    'ancestral',
    'by_number',
    'continuous',
    'cosine',
    'each_by_itself',
    'finite',
    'infilled',
    'linear',
    'masked_diffusion',
    'polynomial',
    'random_order',
    'text_losses',
]
