"""Samplers of masked diffusion with exact conditionals: what they draw, against all texts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from genjax.algorithms.masked_diffusion import ancestral, cosine, linear, random_order
from tests.algorithms.texts import exact_conditionals, markov_chain

KEY = jax.random.key(8)
HIDDEN = 3
N = 2000
TEXTS = markov_chain()


def drawn(sampler, given):
    """How often each text was drawn of N that begin with what is given, [V^L]."""
    predict = exact_conditionals(TEXTS)

    def single(ids):
        return predict(ids).astype(jnp.float32)

    start = jnp.asarray([given] * N, jnp.int32)
    found = np.asarray(jax.jit(lambda: sampler(KEY, single, start))())
    return np.bincount(found @ [27, 9, 3, 1], minlength=81)


def agree(counts, p):
    possible = p > 0
    assert not counts[~possible].any()
    expected = N * p[possible] / p.sum()
    merged = np.append(expected[expected >= 5], expected[expected < 5].sum())
    found = counts[possible]
    found = np.append(found[expected >= 5], found[expected < 5].sum())
    return chisquare(found[merged > 0], merged[merged > 0]).pvalue > 1e-3


def conditional(given):
    """p of the texts that agree with what is given, nought of the others."""
    fits = np.all((TEXTS.words == given) | (np.array(given) == HIDDEN), 1)
    return TEXTS.p * fits


@pytest.mark.parametrize('given', [[3, 3, 3, 3], [1, 3, 3, 0], [3, 2, 3, 1]])
def test_one_symbol_at_a_time_infills_from_the_exact_conditional(given):
    assert agree(drawn(random_order(4), given), conditional(given))


def test_many_steps_of_the_reverse_process_infill_from_the_exact_conditional():
    """Of the two that are missing both are shown in one step of 100 once in 80."""
    given = [1, 3, 3, 0]
    assert agree(drawn(ancestral(cosine, 100), given), conditional(given))


@pytest.mark.parametrize('sampler', [ancestral(linear, 1), random_order(1)])
def test_one_step_draws_each_place_by_itself(sampler):
    places = [np.bincount(column, TEXTS.p) for column in TEXTS.words.T]
    product = np.prod([p[column] for p, column in zip(places, TEXTS.words.T, strict=True)], 0)
    counts = drawn(sampler, [3, 3, 3, 3])
    assert agree(counts, product)
    assert not agree(counts, TEXTS.p)


def seen_by_the_network(sampler):
    """The ids before each step and after the last, [steps + 1, 2, 6]; 5 where hidden."""
    seen = []

    def predict(ids):
        jax.debug.callback(lambda ids: seen.append(np.asarray(ids)), ids, ordered=True)
        return jnp.zeros((*ids.shape, 5))

    given = jnp.asarray([[5, 5, 2, 5, 5, 5], [5, 1, 1, 1, 1, 5]], jnp.int32)
    found = np.asarray(sampler(KEY, predict, given))
    jax.effects_barrier()
    return np.array([*seen, found])


@pytest.mark.parametrize('steps', [1, 2, 3, 7])
def test_random_order_shows_equal_numbers(steps):
    counts = (seen_by_the_network(random_order(steps)) == 5).sum(-1)
    for row, hidden in zip(counts.T, (5, 2), strict=True):
        assert row.tolist() == [hidden - hidden * i // steps for i in range(steps + 1)]


@pytest.mark.parametrize('sampler', [random_order(3), ancestral(linear, 6)])
def test_what_was_shown_or_given_stays(sampler):
    seen = seen_by_the_network(sampler)
    for before, after in zip(seen, seen[1:], strict=False):
        np.testing.assert_array_equal(after[before < 5], before[before < 5])
    assert np.all(seen[-1] < 5)


@pytest.mark.parametrize('make', [lambda: random_order(0), lambda: ancestral(linear, 0)])
def test_a_sampler_has_steps(make):
    with pytest.raises(ValueError, match='^steps is 0; a sampler has at least 1$'):
        make()
