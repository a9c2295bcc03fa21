"""Samplers: from noise x_T to data x_0, each a function (key, denoise, x_T) -> x_0."""

from genjax.algorithms.diffusion.samplers.multistep import dpm_solver, unipc
from genjax.algorithms.diffusion.samplers.reverse_chain import reverse_chain
from genjax.algorithms.diffusion.samplers.second_order import churn, heun, rescaled
from genjax.algorithms.diffusion.samplers.single_step import (
    ancestral,
    ddim,
    euler,
    euler_maruyama,
)
from genjax.algorithms.diffusion.samplers.steps import Denoise, Linear, Sampler, frame_times, linear

__all__ = [
    'Denoise',
    'Linear',
    'Sampler',
    'ancestral',
    'churn',
    'ddim',
    'dpm_solver',
    'euler',
    'euler_maruyama',
    'frame_times',
    'heun',
    'linear',
    'rescaled',
    'reverse_chain',
    'unipc',
]
