"""Words by name and by direction: the place of a word in a vocabulary, and the nearest vectors.

Two vectors are compared by their cosine, 0 where one of them has length zero.

Letters: V words, D dimensions, Q queries, E of them left out.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from genjax.base import Embedding

CaseFold = Callable[[str], str]  # words with one folded form count as one; `str` keeps all apart

BLOCK = 512  # queries at a time

# Accelerators would round the cosines.
matmul = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def index_of(words: Sequence[str], casefold: CaseFold = str) -> dict[str, int]:
    """The place of each folded word, of the first where several fold to one."""
    places = {}
    for place, word in enumerate(words):
        places.setdefault(casefold(word), place)
    return places


def lookup(index: Mapping[str, int], word: str) -> int:
    """The place of a word.

    Raises:
      ValueError: there is no such word; the line suggests the closest spellings.
    """
    if word in index:
        return index[word]
    close = difflib.get_close_matches(word, index, n=3)
    suggestion = f'; close are {", ".join(map(repr, close))}' if close else ''
    raise ValueError(f'{word!r} is not in the vocabulary{suggestion}')


@jax.jit
def unit_vectors(vectors: jax.Array) -> jax.Array:
    """Vectors [..., D] scaled to length 1; those of length 0 stay."""
    length = jnp.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / jnp.where(length > 0, length, 1)


def nearest(
    vectors: ArrayLike, queries: ArrayLike, k: int, exclude: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k vectors at the largest cosines to each query, the largest first.

    Args:
      vectors: [V, D].
      queries: [Q, D].
      k: how many for each query.
      exclude: int [Q, E], places 0 to V - 1 that are no answer, such as the query's own.

    Returns:
      Their places, int32 [Q, k], and cosines, float32 [Q, k].

    Raises:
      ValueError: k is below 1 or more than the vectors that are not excluded.
    """
    if exclude is None:
        exclude = np.zeros((len(queries), 0), np.int32)
    exclude = np.asarray(exclude, np.int32)
    if not 1 <= k <= len(vectors) - exclude.shape[1]:
        raise ValueError(
            f'k is {k}; {len(vectors)} vectors less {exclude.shape[1]} allow 1 to their difference'
        )
    vectors = jnp.asarray(vectors, jnp.float32)
    queries = jnp.asarray(queries, jnp.float32)
    return jax.device_get(_nearest(vectors, queries, exclude, k))


@partial(jax.jit, static_argnames='k')
def _nearest(vectors, queries, exclude, k):
    table = unit_vectors(vectors)

    def nearest_to(query_and_excluded):
        query, excluded = query_and_excluded
        cosines = matmul(table, unit_vectors(query)).at[excluded].set(-jnp.inf)
        best, places = jax.lax.top_k(cosines, k)
        return places, best

    return jax.lax.map(nearest_to, (queries, exclude), batch_size=BLOCK)


def neighbours(
    embedding: Embedding, words: Sequence[str], k: int = 10
) -> list[list[tuple[str, float]]]:
    """The k words nearest to each word, without the word itself, with their cosines.

    Raises:
      ValueError: a word is not in the vocabulary, or k is more than the other words.
    """
    index = index_of(embedding.words)
    places = np.array([lookup(index, word) for word in words], np.int32)
    near, cosines = nearest(embedding.vectors, embedding.vectors[places], k, places[:, None])

    def named(row, values):
        return [(embedding.words[i], float(c)) for i, c in zip(row, values, strict=True)]

    return [named(row, values) for row, values in zip(near, cosines, strict=True)]
