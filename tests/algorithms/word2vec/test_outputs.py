"""Noise words and their distribution; the log partition function by chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.word2vec.outputs import (
    alias_table,
    log_partition,
    negative_sampling,
    softplus,
)
from tests.marks import quick_only
from tests.trees import assert_trees_close

V, D, B, T = 11, 6, 2, 8
COUNTS = np.arange(V, 0, -1) ** 2


@pytest.mark.parametrize('chunk', quick_only([4, 6, 64], [1, 4, 6, 9, 10, 64]))
def test_the_partition_by_chunks_is_the_direct_one_in_value_and_gradient(chunk):
    hidden = 3 * jax.random.normal(jax.random.key(0), (B, T, D))
    rows = 3 * jax.random.normal(jax.random.key(1), (B, 10, D))

    def direct(h, u):
        return jax.nn.logsumexp(jnp.einsum('btd,bvd->btv', h, u), -1)

    def chunked(h, u):
        return log_partition(h, u, chunk=chunk)

    def gradient(f):
        return jax.grad(lambda h, u: jnp.sum(f(h, u) ** 2), (0, 1))(hidden, rows)

    np.testing.assert_allclose(chunked(hidden, rows), direct(hidden, rows), rtol=1e-5)
    assert_trees_close(gradient(chunked), gradient(direct), rtol=1e-4, atol=1e-3)


def test_the_alias_table_holds_the_distribution():
    for weights in (
        COUNTS**0.75,
        np.ones(7),
        np.array([1e-9, 1.0, 1e9]),
        np.random.default_rng(0).random(1000) ** 4,
    ):
        accept, other = alias_table(weights)
        share = accept.astype(np.float64)
        np.add.at(share, other, 1 - accept.astype(np.float64))
        np.testing.assert_allclose(
            share / len(weights), weights / weights.sum(), rtol=1e-5, atol=1e-7
        )


def test_noise_words_are_drawn_by_their_power():
    draws = np.asarray(negative_sampling(COUNTS, shared=100).noise_words(jax.random.key(0), 2000))
    expected = COUNTS**0.75 / (COUNTS**0.75).sum()
    found = np.bincount(draws.ravel(), minlength=V) / draws.size
    assert (np.abs(found - expected) < 5 * np.sqrt(expected / draws.size)).all()


def test_softplus_has_the_derivatives_of_its_definition():
    """Of the first and second order, forwards and backwards, where neither side overflows."""
    x = jnp.linspace(-20, 20, 81)

    def plain(x):
        return jnp.log1p(jnp.exp(x))

    def second(f):
        return jax.jacfwd(jax.grad(f))

    np.testing.assert_allclose(softplus(x), plain(x), rtol=1e-5)
    for derivative in (jax.grad, second):
        np.testing.assert_allclose(
            jax.vmap(derivative(softplus))(x), jax.vmap(derivative(plain))(x), rtol=1e-4, atol=1e-6
        )
    tangent = jnp.full_like(x, 2.0)
    np.testing.assert_allclose(
        jax.jvp(softplus, (x,), (tangent,))[1], 2 * jax.nn.sigmoid(x), rtol=1e-6
    )
