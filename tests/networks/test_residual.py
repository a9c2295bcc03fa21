"""The residual network of couplings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.residual import ResidualNetwork


def test_it_begins_at_zero_and_a_kernels_length_is_its_scale_alone():
    network = ResidualNetwork(4, 1)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 4, 2)), jnp.float32)
    params = network.init(jax.random.key(0), x)['params']
    assert not network.apply({'params': params}, x).any()

    params['leave']['kernel'] = params['leave']['kernel'] + 1
    first = params['enter']['direction']
    longer = params | {'enter': params['enter'] | {'direction': 3 * first}}
    outputs = network.apply({'params': params}, x)
    assert outputs.shape == (2, 4, 4, 4)
    np.testing.assert_allclose(network.apply({'params': longer}, x), outputs, atol=1e-4)


def test_no_width_is_refused():
    with pytest.raises(ValueError, match=r'^width, blocks, outputs are \(0, 1, 2\); each is at'):
        jax.eval_shape(ResidualNetwork(0, 1).init, jax.random.key(0), jnp.zeros((1, 4, 4, 1)))
