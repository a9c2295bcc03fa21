"""Gaussian mixtures by EM: `mixture` is the algorithm, its parts are free functions."""

from genjax.algorithms.mixture.covariances import Covariance, diagonal, full, tied
from genjax.algorithms.mixture.density import Mixture, from_covariances, log_joint
from genjax.algorithms.mixture.em import Statistics, e_step, m_step
from genjax.algorithms.mixture.mixture import Estimate, mixture
from genjax.algorithms.mixture.selection import bic, parameters
from genjax.algorithms.mixture.starts import hard_start
from genjax.algorithms.mixture.unconstrained import unconstrained

__all__ = [
    'Covariance',
    'Estimate',
    'Mixture',
    'Statistics',
    'bic',
    'diagonal',
    'e_step',
    'from_covariances',
    'full',
    'hard_start',
    'log_joint',
    'm_step',
    'mixture',
    'parameters',
    'tied',
    'unconstrained',
]
