"""Densities in the plane, beside each other."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.probes.densities import densities


def log_normal(x):
    return -jnp.sum(x**2, -1) / 2 - np.log(2 * np.pi)


def sample(key, state, n):
    return jax.random.normal(key, (n, 2))


def learnt(state, x):
    return log_normal(x) + state


def upper_panels(state):
    """The two densities as they are drawn, uint8 [H, W, 3] each."""
    real = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    measure = densities(log_normal, learnt, sample, real, extent=3.0, points=50)
    picture = measure(jax.random.key(0), jnp.float32(state))['densities']
    # Below the titles, where both panels are alike in place.
    upper = picture[60 : len(picture) // 2 - 40]
    middle = picture.shape[1] // 2
    return upper[:, 60 : middle - 60], upper[:, middle + 60 : -60]


def test_equal_densities_are_drawn_alike_and_a_lower_one_darker_on_the_same_scale():
    exact, same = upper_panels(0.0)
    assert abs(exact.mean() - same.mean()) < 1
    unchanged, lower = upper_panels(-1.0)
    np.testing.assert_array_equal(unchanged, exact)
    assert lower.mean() < exact.mean() - 5
