"""Normalizing flows: bijections with a known Jacobian, and the density that they make of noise.

Not flow matching, which follows an ODE and is one of `genjax/algorithms/diffusion/`.

bijections          Bijection, chain, factor_out; plain ones as squeeze, patches, logit
couplings           coupling and its masks (RealNVP), actnorm, invertible_1x1 (Glow)
tokens              autoregressive_affine: each token given those before it (TarFlow)
noise               what is added to data, and how it is taken off samples again
normalizing_flow    normalizing_flow: the algorithm; log_density, denoised
"""

from genjax.algorithms.flow.bijections import (
    Bijection,
    chain,
    factor_out,
    logit,
    marginally_normal,
    patches,
    reverse,
    squeeze,
)
from genjax.algorithms.flow.couplings import (
    actnorm,
    checkerboard,
    coupling,
    first_half,
    inverted,
    invertible_1x1,
)
from genjax.algorithms.flow.noise import Noise, gaussian_noise, no_noise, uniform_noise
from genjax.algorithms.flow.normalizing_flow import log_density, normalizing_flow
from genjax.algorithms.flow.tokens import autoregressive_affine

__all__ = [
    'Bijection',
    'Noise',
    'actnorm',
    'autoregressive_affine',
    'chain',
    'checkerboard',
    'coupling',
    'factor_out',
    'first_half',
    'gaussian_noise',
    'inverted',
    'invertible_1x1',
    'log_density',
    'logit',
    'marginally_normal',
    'no_noise',
    'normalizing_flow',
    'patches',
    'reverse',
    'squeeze',
    'uniform_noise',
]
