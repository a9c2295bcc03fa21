"""Autoregressive language models: p(x) = prod_i p(x_i | x_1 .. x_{i-1}) by a causal transformer.

Letters: B examples, L places, V symbols.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from genjax.averages import Decay
from genjax.base import Algorithm, Key
from genjax.descent import Fit, descend
from genjax.numerics.texts import text_metrics, word_nats
from genjax.parallel import example_keys


def log_probabilities(network: nn.Module, params: Any, words: Array) -> Array:
    """log p(. | the words before) at each place, [B, L, V]: teacher forcing.

    Args:
      network: see `autoregressive`.
      params: the network's.
      words: int32 [B, L], see `autoregressive`.
    """
    before = jnp.pad(words[:, :-1], ((0, 0), (1, 0)), constant_values=-1)
    ids = _as_read(before, network.symbols)
    mask = jnp.tril(jnp.ones((words.shape[1], words.shape[1]), bool))
    return jax.nn.log_softmax(network.apply({'params': params}, ids, mask))


def sample_after(
    key: Key, network: nn.Module, params: Any, words: Array, *, remember: bool = True
) -> Array:
    """Texts that go on from words: where these are -1 one is drawn, given those before it.

    Args:
      key: of all draws.
      network: see `autoregressive`.
      params: the network's.
      words: int32 [B, L], -1 where to draw.
      remember: whether keys and values of earlier places are kept; else each place is computed from
        all before it again, which is the same.

    Returns:
      int32 [B, L].
    """
    B, L = words.shape
    keys = example_keys(key, B)

    def draw(logits, place):
        place_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, place)
        drawn = jax.vmap(jax.random.categorical)(place_keys, logits).astype(jnp.int32)
        return jnp.where(words[:, place] < 0, drawn, words[:, place])

    def step(carry, place):
        before, memory = carry
        ids = _as_read(before, network.symbols)[:, None]
        variables = {'params': params}
        logits, memory = network.apply(variables, ids, place, memory, method='extend')
        word = draw(logits[:, 0], place)
        return (word, memory), word

    def plain_step(text, place):
        word = draw(log_probabilities(network, params, text)[:, place], place)
        return text.at[:, place].set(word), word

    if remember:
        start = jnp.full(B, -1, jnp.int32), network.empty_memory(B, L)
        _, text = jax.lax.scan(step, start, jnp.arange(L))
    else:
        _, text = jax.lax.scan(plain_step, jnp.full((B, L), -1, jnp.int32), jnp.arange(L))
    return text.T


def continued(network: nn.Module) -> Callable[[Key, Fit, Array], Array]:
    """(key, state, words int32 [B, L]) -> `sample_after` by the averaged parameters."""

    def draw(key, state, words):
        return sample_after(key, network, state.average, words)

    return draw


def autoregressive(
    network: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    length: int,
    decay: Decay | float = 0.0,
    microbatches: int = 1,
) -> Algorithm:
    """A causal language model: batches are {'words': int32 [B, L]}, the state is a `Fit`.

    Words are 0 .. V - 1; -1 where there is none, as after the end of a text. A batch's text begins
    without any word before it. Metrics are those of `text_metrics`, by the chain rule exact.
    Samples are int32 [., length].

    Args:
      network: as `networks.transformer.Transformer`: (ids [B, L], mask [L, L]) -> logits [B, L, V],
        with `symbols`, which is V and what it reads where there is no word, and with `extend` and
        `empty_memory` for samples.
      optimizer: of its parameters.
      length: of a sample.
      decay: of the average, as in `descend`.
      microbatches: parts of a batch, one after the other, as in `descend`.

    Raises:
      ValueError: length is below 1, or what `descend` refuses.
    """
    if length < 1:
        raise ValueError(f'length is {length}; a sample has at least 1 word')

    def losses(key, params, batch):
        del key
        words = batch['words']
        log_p = log_probabilities(network, params, words)
        return text_metrics(jnp.sum(word_nats(log_p, words), -1), words, network.symbols)

    descent = descend(losses, optimizer, decay=decay, microbatches=microbatches)

    def init(key, batch):
        ids = _as_read(batch['words'][:1], network.symbols)
        return descent.init(network.init(key, ids)['params'])

    def evaluate(key, state, batch):
        return losses(key, state.average, batch)

    def sample(key, state, n):
        return sample_after(key, network, state.average, jnp.full((n, length), -1, jnp.int32))

    return Algorithm(init, descent.update, evaluate, sample)


def _as_read(words, symbols):
    """Words as the network reads them: V where there is none."""
    return jnp.where((words < 0) | (words > symbols), symbols, words)
