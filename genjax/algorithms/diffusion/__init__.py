"""Denoising diffusion: the process, its samplers, its likelihood, and DDPM."""

from genjax.algorithms.diffusion.ddpm import ddpm, losses, predictor, sample_with
from genjax.algorithms.diffusion.likelihood import (
    bound,
    decoder_log_likelihood,
    prior_term,
    step_term,
)
from genjax.algorithms.diffusion.process import (
    Predict,
    Process,
    cosine_schedule,
    fixed_large,
    fixed_small,
    forward_frames,
    linear_schedule,
    make_process,
    posterior_mean,
    predict_x0,
    q_sample,
)
from genjax.algorithms.diffusion.samplers import (
    Denoise,
    Sampler,
    ancestral,
    ancestral_frames,
    ddim,
    heun,
    interpolate,
    make_denoise,
)

__all__ = [
    'Denoise',
    'Predict',
    'Process',
    'Sampler',
    'ancestral',
    'ancestral_frames',
    'bound',
    'cosine_schedule',
    'ddim',
    'ddpm',
    'decoder_log_likelihood',
    'fixed_large',
    'fixed_small',
    'forward_frames',
    'heun',
    'interpolate',
    'linear_schedule',
    'losses',
    'make_denoise',
    'make_process',
    'posterior_mean',
    'predict_x0',
    'predictor',
    'prior_term',
    'q_sample',
    'sample_with',
    'step_term',
]
