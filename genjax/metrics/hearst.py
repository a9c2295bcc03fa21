"""Hypernyms from patterns of a text: `animals such as dogs`.

Hearst 1992, "Automatic acquisition of hyponyms from large text corpora"; Roller, Kiela and Nickel
2018, "Hearst patterns revisited" (arXiv:1806.03191), whose equation numbers are given. Their
patterns run on parsed noun phrases; here the words next to a pattern stand for the heads of theirs.

Letters: V words, N places of a text, M matches, N(x, y) how often the patterns say that x is a y.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse

HYPONYM, HYPERNYM = 'X', 'Y'  # the places of the two words in a pattern
ABSENT = -9  # the number of a word that the vocabulary lacks

# After Hearst 1992 and table 1 of Roller et al., those that need no punctuation
PATTERNS = (
    'Y such as X',
    'Y including X',
    'Y especially X',
    'such Y as X',
    'X and other Y',
    'X or other Y',
    'X and some other Y',
    'X and any other Y',
    'X is a Y',
    'X is an Y',
    'X a type of Y',
    'X a kind of Y',
    'X is a type of Y',
    'X is a kind of Y',
)


def singular_forms(words: Sequence[str]) -> np.ndarray:
    """For each word the place of its singular, where the words have one; else its own.

    A rule, not a dictionary: -ies becomes -y; -ches, -shes, -sses and -xes lose -es; other words
    lose a final s, but not -ss, -us and -is, nor words of three letters.

    Args:
      words: V of them.

    Returns:
      int32 [V].
    """
    place = {word: i for i, word in enumerate(words)}

    def singular(word):
        if len(word) <= 3 or not word.endswith('s') or word.endswith(('ss', 'us', 'is')):
            return word
        if word.endswith('ies'):
            return f'{word[:-3]}y'
        return word[:-2] if word.endswith(('ches', 'shes', 'sses', 'xes')) else word[:-1]

    return np.array([place.get(singular(word), i) for i, word in enumerate(words)], np.int32)


def find_pairs(
    ids: np.ndarray, words: Sequence[str], patterns: Sequence[str] = PATTERNS
) -> np.ndarray:
    """The pairs (x, y) of which a pattern says that x is a y.

    A pair whose words are the same is left out, and so are those of which one is a word of the
    patterns: `is` and `other` are no things.

    Args:
      ids: of a text, int32 [N], negative between sentences.
      words: of the vocabulary, V.
      patterns: words between spaces, with X for the hyponym and Y for the hypernym.

    Returns:
      int32 [M, 2], in the order of the patterns and then of the text.

    Raises:
      ValueError: a pattern lacks X or Y.
    """
    place = {word: i for i, word in enumerate(words)}
    inner = {word for pattern in patterns for word in pattern.split()} - {HYPONYM, HYPERNYM}
    stopped = np.isin(ids, [place[word] for word in inner if word in place]) | (ids < 0)
    found = [np.zeros((0, 2), np.int32)]
    for pattern in patterns:
        parts = pattern.split()
        if not {HYPONYM, HYPERNYM} <= set(parts):
            raise ValueError(f'the pattern {pattern!r} lacks X, the hyponym, or Y, the hypernym')
        (first, rarest), *others = _rarest_first(parts)
        starts = np.flatnonzero(ids == place.get(rarest, ABSENT)) - first
        starts = starts[(starts >= 0) & (starts + len(parts) <= len(ids))]
        for offset, part in others:
            at = starts + offset
            is_slot = part in (HYPONYM, HYPERNYM)
            fits = ~stopped[at] if is_slot else ids[at] == place.get(part, ABSENT)
            starts = starts[fits]
        x, y = (ids[starts + parts.index(slot)] for slot in (HYPONYM, HYPERNYM))
        found.append(np.stack([x, y], 1)[x != y])
    return np.concatenate(found)


def _rarest_first(parts: list[str]) -> list[tuple[int, str]]:
    """The words of a pattern with their places, longer ones first and the two slots last."""
    return sorted(
        enumerate(parts), key=lambda part: (part[1] in (HYPONYM, HYPERNYM), -len(part[1]))
    )


def count_pairs(pairs: np.ndarray, size: int) -> 'scipy.sparse.csr_array':
    """N(x, y) of pairs [M, 2] of V = size words: int64 [V, V]."""
    import scipy.sparse

    entries = np.ones(len(pairs), np.int64), (pairs[:, 0], pairs[:, 1])
    return scipy.sparse.coo_array(entries, (size, size)).tocsr()


def ppmi(counts: 'scipy.sparse.csr_array') -> 'scipy.sparse.csr_array':
    """max(0, log p(x, y) / (p-(x) p+(y))) where N(x, y) > 0, float64 (equation 2).

    p-(x) is how often x is a hyponym in the pairs, p+(y) how often y is a hypernym.
    """
    matrix = counts.tocoo()
    total = matrix.data.sum()
    hyponyms = np.asarray(counts.sum(1)).ravel()
    hypernyms = np.asarray(counts.sum(0)).ravel()
    expected = hyponyms[matrix.row] * (hypernyms[matrix.col] / total)
    matrix = matrix.astype(np.float64)
    matrix.data = np.maximum(0, np.log(matrix.data / expected))
    return matrix.tocsr()


def factors(
    matrix: 'scipy.sparse.csr_array', *, rank: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """U Sigma_r and V of the truncated SVD of `ppmi`, float64 [V, r] each.

    Args:
      matrix: [V, V].
      rank: r.
      seed: of the vector that the iteration starts from.

    Raises:
      ValueError: rank lies outside 1 to V - 1.
    """
    import scipy.sparse.linalg

    size = matrix.shape[0]
    if not 1 <= rank < size:
        raise ValueError(f'rank is {rank}; {size} words allow 1 to {size - 1}')
    start = np.random.default_rng(seed).normal(size=size)
    u, sigma, vt = scipy.sparse.linalg.svds(matrix, rank, v0=start)
    return u * sigma[None], vt.T


def spmi(factors: tuple[np.ndarray, np.ndarray], pairs: np.ndarray) -> np.ndarray:
    """u_x Sigma_r v_y, which is not 0 for unseen pairs of like words (equation 3).

    Args:
      factors: U Sigma_r and V.
      pairs: (x, y), int [M, 2].

    Returns:
      float64 [M].
    """
    left, right = factors
    pairs = np.asarray(pairs)
    return np.sum(left[pairs[:, 0]] * right[pairs[:, 1]], 1)
