"""Short texts of a few symbols, so that everything about them can be added up.

V symbols, L places; all V^L texts have a probability each. The default is a random Markov chain.
"""

import itertools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np


class Texts(NamedTuple):
    """Every text and its probability."""

    words: np.ndarray  # int32 [V^L, L]
    p: np.ndarray  # float64 [V^L]
    initial: np.ndarray  # [V]
    transition: np.ndarray  # [V, V]


def markov_chain(symbols: int = 3, length: int = 4, seed: int = 0) -> Texts:
    """All texts of a random Markov chain, in which no two rows of transitions are alike."""
    rng = np.random.default_rng(seed)
    initial = rng.dirichlet(np.ones(symbols))
    transition = rng.dirichlet(np.full(symbols, 0.5), symbols)
    words = np.array(list(itertools.product(range(symbols), repeat=length)), np.int32)
    p = initial[words[:, 0]]
    for before, after in itertools.pairwise(words.T):
        p = p * transition[before, after]
    return Texts(words, p, initial, transition)


def entropy(p: np.ndarray) -> float:
    """-sum p log p, nats."""
    return float(-np.sum(p * np.log(p)))


def exact_conditionals(texts: Texts):
    """ids [B, L], V where hidden -> log p(. | what is not hidden) at each place, [B, L, V]."""
    symbols = int(texts.words.max()) + 1
    at = jnp.asarray(texts.words[:, :, None] == np.arange(symbols))  # [V^L, L, V]
    p = jnp.asarray(texts.p)

    def predict(ids):
        hidden = ids == symbols
        agree = (ids[:, None] == texts.words[None]) | hidden[:, None]
        joint = jnp.where(jnp.all(agree, -1), p[None], 0)  # [B, V^L]
        mass = jnp.einsum('bt,tlv->blv', joint, at.astype(p.dtype))
        return jnp.log(mass / jnp.sum(joint, 1)[:, None, None])

    return predict


def all_masks(length: int) -> np.ndarray:
    """Every choice of hidden places but for none, bool [2^L - 1, L]."""
    masks = np.array(list(itertools.product([False, True], repeat=length)))
    return masks[masks.any(1)]


def exact_bound(predict, words: np.ndarray, symbols: int, bound, u, weights) -> np.ndarray:
    """The bound of each text [N, L], added up over every mask and integrated over u, nats [N].

    Args:
      predict: of a model.
      words: texts.
      symbols: V.
      bound: u -> (the share that is hidden, the weight).
      u, weights: nodes in (0, 1) and their weights, of a rule that is exact for this bound.
    """
    masks = all_masks(words.shape[1])
    share, cost = (np.asarray(x, np.float64) for x in bound(jnp.asarray(u)))
    hidden = masks.sum(1)
    shown = words.shape[1] - hidden
    chance = share[:, None] ** hidden * (1 - share[:, None]) ** shown  # [nodes, masks]
    of_mask = (weights * cost) @ chance
    total = np.zeros(len(words))
    for mask, weight in zip(masks, of_mask, strict=True):
        log_p = np.asarray(predict(jnp.asarray(np.where(mask, symbols, words), jnp.int32)))
        chosen = np.take_along_axis(log_p, words[..., None], -1)[..., 0]
        total -= weight * chosen[:, mask].sum(1)
    return total


def quadrature(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on (0, 1)."""
    x, w = np.polynomial.legendre.leggauss(n)
    return (x + 1) / 2, w / 2
