"""Word vectors as a run reports them, and its answers to questions.

A summary is a function of an Embedding that gives values to report; `embedding_measure` makes of
some summaries a measure for a Probe.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from genjax.base import Embedding, Key, State
from genjax.metrics.analogies import Question
from genjax.metrics.nearest import index_of, lookup, nearest, unit_vectors
from genjax.metrics.similarity import Pair
from genjax.metrics.words import scores
from genjax.probes.figures import Measure
from genjax.probes.word_figures import neighbour_table, pairs_picture

Embed = Callable[[Key, State], Embedding]
Summary = Callable[[Embedding], dict[str, Any]]
# The vector [D] of a word that the vocabulary lacks; None where there is none
Unseen = Callable[[Key, State, str], np.ndarray | None]


def embedder(words: Sequence[str], vectors: Callable[[Key, State], jax.Array]) -> Embed:
    """(key, state) -> the Embedding of V words.

    Args:
      words: V of them.
      vectors: (key, state) -> [V, D].
    """

    def embed(key, state):
        return Embedding(words, np.asarray(vectors(key, state)))

    return embed


def embedding_measure(embed: Embed, *summaries: Summary) -> Measure:
    """The values of all summaries, of one Embedding."""

    def measure(key, state):
        embedding = embed(key, state)
        values = {}
        for summary in summaries:
            values |= summary(embedding)
        return values

    return measure


def neighbours_and_scores(
    examples: Sequence[str],
    similarity_sets: Mapping[str, Sequence[Pair]] | None = None,
    questions: Sequence[Question] = (),
    *,
    k: int = 8,
) -> Summary:
    """Nearest neighbours of examples, and every score on sets and questions, if there are any.

    Args:
      examples: words whose neighbours are shown.
      similarity_sets: word pairs with human scores, by the name of the set.
      questions: analogies.
      k: neighbours of each example.
    """

    def summary(embedding):
        table = neighbour_table(embedding, examples, k)
        return scores(embedding, similarity_sets or {}, questions) | {'neighbours': table}

    return summary


def capitals(embedding: Embedding) -> dict[str, Any]:
    """Countries and their capitals in the plane of their principal components."""
    return {'capitals': pairs_picture(embedding)}


def export(**writers: Callable[[Embedding], bytes]) -> Summary:
    """The vectors as files, and for TensorBoard's projector.

    Args:
      writers: by the suffix of their file, Embedding -> its content.
    """

    def summary(embedding):
        files = {f'words.{suffix}': write(embedding) for suffix, write in writers.items()}
        return files | {'projector': embedding}

    return summary


def unseen_neighbours(
    embed: Embed, unseen: Unseen, examples: Sequence[str], *, k: int = 8
) -> Measure:
    """The nearest words of examples that need not be in the vocabulary.

    Args:
      embed: (key, state) -> Embedding.
      unseen: gives them vectors, as of `answers`.
      examples: words.
      k: neighbours of each.
    """
    answer = answers(embed, k=k, unseen=unseen)

    def measure(key, state):
        rows = []
        for word in examples:
            try:
                (row,) = answer(key, state, word)['answers']
            except ValueError as error:
                row = {'answer': str(error)}
            rows.append({'word': word, 'neighbours': row['answer']})
        return {'unseen': rows}

    return measure


def answers(
    embed: Embed, *, k: int = 10, unseen: Unseen | None = None
) -> Callable[[Key, State, str], dict[str, Any]]:
    """Answers questions about words by nearest neighbours.

    'king, queen' is answered by the neighbours of each word, 'king - man + woman' by those of the
    sum. The words of a question are no answers. Vectors are added at length 1 (3CosAdd, Mikolov et
    al. 2013).

    Args:
      embed: (key, state) -> Embedding.
      k: neighbours of each part of a question.
      unseen: gives vectors to words that the vocabulary lacks, which without it are refused.

    Returns:
      (key, state, question) -> {'answers': table}, which raises a ValueError where a word is not in
      the vocabulary; the line suggests the closest spellings.
    """

    def answer(key, state, question):
        embedding = embed(key, state)
        index = index_of(embedding.words)

        def vector(word):
            found = None if unseen is None or word in index else unseen(key, state, word)
            return embedding.vectors[lookup(index, word)] if found is None else found

        table = []
        for part in map(str.strip, question.split(',')):
            words, signs = _parse_sum(part)
            vectors = np.stack([vector(word) for word in words])
            direction = signs @ np.asarray(unit_vectors(vectors))
            places = np.array([index[word] for word in words if word in index], np.int32)
            (near,), (cosines,) = nearest(embedding.vectors, direction[None], k, places[None])
            names = [f'{embedding.words[i]} {c:.2f}' for i, c in zip(near, cosines, strict=True)]
            table.append({'question': part, 'answer': ', '.join(names)})
        return {'answers': table}

    return answer


def _parse_sum(text):
    """The words of 'a - b + c', and their signs, float32."""
    first, *rest = re.split(r'\s+([+-])\s*', text)
    words = [first, *rest[1::2]]
    signs = [1.0] + [1.0 if sign == '+' else -1.0 for sign in rest[::2]]
    return words, np.array(signs, np.float32)
