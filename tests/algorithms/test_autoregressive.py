"""Autoregressive models: the chain rule over every text, and samples with and without memory."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import chisquare

from genjax.algorithms.autoregressive import (
    autoregressive,
    continued,
    log_probabilities,
    sample_after,
)
from genjax.descent import Fit
from genjax.networks.transformer import Transformer
from tests.algorithms.texts import markov_chain
from tests.networks.drawn import random_params

KEY = jax.random.key(4)
NETWORK = Transformer(3, 8, 2, 2, 'float64')
EVERY = jnp.asarray(markov_chain().words)


def algorithm(network=NETWORK):
    return autoregressive(network, optax.sgd(0.1), length=4)


def params_of(network=NETWORK):
    """Parameters that are nowhere nought."""
    return random_params(network, EVERY[:1])


def fitted(params):
    return Fit(params, None, params, {}, jnp.zeros((), jnp.int32))


@pytest.fixture
def wide():
    with jax.enable_x64(True):
        yield


def nats(params, words):
    return np.asarray(algorithm().evaluate(KEY, fitted(params), {'words': words})['nats'])


def test_the_probabilities_of_all_texts_sum_to_one(wide):
    """Which they would not if a place saw itself or what comes after it."""
    params = params_of()
    p = np.exp(-nats(params, EVERY))
    assert p.sum() == pytest.approx(1, rel=1e-12)
    assert p.std() > 0.1 * p.mean()
    # A text that ends early has the sum over all that go on from it.
    short = jnp.where(jnp.arange(4)[None] < 2, EVERY, -1)
    begun = np.asarray(EVERY)[:, :2]
    sums = [p[np.all(begun == row, 1)].sum() for row in begun]
    np.testing.assert_allclose(np.exp(-nats(params, short)), sums, rtol=1e-12)


@pytest.mark.slow
def test_each_place_is_given_those_before_it_alone(wide):
    """As if the network had read the beginning of the text and nothing else."""
    params = params_of()
    text = jnp.asarray([[2, 0, 1, 1]])
    whole = log_probabilities(NETWORK, params, text)
    for i in range(4):
        begun = jnp.asarray([[3, 2, 0, 1, 1]])[:, : i + 1]
        mask = jnp.tril(jnp.ones((i + 1, i + 1), bool))
        logits = NETWORK.apply({'params': params}, begun, mask)
        np.testing.assert_allclose(whole[:, i], jax.nn.log_softmax(logits)[:, -1], rtol=1e-12)


def test_drawing_with_memory_is_drawing_without(wide):
    params = params_of()
    empty = jnp.full((50, 4), -1, jnp.int32)
    draws = [
        np.asarray(sample_after(KEY, NETWORK, params, empty, remember=remember))
        for remember in (True, False)
    ]
    np.testing.assert_array_equal(*draws)
    assert len(np.unique(draws[0], axis=0)) > 10


def test_samples_follow_the_models_own_probabilities(wide):
    params = params_of()
    state = fitted(params)
    found = np.asarray(jax.jit(algorithm().sample, static_argnums=2)(KEY, state, 4000))
    expected = 4000 * np.exp(-nats(params, EVERY))
    counts = np.bincount(found @ [27, 9, 3, 1], minlength=81)
    assert chisquare(counts, expected).pvalue > 1e-3
    np.testing.assert_array_equal(algorithm().sample(KEY, state, 5), found[:5])
    begun = jnp.asarray([[2, 1, -1, -1]] * 20, jnp.int32)
    after = np.asarray(continued(NETWORK)(KEY, state, begun))
    assert np.all(after[:, :2] == [2, 1]) and after.min() >= 0


def test_a_sample_has_words():
    with pytest.raises(ValueError, match='^length is 0; a sample has at least 1 word$'):
        autoregressive(NETWORK, optax.sgd(0.1), length=0)
