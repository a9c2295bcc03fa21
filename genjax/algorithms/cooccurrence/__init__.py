"""Word vectors by counting: window counts; pointwise mutual information and an SVD, or GloVe."""

from genjax.algorithms.cooccurrence.association import pmi, ppmi
from genjax.algorithms.cooccurrence.cooccurrence import cooccurrence
from genjax.algorithms.cooccurrence.glove import entries, glove, power_weight
from genjax.algorithms.cooccurrence.pairs import dynamic, harmonic, pairs, uniform
from genjax.algorithms.cooccurrence.sparse import SparseMatrix, count_matrix, svd, to_scipy
from genjax.algorithms.cooccurrence.vectors import svd_vectors

__all__ = [
    'SparseMatrix',
    'cooccurrence',
    'count_matrix',
    'dynamic',
    'entries',
    'glove',
    'harmonic',
    'pairs',
    'pmi',
    'power_weight',
    'ppmi',
    'svd',
    'svd_vectors',
    'to_scipy',
    'uniform',
]
