"""A prior of codes: what each part becomes, what is counted, and what samples decode to."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import chisquare

from genjax.algorithms.discrete_codes import Model, discrete_codes, vq, with_prior
from genjax.algorithms.ngram import maximum_likelihood, ngram
from genjax.base import Algorithm
from genjax.networks.mlp import MLP
from genjax.numerics.likelihoods import fixed_gaussian
from genjax.parallel import example_keys
from tests.trees import assert_trees_equal

KEY = jax.random.key(4)
K = 3
L = 2
TABLE = jnp.asarray([[-1.0], [0.5], [2.0]])  # what each code is decoded to


def by_heart():
    """Decodes code k to TABLE[k], without error; its state counts its updates."""

    def init(key, batch):
        return jnp.zeros((), jnp.int32)

    def update(key, state, batch):
        return state + 1, {'loss': jnp.zeros(())}

    def evaluate(key, state, batch):
        return {'loss': jnp.zeros(len(batch['x']))}

    def encode(key, state, batch):
        return jnp.argmin(jnp.abs(batch['x'][..., None] - TABLE[None, None, :, 0]), -1)

    def decode(key, state, code):
        return TABLE[code][..., 0]

    return Algorithm(init, update, evaluate, encode=encode, decode=decode)


def counting():
    """The exact distribution of pairs of codes, by their numbers [K, K]; it needs L = 2."""

    def init(key, batch):
        return jnp.zeros((K, K))

    def pairs(batch):
        words = batch['words']
        return words[:, 0] * K + words[:, 1]

    def update(key, state, batch):
        added = jnp.bincount(pairs(batch), length=K * K).reshape(K, K)
        return state + added.astype(jnp.float32), {'loss': jnp.ones(())}

    def evaluate(key, state, batch):
        p = (state / jnp.sum(state)).ravel()
        return {'nats': -jnp.log(p[pairs(batch)])}

    def sample(key, state, n):
        logits = jnp.log(state.ravel())
        pair = jax.vmap(lambda key: jax.random.categorical(key, logits))(example_keys(key, n))
        return jnp.stack([pair // K, pair % K], -1).astype(jnp.int32)

    return Algorithm(init, update, evaluate, sample)


def batches(n, size=60):
    """Pairs of which no two have the same chance, and two have none."""
    rng = np.random.default_rng(0)
    chances = np.array([0, 1, 2, 3, 4, 5, 6, 7, 0]) / 28
    codes = [rng.choice(9, size, p=chances) for _ in range(n)]
    return [np.stack([pair // K, pair % K], -1) for pair in codes]


def test_samples_are_what_codes_of_the_prior_decode_to():
    """With an exact prior of exact codes they are draws of the data, and the bound is -log p."""
    algorithm = with_prior(by_heart(), counting(), steps=2)
    codes = batches(5)
    state = algorithm.init(KEY, {'x': TABLE[codes[0]][..., 0]})
    update = jax.jit(algorithm.update)
    for i, batch in enumerate(codes):
        state, metrics = update(KEY, state, {'x': TABLE[batch][..., 0]})
        assert {name: float(value) for name, value in metrics.items()} == {
            'codes_loss': 0,
            'prior_loss': float(i >= 2),
        }
    assert state.autoencoder == 2 and state.updates == 5
    counted = np.bincount((np.concatenate(codes[2:]) @ [K, 1]), minlength=9)
    np.testing.assert_array_equal(state.prior.ravel(), counted)

    p = counted / counted.sum()
    possible = np.flatnonzero(p)
    x = np.stack([TABLE[possible // K, 0], TABLE[possible % K, 0]], -1)
    found = algorithm.evaluate(KEY, state, {'x': jnp.asarray(x)})
    np.testing.assert_allclose(found['loss'], -np.log(p[possible]), rtol=1e-6)

    drawn = np.asarray(jax.jit(algorithm.sample, static_argnums=2)(KEY, state, 4000))
    times = [np.sum(np.all(drawn == row, -1)) for row in x]
    assert sum(times) == 4000
    assert chisquare(times, 4000 * p[possible]).pvalue > 1e-3


def test_each_part_becomes_what_it_is_by_itself():
    """To the bit: the autoencoder with the keys of the run, the prior on its codes."""
    model = Model(MLP((4,), (L, 2)), MLP((4,), (3,)), vq(K, 2), fixed_gaussian(0.5))
    autoencoder = discrete_codes(model, optax.adam(1e-2), decay=0.5)
    rows = [{'x': jax.random.normal(jax.random.key(i), (8, 3))} for i in range(5)]
    keys = jax.random.split(jax.random.key(7), 5)
    together = with_prior(autoencoder, counting(), steps=3)

    state = together.init(KEY, rows[0])
    alone = autoencoder.init(KEY, rows[0])
    assert_trees_equal(state.autoencoder, alone)
    step = jax.jit(together.update)
    step_alone = jax.jit(autoencoder.update)
    for key, batch in zip(keys, rows, strict=True):
        state, _ = step(key, state, batch)
    for key, batch in zip(keys[:3], rows[:3], strict=True):
        alone, _ = step_alone(key, alone, batch)
    assert_trees_equal(state.autoencoder, alone)

    codes = [autoencoder.encode(KEY, alone, batch) for batch in rows[3:]]
    pairs = np.concatenate(codes) @ [K, 1]
    np.testing.assert_array_equal(state.prior.ravel(), np.bincount(pairs, minlength=9))


def test_an_ngram_prior_has_the_counts_of_the_codes():
    """A begin marker, K + 1, stands before the first, and no end behind the last."""
    prior = ngram(K, order=2, capacity=(4, 20), smoothing=maximum_likelihood, length=L)
    algorithm = with_prior(by_heart(), prior, steps=0, margin=1)
    codes = batches(1)[0]
    batch = {'x': TABLE[codes][..., 0]}
    state, _ = jax.jit(algorithm.update)(KEY, algorithm.init(KEY, batch), batch)
    table = state.prior[1]
    found = {
        tuple(gram): int(value)
        for gram, value in zip(table.keys.tolist(), table.values.tolist(), strict=True)
        if value
    }
    expected = Counter((K + 1, int(a)) for a, _ in codes) + Counter(map(tuple, codes.tolist()))
    assert found == expected


@pytest.mark.parametrize(
    ('part', 'options', 'message'),
    [
        ({}, dict(steps=-1), 'steps is -1, margin 0; both must be at least 0'),
        (
            {'decode': None},
            dict(steps=1),
            'an autoencoder needs encode and decode, a prior sample; one is missing',
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(part, options, message):
    with pytest.raises(ValueError) as error:
        with_prior(by_heart()._replace(**part), counting(), **options)
    assert str(error.value) == message
