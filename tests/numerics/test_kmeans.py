"""k-means++ against the probabilities of its definition."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.numerics.kmeans import masked_plus_plus, plus_plus

KEY = jax.random.key(0)


def masked(key, x, n):
    """`masked_plus_plus` of the rows x behind one that is masked."""
    padded = jnp.concatenate([jnp.full((1, x.shape[1]), 100.0), x])
    return masked_plus_plus(key, padded, jnp.arange(len(padded)) > 0, n)


both = pytest.mark.parametrize('start', [plus_plus, masked])


@both
def test_rows_are_drawn_by_squared_distance(start):
    x = jnp.asarray([[0.0], [1.0], [3.0]])
    pairs = jax.vmap(partial(start, x=x, n=2))(jax.random.split(KEY, 6000))[..., 0]  # [6000, 2]
    for first, second, share in [(0, 3, 0.9), (1, 3, 0.8), (3, 0, 9 / 13)]:
        of_first = pairs[pairs[:, 0] == first]
        assert len(of_first) == pytest.approx(2000, abs=150)
        assert float(jnp.mean(of_first[:, 1] == second)) == pytest.approx(share, abs=0.035)


@both
def test_every_cluster_is_found(start):
    x = np.repeat(np.arange(5, dtype=np.float32)[:, None] * 10, 20, 0)
    chosen = jax.jit(start, static_argnums=2)(KEY, x, 5)
    assert set(np.asarray(chosen)[:, 0]) == {0, 10, 20, 30, 40}


def test_more_than_different_rows_are_finite():
    x = jnp.repeat(jnp.arange(5.0)[:, None] * 10, 20, 0)
    assert np.isfinite(plus_plus(KEY, x, 7)).all()
