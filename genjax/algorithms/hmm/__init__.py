"""Hidden Markov models by EM: `hmm` is the algorithm, its parts are free functions."""

from genjax.algorithms.hmm.chain import Chain
from genjax.algorithms.hmm.covariances import diagonal, full
from genjax.algorithms.hmm.emissions import Emission, discrete
from genjax.algorithms.hmm.gaussians import Gaussians, gaussian
from genjax.algorithms.hmm.hmm import Estimate, e_step, generate, hmm, m_step
from genjax.algorithms.hmm.inference import (
    StateLikelihoods,
    forward,
    posterior,
    state_likelihoods,
    viterbi,
)
from genjax.algorithms.hmm.scans import log_product, parallel, scaled_product, sequential

__all__ = [
    'Chain',
    'Emission',
    'Estimate',
    'Gaussians',
    'StateLikelihoods',
    'diagonal',
    'discrete',
    'e_step',
    'forward',
    'full',
    'gaussian',
    'generate',
    'hmm',
    'log_product',
    'm_step',
    'parallel',
    'posterior',
    'scaled_product',
    'sequential',
    'state_likelihoods',
    'viterbi',
]
