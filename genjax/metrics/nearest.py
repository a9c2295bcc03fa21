"""Words by name and by direction: where a word is in a vocabulary, and which vectors lie nearest.

Two vectors are compared by their cosine, 0 where one of them has length zero.

Letters: V words, D dimensions, Q queries, E of them left out.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import Embedding

Fold = Callable[[str], str]  # words with one folded form are taken for one; `str` keeps all apart

BLOCK = 512  # queries at a time

matmul = partial(
    jnp.matmul, precision=jax.lax.Precision.HIGHEST
)  # accelerators would round the cosines


def index_of(words: Sequence[str], fold: Fold = str) -> dict[str, int]:
    """The place of each folded word, of the first where several fold to one."""
    return {fold(word): i for i, word in reversed(list(enumerate(words)))}


def lookup(index: Mapping[str, int], word: str) -> int:
    """The place of a word.

    Raises:
      ValueError: there is no such word; the line offers those spelt most like it.
    """
    if word in index:
        return index[word]
    close = difflib.get_close_matches(word, index, n=3)
    offer = f'; close are {", ".join(map(repr, close))}' if close else ''
    raise ValueError(f'{word!r} is not in the vocabulary{offer}')


@jax.jit
def unit(vectors: jax.Array) -> jax.Array:
    """Vectors [..., D] at length 1; those of length 0 stay."""
    length = jnp.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / jnp.where(length > 0, length, 1)


def nearest(
    vectors: Any, queries: Any, k: int, exclude: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k vectors at the largest cosines to each query, the largest first.

    Args:
      vectors: [V, D].
      queries: [Q, D].
      exclude: int [Q, E], places 0 to V - 1 that are not to be found, such as the query's own.

    Returns:
      Their places, int32 [Q, k], and cosines, float32 [Q, k].

    Raises:
      ValueError: k is below 1 or more than may be found.
    """
    exclude = (
        np.zeros((len(queries), 0), np.int32) if exclude is None else np.asarray(exclude, np.int32)
    )
    if not 1 <= k <= len(vectors) - exclude.shape[1]:
        raise ValueError(
            f'k is {k}; {len(vectors)} vectors less {exclude.shape[1]} allow 1 to their difference'
        )
    found = _nearest(
        jnp.asarray(vectors, jnp.float32), jnp.asarray(queries, jnp.float32), exclude, k
    )
    return jax.device_get(found)


@partial(jax.jit, static_argnames='k')
def _nearest(vectors, queries, exclude, k):
    table = unit(vectors)

    def one(query):
        vector, excluded = query
        cosines = matmul(table, unit(vector)).at[excluded].set(-jnp.inf)
        best, places = jax.lax.top_k(cosines, k)
        return places, best

    return jax.lax.map(one, (queries, exclude), batch_size=BLOCK)


def neighbours(
    embedding: Embedding, words: Sequence[str], k: int = 10
) -> list[list[tuple[str, float]]]:
    """The k words nearest to each word, itself left out, with their cosines.

    Raises:
      ValueError: a word is not in the vocabulary, or k is more than the other words.
    """
    index = index_of(embedding.words)
    places = np.array([lookup(index, word) for word in words], np.int32)
    near, cosines = nearest(embedding.vectors, embedding.vectors[places], k, places[:, None])
    named = lambda row, values: [
        (embedding.words[i], float(c)) for i, c in zip(row, values, strict=True)
    ]
    return [named(row, values) for row, values in zip(near, cosines, strict=True)]
