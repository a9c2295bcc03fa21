"""What language models report of texts.

Letters: B texts, L places, V symbols. Words are int32 [B, L] in 0 .. V - 1, -1 where there is none.
"""

import jax.numpy as jnp
from jax import Array

from genjax.base import Metrics


def word_nats(log_p: Array, words: Array) -> Array:
    """-log p of each word, [B, L]; 0 where there is none. log_p is [B, L, V]."""
    chosen = jnp.clip(words, 0, log_p.shape[-1] - 1)
    nats = -jnp.take_along_axis(log_p, chosen[..., None], -1)[..., 0]
    return jnp.where(words >= 0, nats, 0)


def text_metrics(nats: Array, words: Array, symbols: int) -> Metrics:
    """Of each text 'nats', 'words', their number, and 'loss', nats a word; [B] each.

    Nats and loss of a text with a word of V or above are NaN, which ends a run.

    Args:
      nats: of each text, [B].
      words: the texts.
      symbols: V.
    """
    nats = jnp.where(jnp.any(words >= symbols, -1), jnp.nan, nats)
    count = jnp.sum(words >= 0, -1).astype(nats.dtype)
    return {'loss': nats / jnp.maximum(count, 1), 'nats': nats, 'words': count}
