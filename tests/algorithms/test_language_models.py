"""Counting, predicting the next and filling in reach the entropy of one source of texts.

A random Markov chain of three symbols, texts of five places: every probability is added up over
all texts, every bound over all masks. All three are trained by the real trainer on the same data.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.algorithms.autoregressive import autoregressive
from genjax.algorithms.masked_diffusion import continuous, linear, masked_diffusion, random_order
from genjax.algorithms.masked_diffusion.masked_diffusion import predictor
from genjax.algorithms.ngram import maximum_likelihood, ngram
from genjax.base import Data, Resident
from genjax.networks.transformer import Transformer
from genjax.training import Experiment, make_mesh, train
from tests.algorithms.texts import entropy, exact_bound, markov_chain, quadrature

TEXTS = markov_chain(3, 5, seed=2)
NETWORK = Transformer(3, 32, 2, 4, places=5)
BATCH = 128
STEPS = 1500


def texts(arrays, step):
    """A batch of the chain, drawn from the step alone."""
    words, p = arrays
    key = jax.random.fold_in(jax.random.key(1), step)
    return {'words': words[jax.random.choice(key, len(p), (BATCH,), p=p)]}


def after_a_margin(arrays, step):
    return {'words': jnp.pad(texts(arrays, step)['words'], ((0, 0), (1, 0)), constant_values=-1)}


def trained(algorithm, make_batch=texts):
    arrays = (jnp.asarray(TEXTS.words), jnp.asarray(TEXTS.p, jnp.float32))
    experiment = Experiment(algorithm, Data(Resident(arrays, make_batch), []), {})
    return train(experiment, seed=0, steps=STEPS, mesh=make_mesh(jax.devices()[:1]))


def adam():
    return optax.adam(optax.cosine_decay_schedule(3e-3, STEPS))


def excess(nats):
    """What a model needs above the entropy, nats a symbol, in the mean over all texts."""
    return (TEXTS.p @ np.asarray(nats, np.float64) - entropy(TEXTS.p)) / 5


def counted():
    algorithm = ngram(3, order=2, capacity=(4, 20), smoothing=maximum_likelihood)
    state = trained(algorithm, after_a_margin)
    words = jnp.pad(jnp.asarray(TEXTS.words), ((0, 0), (1, 0)), constant_values=-1)
    return algorithm.evaluate(jax.random.key(0), state, {'words': words})['nats']


def causal():
    algorithm = autoregressive(NETWORK, adam(), length=5, decay=0.99)
    state = trained(algorithm)
    batch = {'words': jnp.asarray(TEXTS.words)}
    return jax.jit(algorithm.evaluate)(jax.random.key(0), state, batch)['nats']


def masked():
    algorithm = masked_diffusion(NETWORK, adam(), length=5, sampler=random_order(5), decay=0.99)
    predict = jax.jit(predictor(NETWORK, trained(algorithm).average))
    return exact_bound(predict, TEXTS.words, 3, continuous(linear), *quadrature())


@pytest.mark.slow
@pytest.mark.parametrize(
    'model',
    [counted, causal, masked],
)
def test_each_reaches_the_entropy_of_the_chain(model):
    """Within 0.01 nats of the some 0.8 that a symbol has, and never below it."""
    assert 0 < excess(model()) < 0.01
