"""Analogies of word vectors: a is to b as c is to what?

Words of questions are looked up by their folded form, by default in capitals, as gensim does. Of
several words with one form the first counts for all, which is the most frequent in the usual order.
Figures are shares in [0, 1], and NaN where there was nothing to answer.

Letters: V words, D dimensions, Q questions, U different words of theirs.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import Embedding
from genjax.metrics.nearest import BLOCK, CaseFold, index_of, matmul, unit_vectors

Question = tuple[str, str, str, str, str]  # category, a, b, c, d: a is to b as c is to d
# Cosines of a word x with a, b and c -> the score of x as an answer
AnalogyScore = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]

COLUMNS = 2048  # words of the vocabulary at a time, so that their cosines stay in the cache
RESTRICT = 30_000  # words, the first of the vocabulary, that analogies are commonly restricted to


class Section(NamedTuple):
    """The results of a category of analogies."""

    category: str
    right: int
    answered: int  # of which all four words are known
    asked: int


def three_cos_add(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
    """3CosAdd, cos(x, b) - cos(x, a) + cos(x, c), of the three cosines.

    Source: Mikolov et al. 2013; Levy and Goldberg 2014, W14-1618, eq. 3.
    """
    return b - a + c


def three_cos_mul(a: jax.Array, b: jax.Array, c: jax.Array, epsilon: float = 1e-3) -> jax.Array:
    """3CosMul, cos(x, b) cos(x, c) / (cos(x, a) + epsilon), of the three cosines.

    Cosines are shifted to [0, 1], (cos + 1) / 2. Source: Levy and Goldberg 2014, W14-1618, eq. 4
    and footnote 7.
    """
    return (1 + b) * (1 + c) / (4 * ((1 + a) / 2 + epsilon))


def analogies(
    embedding: Embedding,
    questions: Sequence[Question],
    *,
    restrict: int | None = RESTRICT,
    score: AnalogyScore = three_cos_add,
    casefold: CaseFold = str.upper,
) -> list[Section]:
    """Answers analogies by the word x with the largest score, and counts the right ones.

    Neither a, b and c nor words that fold to one of them are answers. Of equal scores the earlier
    word's counts. A word that folds to d is right. gensim's evaluate_word_analogies counts the
    same, among its five best words.

    Args:
      embedding: V words.
      questions: Q of them.
      restrict: how many words, the first of the vocabulary, are known: as question or as answer.
        None: all.
      score: of a word as an answer.
      casefold: `str` tells capitals apart.

    Returns:
      A section for each category.
    """
    words = embedding.words[:restrict]
    index = index_of(words, casefold)
    places = [[index.get(casefold(word), -1) for word in question[1:]] for question in questions]
    places = np.array(places, np.int32).reshape(-1, 4)  # of a, b, c and d; -1 is an unknown word
    known = (places >= 0).all(1)
    right = np.zeros(len(places), bool)
    if known.any():
        forms = np.array([index[casefold(word)] for word in words], np.int32)
        table = jnp.asarray(embedding.vectors[:restrict], jnp.float32)
        distinct, rows = np.unique(places[known, :3], return_inverse=True)
        rows = rows.reshape(-1, 3).astype(np.int32)
        answers = _answers(table, forms, distinct, rows, score)
        right[known] = np.asarray(answers) == places[known, 3]

    categories = np.array([question[0] for question in questions])
    sections = []
    for name in dict.fromkeys(categories.tolist()):
        mask = categories == name
        sections.append(
            Section(name, int(right[mask].sum()), int(known[mask].sum()), int(mask.sum()))
        )
    return sections


@partial(jax.jit, static_argnames='score')
def _answers(vectors, forms, distinct, rows, score):
    """The folded forms [Q] of the answers.

    Few words make many questions, so their cosines are computed once, and a question combines three
    rows of them.

    Args:
      vectors: [V, D].
      forms: int32 [V], the first place of each word's folded form.
      distinct: int32 [U], places of the different words of questions.
      rows: int32 [Q, 3], of a, b and c among the distinct words.
      score: of a word as an answer.
    """
    table = unit_vectors(vectors)
    queries = table[distinct]
    questions = _blocks(rows, BLOCK)
    given = forms[distinct][questions]  # [.., BLOCK, 3]

    def best_of_columns(columns):
        vectors, forms = columns
        cosines = matmul(queries, vectors.T)  # [U, COLUMNS]

        def best_of_block(block):
            rows, given = block
            scores = score(cosines[rows[:, 0]], cosines[rows[:, 1]], cosines[rows[:, 2]])
            for i in range(3):
                scores = jnp.where(forms[None] == given[:, i, None], -jnp.inf, scores)
            # max and min are together several times as fast as argmax on a CPU.
            top = scores.max(1, keepdims=True)
            is_best = (scores == top) & (top > -jnp.inf)
            return top[:, 0], jnp.where(is_best, forms[None], len(table)).min(1)

        return jax.lax.map(best_of_block, (questions, given))

    columns = (_blocks(table, COLUMNS), _blocks(forms, COLUMNS))
    tops, answers = jax.lax.map(best_of_columns, columns)
    is_best = tops == tops.max(0, keepdims=True)
    return jnp.where(is_best, answers, len(table)).min(0).reshape(-1)[: len(rows)]


def _blocks(x, size):
    """x [N, ...] as [blocks, size, ...].

    Its last row fills the last block, which changes no maximum.
    """
    filled = jnp.pad(x, [(0, -len(x) % size)] + [(0, 0)] * (x.ndim - 1), mode='edge')
    return filled.reshape(-1, size, *x.shape[1:])


def accuracies(sections: Sequence[Section]) -> dict[str, float]:
    """Shares over categories.

    Returns:
      `accuracy`, the share of the answers that are right; `semantic` and `syntactic`, the same of
      the two kinds, where the names of syntactic categories begin with gram; `coverage`, the share
      of the questions that are answered.
    """
    asked = sum(section.asked for section in sections)
    answered = sum(section.answered for section in sections)
    syntactic = [section for section in sections if section.category.startswith('gram')]
    semantic = [section for section in sections if section not in syntactic]
    return {
        'accuracy': _accuracy(sections),
        'semantic': _accuracy(semantic),
        'syntactic': _accuracy(syntactic),
        'coverage': answered / asked if asked else 0.0,
    }


def _accuracy(sections):
    right = sum(section.right for section in sections)
    answered = sum(section.answered for section in sections)
    return right / answered if answered else math.nan


def analogy_table(
    embedding: Embedding,
    questions: Sequence[Question],
    *,
    restrict: int = RESTRICT,
    casefold: CaseFold = str.upper,
) -> tuple[list[dict[str, str | int]], dict[str, float]]:
    """Analogies by 3CosAdd and 3CosMul, over the first `restrict` words and over all.

    Returns:
      A table with a row for each category; and numbers, `restricted_add`,
      `restricted_add_semantic`, `restricted_add_syntactic`, the same with `mul` and with `whole`,
      `restricted_coverage` and `whole_coverage`.
    """
    rows = {}
    numbers = {}
    for range_name, size in (('restricted', restrict), ('whole', None)):
        for rule, score in (('add', three_cos_add), ('mul', three_cos_mul)):
            sections = analogies(
                embedding, questions, restrict=size, score=score, casefold=casefold
            )
            shares = accuracies(sections)
            name = f'{range_name}_{rule}'
            numbers[name] = shares['accuracy']
            numbers[f'{range_name}_coverage'] = shares['coverage']
            numbers[f'{name}_semantic'] = shares['semantic']
            numbers[f'{name}_syntactic'] = shares['syntactic']
            for section in sections:
                empty_row = {'category': section.category, 'asked': section.asked}
                row = rows.setdefault(section.category, empty_row)
                row[f'{range_name}_answered'] = section.answered
                row[name] = f'{_accuracy([section]):.3f}'
    return list(rows.values()), numbers
