"""Drifting models: the field by its closed form, where it is zero, and what training reaches."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.algorithms.drifting import (
    drifting,
    energy_score,
    field,
    gaussian,
    laplacian,
    pull,
)
from genjax.base import Data, Resident
from genjax.networks.mlp import MLP
from genjax.training import Experiment, make_mesh, train

WIDTH = 0.5
P = (1.0, 0.3)  # mean and variance
Q = (-0.2, 0.8)
KEY = jax.random.key(0)


def grid_of(mean, variance):
    """Quantiles of a normal law: draws of it without Monte Carlo error, [M, 1]."""
    from scipy.stats import norm

    shares = (np.arange(20_000) + 0.5) / 20_000
    return jnp.asarray(norm.ppf(shares, mean, np.sqrt(variance)))[:, None]


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def test_the_field_is_the_difference_of_smoothed_scores_times_the_squared_width(double):
    x = jnp.linspace(-0.5, 2.0, 9)[:, None]

    def score(law):
        mean, variance = law
        return -(x - mean) / (variance + WIDTH**2)

    found = field(gaussian(WIDTH), x, grid_of(*P), grid_of(*Q))
    expected = WIDTH**2 * (score(P) - score(Q))
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert float(jnp.abs(expected).min()) > 1e-2


@pytest.mark.parametrize('kernel', [gaussian(WIDTH), laplacian(WIDTH)])
def test_the_field_is_zero_where_both_laws_are_one(kernel, double):
    x = jnp.linspace(-1.5, 2.0, 9)[:, None]
    np.testing.assert_array_equal(field(kernel, x, grid_of(*P), grid_of(*P)), jnp.zeros((9, 1)))
    # And of drawn points: zero in the mean over draws, while that between other laws is not.
    rng = np.random.default_rng(0)
    draws = jnp.asarray(P[0] + np.sqrt(P[1]) * rng.normal(size=(2, 200, 64, 1)))
    drifts = jax.vmap(lambda p, q: field(kernel, x, p, q))(*draws)
    error = np.std(drifts, 0) / np.sqrt(200)
    assert np.all(np.abs(np.mean(drifts, 0)) < 4.5 * error)


@pytest.mark.parametrize('kernel', [gaussian(WIDTH), laplacian(WIDTH)])
def test_a_place_is_not_pulled_to_itself(kernel, double):
    rng = np.random.default_rng(1)
    y = jnp.asarray(rng.normal(size=(6, 2)))
    own = jnp.array([4, 2])
    found = pull(kernel, y[own], y, own)
    for row, i in zip(found, own, strict=True):
        rest = jnp.delete(y, i, axis=0)
        np.testing.assert_allclose(row, pull(kernel, y[i][None], rest)[0], atol=1e-12)


def test_the_gradient_is_the_field_through_the_generator():
    """Of an affine generator: -2 E[V] by its bias, as of a target that does not move."""
    generator = MLP((), (1,))
    algorithm = drifting(generator, optax.sgd(1.0), latent=1, kernel=gaussian(WIDTH))
    x = np.random.default_rng(0).normal(1, 0.5, (64, 1))
    batch = {'x': jnp.asarray(x, jnp.float32)}
    state = algorithm.init(KEY, batch)
    after, metrics = algorithm.update(KEY, state, batch)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(KEY, jnp.arange(64))
    z = jax.vmap(lambda key: jax.random.normal(key, (1,)))(keys)
    x = generator.apply({'params': state.params}, z)
    drift = field(gaussian(WIDTH), x, batch['x'], x, jnp.arange(64))
    moved = after.params['Dense_0']['bias'] - state.params['Dense_0']['bias']
    np.testing.assert_allclose(moved, 2 * drift.mean(0), atol=1e-5)
    np.testing.assert_allclose(metrics['loss'], (drift**2).sum(-1).mean(), rtol=1e-4)


def test_the_energy_score_is_least_for_the_law_of_the_data(double):
    x, y = grid_of(*P)[3::40], grid_of(*P)[17::35]
    same = float(energy_score(x, y).mean())
    for other in (y + 0.3, 1 + 1.3 * (y - 1), 1 + 0.7 * (y - 1)):
        assert float(energy_score(x, other).mean()) > same + 0.003
    # Half of E|x - x'| of a normal law, 2 s / sqrt(pi) / 2.
    assert same == pytest.approx(np.sqrt(P[1] / np.pi), rel=5e-3)


def test_training_reaches_the_mean_and_the_covariance_of_the_data():
    mean = np.array([1.0, -0.5])
    root = np.array([[0.8, 0.0], [0.5, 0.6]])

    def make_batch(key, step):
        z = jax.random.normal(jax.random.fold_in(key, step), (256, 2))
        return {'x': jnp.asarray(mean[None], jnp.float32) + z @ jnp.asarray(root.T, jnp.float32)}

    data = Data(Resident(jax.random.key(1), make_batch), [])
    rate = optax.cosine_decay_schedule(0.02, 600)
    algorithm = drifting(
        MLP((), (2,)), optax.adam(rate), latent=2, kernel=gaussian(1.0), decay=0.98
    )
    mesh = make_mesh(jax.devices()[:1])
    state = train(Experiment(algorithm, data, {}), seed=0, steps=600, mesh=mesh)
    x = np.asarray(algorithm.sample(KEY, state, 20_000))
    np.testing.assert_allclose(x.mean(0), mean, atol=0.05)
    np.testing.assert_allclose(np.cov(x.T), root @ root.T, atol=0.08)


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match='^width is 0.0; it must be positive$'):
        gaussian(0.0)
    with pytest.raises(ValueError, match='^latent is 0, scored 500; needed: >= 1, >= 2$'):
        drifting(MLP((), (1,)), optax.sgd(1.0), latent=0, kernel=gaussian(1.0))
    algorithm = drifting(MLP((), (3,)), optax.sgd(1.0), latent=1, kernel=gaussian(1.0))
    batch = {'x': jnp.zeros((4, 2))}
    state = algorithm.init(KEY, batch)
    with pytest.raises(ValueError, match=r'gives \(4, 3\); the data have \(4, 2\)'):
        algorithm.update(KEY, state, batch)
