"""Principal component analysis: `pca` is the algorithm, its parts are free functions."""

from genjax.algorithms.pca.components import (
    Components,
    explained_variance_ratio,
    loadings,
    noise_variance,
    principal_components,
    project,
    reconstruct,
)
from genjax.algorithms.pca.density import draw, losses
from genjax.algorithms.pca.levels import LEVEL, RESOLUTION
from genjax.algorithms.pca.moments import Moments, centred, empty, mean, merge
from genjax.algorithms.pca.pca import pca
from genjax.algorithms.pca.solvers import Solver, exact, randomised, select, selection

__all__ = [
    'LEVEL',
    'RESOLUTION',
    'Components',
    'Moments',
    'Solver',
    'centred',
    'draw',
    'empty',
    'exact',
    'explained_variance_ratio',
    'loadings',
    'losses',
    'mean',
    'merge',
    'noise_variance',
    'pca',
    'principal_components',
    'project',
    'randomised',
    'reconstruct',
    'select',
    'selection',
]
