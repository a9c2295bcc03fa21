"""word2vec: skip-gram and CBOW, with negative sampling or the full softmax."""

from genjax.algorithms.word2vec.outputs import Output, full_softmax, negative_sampling
from genjax.algorithms.word2vec.steps import add_clipped_steps, add_steps, linear_rate
from genjax.algorithms.word2vec.windows import Architecture, cbow, skip_gram
from genjax.algorithms.word2vec.word2vec import Vectors, keep_probability, pair_loss, word2vec

__all__ = [
    'Architecture',
    'Output',
    'Vectors',
    'add_clipped_steps',
    'add_steps',
    'cbow',
    'full_softmax',
    'keep_probability',
    'linear_rate',
    'negative_sampling',
    'pair_loss',
    'skip_gram',
    'word2vec',
]
