"""Dense networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.mlp import MLP, WithScale

X = jax.random.normal(jax.random.key(0), (6, 2, 3))


def test_without_hidden_layers_it_is_affine():
    network = MLP((), (2, 2), bias_init=lambda key, shape, dtype: jnp.arange(4.0))
    params = network.init(jax.random.key(1), X)
    kernel = params['params']['Dense_0']['kernel']
    expected = X.reshape(6, 6) @ kernel + jnp.arange(4.0)[None]
    np.testing.assert_allclose(network.apply(params, X), expected.reshape(6, 2, 2), rtol=1e-6)


def test_layers_are_the_textbooks():
    network = MLP((5,), (3,), jnp.tanh)
    params = network.init(jax.random.key(1), X)
    first = params['params']['Dense_0']
    second = params['params']['Dense_1']
    hidden = np.tanh(X.reshape(6, 6) @ first['kernel'] + first['bias'][None])
    expected = hidden @ second['kernel'] + second['bias'][None]
    np.testing.assert_allclose(network.apply(params, X), expected, atol=1e-6)


def test_a_scale_is_learned_beside_the_output():
    network = WithScale(MLP((), (3,)), initial=0.5)
    params = network.init(jax.random.key(1), X)
    y, log_scale = network.apply(params, X)
    assert y.shape == (6, 3)
    np.testing.assert_allclose(log_scale, np.full(6, np.log(0.5)), rtol=1e-6)

    def sum_of_log_scales(params):
        _, log_scale = network.apply(params, X)
        return log_scale.sum()

    gradient = jax.grad(sum_of_log_scales)(params)
    assert gradient['params']['log_scale'] == 6


@pytest.mark.parametrize(
    ('network', 'message'),
    [
        (MLP((4, 0), (2,)), 'widths are (4, 0), shape (2,); all must be positive integers'),
        (WithScale(MLP((), (2,)), initial=-1.0), 'initial is -1.0; a scale must be positive'),
    ],
)
def test_what_makes_no_network_is_refused(network, message):
    with pytest.raises(ValueError) as error:
        network.init(jax.random.key(0), X)
    assert str(error.value) == message
