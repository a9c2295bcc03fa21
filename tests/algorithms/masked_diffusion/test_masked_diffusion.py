"""Masked diffusion as an algorithm: its evaluation, its samples and what it fills in."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.algorithms.masked_diffusion import (
    infilled,
    masked_diffusion,
    random_order,
)
from genjax.networks.transformer import Transformer

KEY = jax.random.key(2)
NETWORK = Transformer(5, 8, 1, 2)
WORDS = jnp.asarray([[0, 1, 2, 3, 4, 0], [4, 4, -1, -1, -1, -1], [0, 5, 0, 0, 0, 0]], jnp.int32)


def algorithm(**options):
    return masked_diffusion(NETWORK, optax.sgd(0.1), length=6, sampler=random_order(3), **options)


def state():
    return algorithm().init(KEY, {'words': WORDS})


@pytest.mark.slow
def test_evaluations_are_a_mean_over_draws():
    many = jax.jit(algorithm(evaluations=3).evaluate)(KEY, state(), {'words': WORDS})
    evaluate = jax.jit(algorithm().evaluate)
    each = [evaluate(key, state(), {'words': WORDS}) for key in jax.random.split(KEY, 3)]
    np.testing.assert_allclose(
        many['nats'][:2], np.mean([one['nats'][:2] for one in each], 0), rtol=1e-5
    )
    assert len({float(one['nats'][0]) for one in each}) == 3
    assert np.isnan(many['loss'][2])  # which has a word that there is not
    assert many['words'].tolist() == [6, 2, 6]


@pytest.mark.slow
def test_samples_do_not_depend_on_their_number_and_what_is_given_stays():
    draw = jax.jit(algorithm().sample, static_argnums=2)
    np.testing.assert_array_equal(draw(KEY, state(), 5), draw(KEY, state(), 9)[:5])
    given = jnp.asarray([[-1, 3, -1, -1, 2, -1]] * 7, jnp.int32)
    found = np.asarray(infilled(NETWORK, random_order(2))(KEY, state(), given))
    assert found.min() >= 0 and found.max() < 5
    assert np.all(found[:, [1, 4]] == [3, 2])
    assert len(np.unique(found, axis=0)) > 1


@pytest.mark.parametrize('options', [{'length': 0}, {'evaluations': 0}])
def test_what_makes_no_sense_is_refused_in_one_line(options):
    options = {'length': 6, 'sampler': random_order(3), **options}
    with pytest.raises(ValueError, match='both must be at least 1$'):
        masked_diffusion(NETWORK, optax.sgd(0.1), **options)
