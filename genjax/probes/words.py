"""Word vectors as a run reports them, and its answers to questions.

A look is a function of an Embedding that gives values to report; `seen` makes of some looks what a
Probe can hold.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from genjax.base import Embedding, Key, State
from genjax.metrics.nearest import index_of, lookup, nearest, unit
from genjax.metrics.words import Pair, Question, scores
from genjax.probes.word_figures import neighbour_table, pairs_plane

Embed = Callable[[Key, State], Embedding]
Look = Callable[[Embedding], dict[str, Any]]


def embedder(words: Sequence[str], vectors: Callable[[Key, State], jax.Array]) -> Embed:
    """From vectors, (key, state) -> [V, D], to the Embedding of the V words."""
    return lambda key, state: Embedding(words, np.asarray(vectors(key, state)))


def seen(embed: Embed, *looks: Look) -> Callable[[Key, State], dict[str, Any]]:
    """What all the looks give, of one Embedding."""

    def measure(key, state):
        embedding = embed(key, state)
        return {name: value for look in looks for name, value in look(embedding).items()}

    return measure


def knowledge(
    examples: Sequence[str],
    similarity_sets: Mapping[str, Sequence[Pair]] | None = None,
    questions: Sequence[Question] = (),
    *,
    k: int = 8,
) -> Look:
    """The k nearest neighbours of the examples, and every score on the sets and questions, if there
    are any."""

    def look(embedding):
        table = neighbour_table(embedding, examples, k)
        return scores(embedding, similarity_sets or {}, questions) | {'neighbours': table}

    return look


def capitals(embedding: Embedding) -> dict[str, Any]:
    """Countries and their capitals in the plane of their principal components."""
    return {'capitals': pairs_plane(embedding)}


def export(**writers: Callable[[Embedding], bytes]) -> Look:
    """The vectors as files, by the files' suffixes and writers, and for TensorBoard's projector."""

    def look(embedding):
        files = {f'words.{suffix}': write(embedding) for suffix, write in writers.items()}
        return files | {'projector': embedding}

    return look


def answers(embed: Embed, *, k: int = 10) -> Callable[[Key, State, str], dict[str, Any]]:
    """Answers 'king, queen' by the neighbours of each word, 'king - man + woman' by those of the
    sum.

    What is asked with is left out of the answer. Vectors are added at length 1 (3CosAdd, Mikolov et
    al. 2013).

    Raises:
      ValueError: a word is not in the vocabulary; the line offers close spellings.
    """

    def answer(key, state, question):
        embedding = embed(key, state)
        index = index_of(embedding.words)
        table = []
        for part in map(str.strip, question.split(',')):
            first, *rest = re.split(r'\s+([+-])\s*', part)
            signs = np.array(
                [1.0, *(1.0 if sign == '+' else -1.0 for sign in rest[::2])], np.float32
            )
            places = np.array([lookup(index, word) for word in (first, *rest[1::2])])
            direction = signs @ np.asarray(unit(embedding.vectors[places]))
            (found,), (cosines,) = nearest(embedding.vectors, direction[None], k, places[None])
            near = [f'{embedding.words[i]} {c:.2f}' for i, c in zip(found, cosines, strict=True)]
            table.append({'question': part, 'answer': ', '.join(near)})
        return {'answers': table}

    return answer
