"""The bound of masked diffusion: with exact conditionals it is -log p(x), of every text."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.masked_diffusion import (
    continuous,
    cosine,
    finite,
    linear,
    polynomial,
    text_losses,
)
from genjax.numerics.uniforms import independent, stratified
from tests.algorithms.texts import (
    entropy,
    exact_bound,
    exact_conditionals,
    markov_chain,
    quadrature,
)

KEY = jax.random.key(3)
SCHEDULES = {'linear': linear, 'cosine': cosine, 'polynomial': polynomial(2.0)}


def finite_bound(texts, predict, schedule, steps):
    """Of each text, by the middle of each step."""
    u = (np.arange(steps) + 0.5) / steps
    weights = np.full(steps, 1 / steps)
    return exact_bound(predict, texts.words, 3, finite(schedule, steps), u, weights)


@pytest.mark.parametrize('schedule', SCHEDULES.values(), ids=SCHEDULES)
def test_with_exact_conditionals_it_is_minus_log_p_of_every_text(schedule):
    with jax.enable_x64(True):
        texts = markov_chain()
        predict = jax.jit(exact_conditionals(texts))
        bound = exact_bound(predict, texts.words, 3, continuous(schedule), *quadrature())
    np.testing.assert_allclose(bound, -np.log(texts.p), rtol=1e-10)


def test_with_other_predictions_it_is_larger():
    """Those of another chain: the mean over texts exceeds the entropy by more than nothing."""
    with jax.enable_x64(True):
        texts = markov_chain()
        predict = jax.jit(exact_conditionals(markov_chain(seed=1)))
        bound = exact_bound(predict, texts.words, 3, continuous(linear), *quadrature())
    assert texts.p @ bound > entropy(texts.p) + 0.1


@pytest.mark.parametrize('draw', [independent, stratified])
@pytest.mark.parametrize('schedule', [linear, cosine])
def test_a_draw_is_an_unbiased_estimate(schedule, draw):
    texts = markov_chain()
    likely = np.argsort(texts.p)[-2:]
    with jax.enable_x64(True):
        predict = exact_conditionals(texts)
        chosen = jnp.asarray(np.repeat(texts.words[likely], 16, 0))
        losses = partial(
            text_losses,
            predict=predict,
            words=chosen,
            symbols=3,
            bound=continuous(schedule),
            draw=draw,
        )
        keys = jax.random.split(KEY, 1500)
        nats = jax.lax.map(lambda key: losses(key)['nats'], keys)
    nats = np.asarray(nats).reshape(1500, 2, 16).mean(-1)
    error = np.std(nats, 0) / np.sqrt(1500)
    assert np.all(error < 0.1 * -np.log(texts.p[likely]))
    assert np.all(np.abs(np.mean(nats, 0) + np.log(texts.p[likely])) < 4 * error)


@pytest.mark.parametrize('schedule', [linear, cosine])
def test_it_falls_with_the_steps_from_the_sum_of_entropies_of_single_places(schedule):
    """In the mean over texts: all places at once are drawn from their marginals."""
    with jax.enable_x64(True):
        texts = markov_chain()
        predict = jax.jit(exact_conditionals(texts))
        means = [texts.p @ finite_bound(texts, predict, schedule, T) for T in (1, 2, 4, 8, 64)]
    places = [np.bincount(column, texts.p) for column in texts.words.T]
    assert means[0] == pytest.approx(sum(map(entropy, places)), rel=1e-10)
    assert np.all(np.diff(means) < 0)
    least = entropy(texts.p)
    assert 0 < means[-1] - least < (means[0] - least) / 20


def test_what_is_missing_costs_nothing_and_is_hidden_from_the_others():
    """A text with -1 after it has the bound of the text without."""
    texts = markov_chain()
    seen = []

    def predict(ids):
        jax.debug.callback(lambda ids: seen.append(np.asarray(ids)), ids)
        return exact_conditionals(texts)(ids).astype(jnp.float32)

    words = jnp.asarray([[0, 1, -1, -1]] * 64, jnp.int32)
    found = text_losses(KEY, predict, words, symbols=3, bound=finite(linear, 1), draw=independent)
    two = texts.p[(texts.words[:, 0] == 0)].sum(), texts.p[(texts.words[:, 1] == 1)].sum()
    np.testing.assert_allclose(found['nats'], -np.log(two).sum(), rtol=1e-5)
    assert found['words'].tolist() == [2] * 64
    jax.effects_barrier()
    assert np.all(seen[-1][:, 2:] == 3)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: finite(linear, 0), 'steps is 0; a bound has at least 1'),
        (lambda: polynomial(0.0), 'power is 0.0; a schedule needs a positive one'),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
