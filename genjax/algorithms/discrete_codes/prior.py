"""An autoencoder of discrete codes and a language model of these codes: together they make new x.

As van den Oord et al. 2017, arXiv:1711.00937, section 3.3: first the autoencoder is trained, then,
with the codes as they are, the prior.

Letters: B examples, L codes of each.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from genjax.base import Algorithm, Metrics

# Folded into the key of init. Keys that an autoencoder splits or folds from it are of small
# numbers, and its parameters shall be those that it has alone.
PRIOR = 2**32 - 1


class State(NamedTuple):
    """Of both parts, and how many updates have been made in all, int32 []."""

    autoencoder: Any
    prior: Any
    updates: Array


def as_words(codes: Array, margin: int) -> Array:
    """Codes [B, L] as a text without a word, -1, in its first places, [B, margin + L]."""
    return jnp.pad(codes, ((0, 0), (margin, 0)), constant_values=-1)


def with_prior(
    autoencoder: Algorithm, prior: Algorithm, *, steps: int, margin: int = 0
) -> Algorithm:
    """An autoencoder, and a prior of its codes, by which it samples; the state is a `State`.

    The first updates are the autoencoder's, the others the prior's: each becomes what it would be
    by itself. Metrics of an update have 'codes_' or 'prior_' before their names; those of the part
    that rests are 0. `evaluate` has these of both, and 'loss', their nats together. Where the
    autoencoder's loss is at least -log p(x | codes), that is at least -log p(x). `encode` and
    `decode` are the autoencoder's.

    Args:
      autoencoder: with `encode`, to codes int32 [B, L], and `decode`.
      prior: a language model of {'words': int32 [B, margin + L]} with `sample`, int32 [n, L], and
        'nats' of each text in `evaluate`. A -1 in its samples is read as the code 0.
      steps: that train the autoencoder.
      margin: places in front of the codes that have none, as an n-gram model needs them.

    Raises:
      ValueError: steps or margin is negative, or a part lacks a map.
    """
    if steps < 0 or margin < 0:
        raise ValueError(f'steps is {steps}, margin {margin}; both must be at least 0')
    if autoencoder.encode is None or autoencoder.decode is None or prior.sample is None:
        raise ValueError('an autoencoder needs encode and decode, a prior sample; one is missing')

    def text(key, state, batch):
        """What the prior reads of a batch."""
        return {'words': as_words(autoencoder.encode(key, state, batch), margin)}

    def init(key, batch):
        state = autoencoder.init(key, batch)
        encode_key, prior_key = jax.random.split(jax.random.fold_in(key, PRIOR))
        words = text(encode_key, state, batch)
        return State(state, prior.init(prior_key, words), jnp.zeros((), jnp.int32))

    def train_autoencoder(key, state, batch):
        part, metrics = autoencoder.update(key, state.autoencoder, batch)
        return state._replace(autoencoder=part), _named('codes', metrics)

    def train_prior(key, state, batch):
        encode_key, prior_key = jax.random.split(key)
        words = text(encode_key, state.autoencoder, batch)
        part, metrics = prior.update(prior_key, state.prior, words)
        return state._replace(prior=part), _named('prior', metrics)

    def update(key, state, batch):
        given = (key, state, batch)
        branches = (train_autoencoder, train_prior)
        forms = [jax.eval_shape(branch, *given)[1] for branch in branches]
        at_rest = jax.tree.map(lambda form: jnp.zeros(form.shape, form.dtype), forms[0] | forms[1])

        def reporting(branch):
            def step(key, state, batch):
                state, metrics = branch(key, state, batch)
                return state, at_rest | metrics

            return step

        first = state.updates < steps
        state, metrics = jax.lax.cond(first, *map(reporting, branches), *given)
        return state._replace(updates=state.updates + 1), metrics

    def evaluate(key, state, batch):
        of_codes_key, encode_key, prior_key = jax.random.split(key, 3)
        of_codes = autoencoder.evaluate(of_codes_key, state.autoencoder, batch)
        words = text(encode_key, state.autoencoder, batch)
        of_prior = prior.evaluate(prior_key, state.prior, words)
        total = {'loss': of_codes['loss'] + of_prior['nats']}
        return total | _named('codes', of_codes) | _named('prior', of_prior)

    def sample(key, state, n):
        prior_key, decode_key = jax.random.split(key)
        codes = jnp.maximum(prior.sample(prior_key, state.prior, n), 0)
        return autoencoder.decode(decode_key, state.autoencoder, codes)

    def encode(key, state, batch):
        return autoencoder.encode(key, state.autoencoder, batch)

    def decode(key, state, code):
        return autoencoder.decode(key, state.autoencoder, code)

    return Algorithm(init, update, evaluate, sample, encode, decode)


def _named(part: str, metrics: Metrics) -> Metrics:
    return {f'{part}_{name}': value for name, value in metrics.items()}
