"""What word vectors know: similarity as people see it, and analogies.

Words of a test set are found in a vocabulary by their folded form, by default in capitals, as
gensim does. Of several words with one form the first stands for all, which is the most frequent in
the usual order. `fold=str` tells capitals apart. Figures are shares in [0, 1] or correlations in
[-1, 1], and NaN where nothing was there to compare.

Letters: V words, D dimensions, Q questions, U different words of theirs.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import Embedding
from genjax.metrics.nearest import BLOCK, Fold, index_of, matmul, unit

Pair = tuple[str, str, float]  # two words and people's score
Question = tuple[str, str, str, str, str]  # category, a, b, c, d: a is to b as c is to d
Score = Callable[
    [jax.Array, jax.Array, jax.Array], jax.Array
]  # cosines of x with a, b and c -> how well x answers

COLUMNS = (
    2048  # words of the vocabulary at a time: what is at hand stays in the cache, and memory small
)
RESTRICT = 30_000  # words, the first of the vocabulary, that analogies are commonly asked of
MEAN_OF = ('men', 'wordsim353', 'simlex999', 'analogies')


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """The linear correlation of x and y, [N] each; NaN, undefined, where one does not vary."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """The correlation of the ranks of x and y, [N] each; equal values share the mean of their
    ranks."""
    return pearson(_ranks(x), _ranks(y))


def _ranks(x):
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def similarity(
    embedding: Embedding, pairs: Sequence[Pair], *, fold: Fold = str.upper
) -> dict[str, float]:
    """How cosines of word pairs go with people's scores, over the pairs of which both words are
    known.

    Returns:
      `spearman` and `pearson`, in [-1, 1] or NaN where undefined; `coverage`, the share of pairs
      known; `pairs`, their number. gensim's evaluate_word_pairs gives the same where its
      restrict_vocab is not below V.
    """
    index = index_of(embedding.words, fold)
    known = [pair for pair in pairs if fold(pair[0]) in index and fold(pair[1]) in index]
    left, right = (np.array([index[fold(pair[side])] for pair in known], int) for side in (0, 1))
    a, b = (unit(jnp.asarray(embedding.vectors[places], jnp.float32)) for places in (left, right))
    cosines, scores = np.asarray((a * b).sum(-1)), np.array([pair[2] for pair in known])
    coverage = len(known) / len(pairs) if pairs else 0.0
    correlations = {'spearman': spearman(cosines, scores), 'pearson': pearson(cosines, scores)}
    return correlations | {'coverage': coverage, 'pairs': len(known)}


def three_cos_add(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
    """cos(x, b) - cos(x, a) + cos(x, c): 3CosAdd (Mikolov et al. 2013; Levy and Goldberg 2014,
    W14-1618, eq. 3)."""
    return b - a + c


def three_cos_mul(a: jax.Array, b: jax.Array, c: jax.Array, epsilon: float = 1e-3) -> jax.Array:
    """cos(x, b) cos(x, c) / (cos(x, a) + epsilon): 3CosMul (Levy and Goldberg 2014, W14-1618, eq.
    4).

    Cosines are shifted to [0, 1] as their footnote 7 says: (cos + 1) / 2.
    """
    return (1 + b) * (1 + c) / (4 * ((1 + a) / 2 + epsilon))


class Section(NamedTuple):
    """What came of the analogies of a category."""

    category: str
    right: int
    answered: int  # of which all four words are known
    asked: int


def analogies(
    embedding: Embedding,
    questions: Sequence[Question],
    *,
    restrict: int | None = RESTRICT,
    score: Score = three_cos_add,
    fold: Fold = str.upper,
) -> list[Section]:
    """Answers analogies by the word x with the largest score, and counts the right ones, category
    by category.

    Neither a, b and c nor words that fold to one of them are answers. Of equal scores the earlier
    word's counts. A word that folds to d is right. gensim's evaluate_word_analogies counts the
    same, among its five best words.

    Args:
      restrict: how many words, the first of the vocabulary, are known: as question or as answer.
        None: all.
    """
    words = embedding.words[:restrict]
    index = index_of(words, fold)
    ids = [[index.get(fold(word), -1) for word in question[1:]] for question in questions]
    ids = np.array(ids, np.int32).reshape(-1, 4)
    known = (ids >= 0).all(1)
    right = np.zeros(len(ids), bool)
    if known.any():
        forms = np.array([index[fold(word)] for word in words], np.int32)
        table = jnp.asarray(embedding.vectors[:restrict], jnp.float32)
        distinct, rows = np.unique(ids[known, :3], return_inverse=True)
        found = _answers(table, forms, distinct, rows.reshape(-1, 3).astype(np.int32), score)
        right[known] = np.asarray(found) == ids[known, 3]
    category = np.array([question[0] for question in questions])
    count = lambda which, name: int(which[category == name].sum())
    ones = np.ones_like(known)
    return [
        Section(name, *(count(x, name) for x in (right, known, ones)))
        for name in dict.fromkeys(category.tolist())
    ]


@partial(jax.jit, static_argnames='score')
def _answers(vectors, forms, distinct, rows, score):
    """The forms [Q] that answer questions [Q, 3], given as places among the distinct words [U].

    Few words make many questions, so their cosines are computed once, and a question combines three
    rows of them.
    """
    table = unit(vectors)
    queries, asked = table[distinct], _blocks(rows, BLOCK)
    given = forms[distinct][asked]  # [.., BLOCK, 3]

    def among(columns):
        vectors, forms = columns
        cosines = matmul(queries, vectors.T)  # [U, COLUMNS]

        def best(block):
            rows, given = block
            scores = score(*(cosines[rows[:, i]] for i in range(3)))
            for i in range(3):
                scores = jnp.where(forms[None] == given[:, i, None], -jnp.inf, scores)
            top = scores.max(
                1, keepdims=True
            )  # with min below, several times as fast as argmax on a CPU
            return top[:, 0], jnp.where(
                (scores == top) & (top > -jnp.inf), forms[None], len(table)
            ).min(1)

        return jax.lax.map(best, (asked, given))

    tops, found = jax.lax.map(among, (_blocks(table, COLUMNS), _blocks(forms, COLUMNS)))
    return (
        jnp.where(tops == tops.max(0, keepdims=True), found, len(table))
        .min(0)
        .reshape(-1)[: len(rows)]
    )


def _blocks(x, size):
    """x [N, ...] as [blocks, size, ...]; its last row fills the last block, which changes no
    maximum."""
    filled = jnp.pad(x, [(0, -len(x) % size)] + [(0, 0)] * (x.ndim - 1), mode='edge')
    return filled.reshape(-1, size, *x.shape[1:])


def accuracies(sections: Sequence[Section]) -> dict[str, float]:
    """Shares over categories: `accuracy` of the answers that are right, `coverage` of the questions
    that are answered.

    `semantic` and `syntactic` are the accuracies of the two kinds; the names of syntactic
    categories begin with gram.
    """
    asked, answered = (
        sum(getattr(section, count) for section in sections) for count in ('asked', 'answered')
    )
    syntactic = [section for section in sections if section.category.startswith('gram')]
    semantic = [section for section in sections if section not in syntactic]
    kinds = {'accuracy': sections, 'semantic': semantic, 'syntactic': syntactic}
    return {name: _accuracy(kind) for name, kind in kinds.items()} | {
        'coverage': answered / asked if asked else 0.0
    }


def _accuracy(sections):
    answered = sum(section.answered for section in sections)
    return sum(section.right for section in sections) / answered if answered else math.nan


def analogy_table(
    embedding: Embedding,
    questions: Sequence[Question],
    *,
    restrict: int = RESTRICT,
    fold: Fold = str.upper,
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Analogies by 3CosAdd and 3CosMul, over the first `restrict` words and over all.

    Returns:
      A table with a row for each category; and numbers, `restricted_add`,
      `restricted_add_semantic`, `restricted_add_syntactic`, the same with `mul` and with `whole`,
      `restricted_coverage` and `whole_coverage`.
    """
    ranges = {'restricted': restrict, 'whole': None}
    rules = {'add': three_cos_add, 'mul': three_cos_mul}
    rows, numbers = {}, {}
    for (where, size), (rule, score) in itertools.product(ranges.items(), rules.items()):
        sections = analogies(embedding, questions, restrict=size, score=score, fold=fold)
        found, name = accuracies(sections), f'{where}_{rule}'
        numbers |= {name: found['accuracy'], f'{where}_coverage': found['coverage']}
        numbers |= {f'{name}_{kind}': found[kind] for kind in ('semantic', 'syntactic')}
        for section in sections:
            row = rows.setdefault(
                section.category, {'category': section.category, 'asked': section.asked}
            )
            row |= {f'{where}_answered': section.answered, name: f'{_accuracy([section]):.3f}'}
    return list(rows.values()), numbers


def scores(
    embedding: Embedding,
    similarity_sets: Mapping[str, Sequence[Pair]],
    questions: Sequence[Question] = (),
    *,
    restrict: int = RESTRICT,
    fold: Fold = str.upper,
) -> dict[str, float]:
    """Every figure as a flat dict of numbers, such as a probe returns; `scores(embedding,
    *read_sets(folder))`.

    Returns:
      For each similarity set its Spearman correlation, under its own name, and `NAME_coverage`.
      With questions, those of `analogy_table` under `analogies_...`, and `analogies`, which is
      `analogies_restricted_add`. Where all of
      MEAN_OF are there, `mean` of them: one figure to compare models by.
    """
    numbers = {}
    for name, pairs in similarity_sets.items():
        found = similarity(embedding, pairs, fold=fold)
        numbers |= {name: found['spearman'], f'{name}_coverage': found['coverage']}
    if questions:
        _, found = analogy_table(embedding, questions, restrict=restrict, fold=fold)
        numbers |= {'analogies': found['restricted_add']} | {
            f'analogies_{name}': x for name, x in found.items()
        }
    if set(MEAN_OF) <= set(numbers):
        numbers['mean'] = sum(numbers[name] for name in MEAN_OF) / len(MEAN_OF)
    return numbers
