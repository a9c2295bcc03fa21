"""Every score of word vectors at once: similarity sets and analogies."""

from collections.abc import Mapping, Sequence

from genjax.base import Embedding
from genjax.metrics.analogies import RESTRICT, Question, analogy_table
from genjax.metrics.nearest import CaseFold
from genjax.metrics.similarity import Pair, similarity

MEAN_OF = ('men', 'wordsim353', 'simlex999', 'analogies')


def scores(
    embedding: Embedding,
    similarity_sets: Mapping[str, Sequence[Pair]],
    questions: Sequence[Question] = (),
    *,
    restrict: int = RESTRICT,
    casefold: CaseFold = str.upper,
) -> dict[str, float]:
    """Every figure as a flat dict of numbers; `scores(embedding, *read_sets(folder))`.

    Args:
      embedding: V words.
      similarity_sets: word pairs with human scores, by the name of the set.
      questions: analogies.
      restrict: words, the first of the vocabulary, of the restricted analogies.
      casefold: `str` tells capitals apart.

    Returns:
      For each similarity set its Spearman correlation, under its own name, and `NAME_coverage`.
      With questions, those of `analogy_table` under `analogies_...`, and `analogies`, which is
      `analogies_restricted_add`. Where all of MEAN_OF are there, `mean` of them: one figure to
      compare models by.
    """
    numbers = {}
    for name, pairs in similarity_sets.items():
        correlations = similarity(embedding, pairs, casefold=casefold)
        numbers[name] = correlations['spearman']
        numbers[f'{name}_coverage'] = correlations['coverage']
    if questions:
        _, shares = analogy_table(embedding, questions, restrict=restrict, casefold=casefold)
        numbers['analogies'] = shares['restricted_add']
        for name, share in shares.items():
            numbers[f'analogies_{name}'] = share
    if set(MEAN_OF) <= set(numbers):
        numbers['mean'] = sum(numbers[name] for name in MEAN_OF) / len(MEAN_OF)
    return numbers
