"""word2vec: skip-gram and CBOW, with negative sampling or the full softmax; sub-words."""

from genjax.algorithms.word2vec.outputs import Output, full_softmax, negative_sampling
from genjax.algorithms.word2vec.steps import add_clipped_steps, add_steps, linear_rate
from genjax.algorithms.word2vec.subwords import Parts, mean_of_parts, sum_of_parts
from genjax.algorithms.word2vec.windows import Architecture, cbow, skip_gram
from genjax.algorithms.word2vec.word2vec import (
    Vectors,
    input_vectors,
    keep_probability,
    pair_loss,
    word2vec,
)

__all__ = [
    'Architecture',
    'Output',
    'Parts',
    'Vectors',
    'add_clipped_steps',
    'add_steps',
    'cbow',
    'full_softmax',
    'input_vectors',
    'keep_probability',
    'linear_rate',
    'mean_of_parts',
    'negative_sampling',
    'pair_loss',
    'skip_gram',
    'sum_of_parts',
    'word2vec',
]
