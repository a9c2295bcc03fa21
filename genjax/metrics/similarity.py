"""Word similarity: the correlation of cosines of word pairs with human scores.

Words of a test set are looked up by their folded form, by default in capitals, as gensim does. Of
several words with one form the first counts for all, which is the most frequent in the usual order.

Letters: N pairs.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from genjax.base import Embedding
from genjax.metrics.nearest import CaseFold, index_of, unit_vectors

Pair = tuple[str, str, float]  # two words and their human score


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """The linear correlation of x and y, [N] each; NaN, undefined, where one does not vary."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """The correlation of the ranks of x and y, [N] each.

    Equal values share the mean of their ranks. NaN, undefined, where one does not vary.
    """
    return pearson(_ranks(x), _ranks(y))


def _ranks(x):
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def similarity(
    embedding: Embedding, pairs: Sequence[Pair], *, casefold: CaseFold = str.upper
) -> dict[str, float]:
    """The correlation of cosines with human scores, over the pairs with both words known.

    gensim's evaluate_word_pairs gives the same where its restrict_vocab is not below V.

    Args:
      embedding: whose words are known.
      pairs: of the test set.
      casefold: `str` tells capitals apart.

    Returns:
      `spearman` and `pearson`, in [-1, 1] or NaN where undefined; `coverage`, the share of pairs
      known; `pairs`, their number.
    """
    index = index_of(embedding.words, casefold)
    known = [pair for pair in pairs if casefold(pair[0]) in index and casefold(pair[1]) in index]
    left = _vectors(embedding, index, [casefold(pair[0]) for pair in known])
    right = _vectors(embedding, index, [casefold(pair[1]) for pair in known])
    cosines = np.asarray((left * right).sum(-1))
    scores = np.array([pair[2] for pair in known])
    return {
        'spearman': spearman(cosines, scores),
        'pearson': pearson(cosines, scores),
        'coverage': len(known) / len(pairs) if pairs else 0.0,
        'pairs': len(known),
    }


def _vectors(embedding, index, forms):
    """The vectors of folded words at length 1, [N, D]."""
    places = np.array([index[form] for form in forms], int)
    return unit_vectors(jnp.asarray(embedding.vectors[places], jnp.float32))
