"""A dense network that is given a condition by its sines."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.mlp import MLP
from genjax.networks.timed_mlp import TimedMLP, series

X = jax.random.normal(jax.random.key(0), (6, 2, 3))
CONDITION = jnp.linspace(-1.5, 1.0, 6)


def test_the_sines_are_those_of_whole_multiples():
    found = series(CONDITION, 4)
    c = np.asarray(CONDITION)
    expected = np.stack([np.sin(c), np.sin(2 * c), np.cos(c), np.cos(2 * c)], -1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_it_is_an_mlp_of_both():
    network = TimedMLP((5,), (2, 2), size=4)
    params = network.init(jax.random.key(1), X, CONDITION)['params']
    known = jnp.concatenate([X.reshape(6, 6), series(CONDITION, 4)], -1)
    plain = MLP((5,), (2, 2), jax.nn.silu).apply({'params': params['MLP_0']}, known)
    np.testing.assert_allclose(network.apply({'params': params}, X, CONDITION), plain, atol=1e-6)
    other = network.apply({'params': params}, X, CONDITION + 0.1)
    assert np.all(np.abs(other - plain).max((1, 2)) > 1e-4)


def test_a_duration_is_given_by_its_sines_too():
    network = TimedMLP((5,), (2, 2), size=4)
    params = network.init(jax.random.key(1), X, CONDITION, CONDITION / 2)['params']
    known = [X.reshape(6, 6), series(CONDITION, 4), series(CONDITION / 2, 4)]
    mlp = MLP((5,), (2, 2), jax.nn.silu)
    plain = mlp.apply({'params': params['MLP_0']}, jnp.concatenate(known, -1))
    found = network.apply({'params': params}, X, CONDITION, CONDITION / 2)
    np.testing.assert_allclose(found, plain, atol=1e-6)


@pytest.mark.parametrize('size', [0, 3])
def test_a_size_that_is_not_even_is_refused(size):
    with pytest.raises(ValueError, match=f'size is {size}; it must be positive and even'):
        TimedMLP((5,), (2,), size=size).init(jax.random.key(0), X, CONDITION)
