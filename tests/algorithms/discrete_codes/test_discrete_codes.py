"""Autoencoders of discrete codes, trained by the real trainer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.algorithms.discrete_codes import Model, discrete_codes, fsq, vq
from genjax.base import Data, Resident
from genjax.metrics.codebook import codebook_use
from genjax.networks.mlp import MLP
from genjax.numerics.likelihoods import fixed_gaussian
from genjax.training import Experiment, make_mesh, train

SQUARE = fixed_gaussian(0.1)


def uniform_rows(key, step):
    """Uniform in the square."""
    return {'x': jax.random.uniform(jax.random.fold_in(key, step), (64, 2), minval=-1.0)}


@pytest.mark.slow
def test_a_trained_fsq_uses_every_code_of_uniform_data():
    model = Model(MLP((16,), (1, 2)), MLP((16,), (2,)), fsq((4, 4)), SQUARE)
    algorithm = discrete_codes(model, optax.adam(1e-2))
    data = Data(Resident(jax.random.key(1), uniform_rows), [])
    mesh = make_mesh(jax.devices()[:1])
    state = train(Experiment(algorithm, data, {}), seed=0, steps=300, mesh=mesh)
    x = jax.random.uniform(jax.random.key(2), (4000, 2), minval=-1.0)
    index = algorithm.encode(jax.random.key(0), state, {'x': x})
    found = codebook_use(index, 16)
    assert found['used'] == 1 and found['perplexity'] > 12
    # One of 16 cells of a square of side 2 that are as large is 1/2 wide: variance 1/48.
    error = np.mean((algorithm.decode(jax.random.key(0), state, index) - x) ** 2)
    assert error < 2 / 48


def test_codes_go_there_and_back():
    model = Model(MLP((), (3, 2)), MLP((8,), (4,)), vq(6, 2), SQUARE)
    algorithm = discrete_codes(model, optax.sgd(0.1))
    batch = {'x': jax.random.normal(jax.random.key(0), (5, 4))}
    state = algorithm.init(jax.random.key(1), batch)
    index = jax.jit(algorithm.encode)(jax.random.key(2), state, batch)
    assert index.shape == (5, 3) and index.dtype == jnp.int32
    decoded = jax.jit(algorithm.decode)(jax.random.key(2), state, index)
    metrics = jax.jit(algorithm.evaluate)(jax.random.key(2), state, batch)
    expected = -jax.vmap(SQUARE.log_prob)(decoded, batch['x'])
    np.testing.assert_allclose(metrics['reconstruction'], expected, rtol=1e-5)
    assert np.all(metrics['loss'] > metrics['reconstruction'])


def test_an_encoder_or_decoder_of_another_shape_is_refused():
    batch = {'x': jnp.zeros((5, 4))}
    other = Model(MLP((), (3, 3)), MLP((), (4,)), vq(6, 2), SQUARE)
    with pytest.raises(ValueError, match=r'^the encoder gives \(1, 3, 3\); it must be \[B, L, 2\]'):
        discrete_codes(other, optax.sgd(0.1)).init(jax.random.key(0), batch)
    other = Model(MLP((), (3, 2)), MLP((), (1,)), vq(6, 2), SQUARE)
    algorithm = discrete_codes(other, optax.sgd(0.1))
    with pytest.raises(ValueError, match=r'^the decoder gives x of shape \(1,\); the data have'):
        algorithm.update(jax.random.key(0), algorithm.init(jax.random.key(0), batch), batch)
