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
from genjax.algorithms.diffusion.samplers.steps import (
    Denoise,
    Sampler,
    Table,
    frame_times,
    sampler_of,
)

__all__ = [
    'Denoise',
    'Sampler',
    'Table',
    'ancestral',
    'churn',
    'ddim',
    'dpm_solver',
    'euler',
    'euler_maruyama',
    'frame_times',
    'heun',
    'rescaled',
    'reverse_chain',
    'sampler_of',
    'unipc',
]
