"""A learnt weight of times."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.log_weight import LogWeight
from genjax.networks.timed_mlp import series

T = jnp.linspace(0.2, 1.5, 6)
R = T / 3


def test_it_begins_at_zero_and_is_linear_in_the_sines_of_both_times():
    network = LogWeight(size=4)
    params = network.init(jax.random.key(0), T, R)['params']
    np.testing.assert_array_equal(network.apply({'params': params}, T, R), jnp.zeros(6))
    kernel = jnp.arange(8.0)[:, None]
    params = {'Dense_0': {'kernel': kernel, 'bias': jnp.ones(1)}}
    known = jnp.concatenate([series(T, 4), series(T - R, 4)], -1)
    expected = known @ kernel[:, 0] + 1
    np.testing.assert_allclose(network.apply({'params': params}, T, R), expected, rtol=1e-6)


def test_sines_and_cosines_are_as_many():
    with pytest.raises(ValueError, match='^size is 5; it must be positive and even'):
        LogWeight(size=5).init(jax.random.key(0), T, R)
