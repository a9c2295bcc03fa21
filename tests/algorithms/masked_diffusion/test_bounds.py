"""The bound of masked diffusion: with exact conditionals it is -log p(x), of every text."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.masked_diffusion import (
    by_number,
    continuous,
    cosine,
    each_by_itself,
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


HIDINGS = {
    'linear': each_by_itself(continuous(linear)),
    'cosine': each_by_itself(continuous(cosine)),
    'number': by_number,
}


@functools.cache
def estimates(hiding, draw):
    """Means of 16 draws at a time for each of the two likeliest texts, [1500, 2]."""
    texts = markov_chain()
    likely = np.argsort(texts.p)[-2:]
    with jax.enable_x64(True):
        predict = exact_conditionals(texts)
        chosen = jnp.asarray(np.repeat(texts.words[likely], 16, 0))
        losses = partial(
            text_losses, predict=predict, words=chosen, symbols=3, hiding=hiding, draw=draw
        )
        keys = jax.random.split(KEY, 1500)
        nats = jax.lax.map(lambda key: losses(key)['nats'], keys)
    return np.asarray(nats).reshape(1500, 2, 16).mean(-1)


@pytest.mark.parametrize('draw', [independent, stratified])
@pytest.mark.parametrize('hiding', HIDINGS.values(), ids=HIDINGS)
def test_a_draw_is_an_unbiased_estimate(hiding, draw):
    texts = markov_chain()
    likely = np.argsort(texts.p)[-2:]
    nats = estimates(hiding, draw)
    error = np.std(nats, 0) / np.sqrt(1500)
    assert np.all(error < 0.1 * -np.log(texts.p[likely]))
    assert np.all(np.abs(np.mean(nats, 0) + np.log(texts.p[likely])) < 4 * error)


def test_by_number_exactly_so_many_are_hidden_and_weigh_as_the_rest_of_them():
    """Each number as likely, and of each number every choice of places; what is missing is none."""
    known = jnp.asarray([[True] * 4, [True, False, True, False]])
    u = jnp.asarray([0.6, 0.4])
    draw = jax.jit(jax.vmap(partial(by_number, known=known, u=u)))
    hidden, weight = map(np.asarray, draw(jax.random.split(KEY, 600)))
    assert np.all(hidden.sum(-1) == [3, 1])
    np.testing.assert_allclose(weight, np.tile([4 / 3, 2 / 1], (600, 1)), rtol=1e-6)
    np.testing.assert_allclose(hidden[:, 0].mean(0), 3 / 4, atol=4 * np.sqrt(3 / 16 / 600))
    np.testing.assert_allclose(hidden[:, 1].mean(0), [0.5, 0, 0.5, 0], atol=4 * 0.5 / 600**0.5)


def test_by_number_it_scatters_less():
    """The weight 1 / t of a single draw has no bound."""
    by_time = np.std(estimates(HIDINGS['linear'], independent), 0)
    assert np.all(np.std(estimates(by_number, independent), 0) < by_time)


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
    hiding = each_by_itself(finite(linear, 1))
    found = text_losses(KEY, predict, words, symbols=3, hiding=hiding, draw=independent)
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
