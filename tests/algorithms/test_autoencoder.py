"""Autoencoders against closed forms: linear ones are PCA, or regression of reduced rank."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.linalg import subspace_angles

from genjax.algorithms.autoencoder import (
    Model,
    additive,
    autoencoder,
    masking,
    random_codes,
    standard_moments,
    update_moments,
)
from genjax.data.tables import table
from genjax.networks.mlp import MLP
from genjax.numerics.likelihoods import bernoulli, squares
from genjax.training import Every, Experiment, by_jit, by_pmap, evaluate, make_mesh, train
from tests.marks import slow

KEY = jax.random.key(7)
DRAW = np.random.default_rng(0)
N, D, K = 256, 8, 3
TURN = np.linalg.qr(DRAW.normal(size=(D, D)))[0]
SCALES = np.array([2, 1.5, 1.1, 0.6, 0.5, 0.3, 0.2, 0.1])
ROWS = ((DRAW.normal(size=(N, D)) * SCALES) @ TURN + DRAW.normal(size=D)).astype(np.float32)
MEAN = ROWS.mean(0, dtype=np.float64)
COVARIANCE = np.cov(ROWS.T.astype(np.float64), bias=True)
QUICK = Every(log=1000, evaluate=10_000, save=10_000)


class Same(nn.Module):
    """A network without parameters."""

    @nn.compact
    def __call__(self, x):
        return x


def fitted(algorithm, x, *, steps, devices=1, parallel=by_jit, batch=None):
    """The last state and the test loss, by the real trainer."""
    data = table(x, batch=batch, seed=0, test={'x': x}, constant=True)
    experiment = Experiment(algorithm, data, {})
    mesh = make_mesh(jax.devices()[:devices])
    state = train(
        experiment,
        seed=0,
        steps=steps,
        mesh=mesh,
        steps_per_call=100,
        every=QUICK,
        parallel=parallel,
    )
    return state, evaluate(experiment, state, seed=0, mesh=mesh)['test/loss']


def linear(shape, steps, *, rate=3e-2, **options):
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps), b2=0.99)
    return autoencoder(Model(MLP((), shape), MLP((), (D,)), squares(1.0)), optimizer, **options)


def matrix(state, network):
    return np.asarray(state.fit.average[network]['Dense_0']['kernel'], np.float64)


def test_a_linear_autoencoder_finds_the_subspace_of_pca_and_the_best_error_of_its_rank():
    algorithm = linear((K,), 2000)
    state, loss = fitted(algorithm, ROWS, steps=2000)
    _, scales, axes = np.linalg.svd(ROWS - MEAN, full_matrices=False)
    best = np.sum(scales[K:] ** 2) / N
    assert subspace_angles(matrix(state, 'decoder').T, axes[:K].T).max() < 1e-4
    assert loss == pytest.approx(best, rel=1e-5)
    # Its samples are then those of the Gaussian with the K largest variances of the data, and the
    # data's mean.
    projected = axes[:K].T @ np.diag(scales[:K] ** 2 / N) @ axes[:K]
    decoder = matrix(state, 'decoder')
    decoded = decoder.T @ np.asarray(state.moments.covariance) @ decoder
    np.testing.assert_allclose(decoded, projected, atol=1e-4)
    centre = algorithm.decode(KEY, state, state.moments.mean[None])[0]
    np.testing.assert_allclose(centre, MEAN, atol=1e-4)


def test_a_code_of_one_number_follows_a_curve_as_no_principal_component_can():
    t = np.linspace(-1, 1, 64)
    curve = np.stack([t, 2 * t**2], -1).astype(np.float32)
    model = Model(MLP((32,), (1,), nn.tanh), MLP((32,), (2,), nn.tanh), squares(1.0))
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, 2000))
    _, loss = fitted(autoencoder(model, optimizer), curve, steps=2000)
    best_line = np.linalg.eigvalsh(np.cov(curve.T, bias=True))[0]
    assert loss < 0.01 * best_line


def reduced_rank(corrupted, cross, rank):
    """The W of a rank that minimises E||x - W y||^2, from E[y y'] and E[x y'].

    It is the regression of x on y, projected on the first eigenvectors of the covariance of what it
    predicts.
    """
    full = cross @ np.linalg.inv(corrupted)
    axes = np.linalg.eigh(full @ corrupted @ full.T)[1][:, -rank:]
    return axes @ axes.T @ full


KEPT = 0.7
CENTRED = (ROWS - MEAN).astype(np.float32)


@pytest.mark.parametrize(
    ('corrupt', 'corrupted', 'cross'),
    [
        slow(additive(0.8), COVARIANCE + 0.8**2 * np.eye(D), COVARIANCE),
        (
            masking(1 - KEPT),
            KEPT**2 * COVARIANCE + KEPT * (1 - KEPT) * np.diag(np.diag(COVARIANCE)),
            KEPT * COVARIANCE,
        ),
    ],
    ids=['additive', 'masking'],
)
@pytest.mark.slow
def test_a_linear_denoising_autoencoder_is_reduced_rank_regression(corrupt, corrupted, cross):
    """x on its corrupted self, on centred data; without noise it would be the projection of PCA."""
    state, _ = fitted(linear((K,), 4000, corrupt=corrupt, decay=0.99), CENTRED, steps=4000)
    expected = reduced_rank(corrupted, cross, K)
    actual = (matrix(state, 'encoder') @ matrix(state, 'decoder')).T
    plain = reduced_rank(COVARIANCE, COVARIANCE, K)
    assert np.linalg.norm(actual - expected) < 0.02 * np.linalg.norm(expected)
    assert np.linalg.norm(plain - expected) > 0.2 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ('corrupt', 'mean_square'),
    [
        (additive(0.5), lambda x: D * 0.5**2),
        (masking(0.25), lambda x: 0.25 * np.sum(x**2, 1).mean()),
    ],
    ids=['additive', 'masking'],
)
def test_the_loss_compares_with_the_clean_example(corrupt, mean_square):
    """Where f and g are the identity it is what the corruption has done, whose mean is known."""
    x = DRAW.uniform(1, 2, (4096, D)).astype(np.float32)
    algorithm = autoencoder(Model(Same(), Same(), squares(1.0)), optax.sgd(0.1), corrupt=corrupt)
    state = algorithm.init(KEY, {'x': x})
    loss = np.asarray(algorithm.evaluate(KEY, state, {'x': x})['loss'], np.float64)
    assert abs(loss.mean() - mean_square(x)) < 4 * loss.std() / np.sqrt(len(x))
    np.testing.assert_array_equal(algorithm.encode(KEY, state, {'x': x}), x)


def test_a_penalty_on_the_code_is_a_soft_threshold_and_makes_zeros():
    """With g the identity and h free, (x - h)^2 + s |h| is least at sign(x) max(|x| - s / 2, 0)."""
    x = np.array([[-2, -0.3, 0.1, 0.6, 1.5]], np.float32)
    optimizer = optax.sgd(optax.exponential_decay(0.05, 10, 0.95))
    algorithm = autoencoder(Model(MLP((), (5,)), Same(), squares(1.0)), optimizer, sparsity=1.0)
    state, _ = fitted(algorithm, x, steps=2000)
    expected = np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)
    np.testing.assert_allclose(algorithm.encode(KEY, state, {'x': x}), expected, atol=2e-3)


@pytest.mark.slow
def test_sparsity_raises_zeros():
    class Rectified(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.relu(nn.Dense(16)(x))

    def zeros(sparsity):
        optimizer = optax.adamw(1e-2, weight_decay=0.01)
        algorithm = autoencoder(
            Model(Rectified(), MLP((), (D,)), squares(1.0)), optimizer, sparsity=sparsity
        )
        state, _ = fitted(algorithm, ROWS, steps=500)
        return np.mean(np.asarray(algorithm.encode(KEY, state, {'x': ROWS})) == 0)

    none, some, much = (zeros(s) for s in (0.0, 0.5, 5.0))
    assert none + 0.05 < some < much - 0.05


def test_the_penalty_is_the_l1_norm_of_the_code():
    x, sparsity = np.array([[0, 0, -2, 3.5]], np.float32), 0.3
    algorithm = autoencoder(Model(Same(), Same(), squares(1.0)), optax.sgd(0.1), sparsity=sparsity)
    metrics = algorithm.evaluate(KEY, algorithm.init(KEY, {'x': x}), {'x': x})
    expected = {'loss': 5.5 * sparsity, 'reconstruction': 0.0, 'zeros': 0.5}
    assert {name: float(value[0]) for name, value in metrics.items()} == pytest.approx(expected)


def weighted_moments(codes, weights):
    """In float64, of batches [T, B, K] with a weight each."""
    rows = codes.reshape(-1, codes.shape[-1]).astype(np.float64)
    each = np.repeat(weights, codes.shape[1])
    return np.average(rows, 0, each), np.cov(rows.T, aweights=each, bias=True)


@pytest.mark.parametrize('memory', [1.0, 0.8, 0.0])
def test_moments_are_weighted_means_over_the_batches_even_far_from_0(memory):
    codes = (DRAW.normal(size=(20, 32, 3)) @ DRAW.normal(size=(3, 3)) + 300).astype(np.float32)
    moments = standard_moments((3,))
    for batch in codes:
        moments = jax.jit(update_moments, static_argnums=2)(moments, batch, memory)
    weights = memory ** np.arange(19, -1, -1.0)
    mean, covariance = weighted_moments(codes, weights)
    np.testing.assert_allclose(moments.weight, weights.sum(), rtol=1e-6)
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(moments.covariance, covariance, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('parallel', [slow(by_jit), by_pmap])
def test_moments_are_those_of_all_codes_of_an_epoch_on_any_devices(parallel):
    """A network that does not learn, eight batches on eight devices, all of one weight."""
    algorithm = autoencoder(
        Model(MLP((), (K,)), MLP((), (D,)), squares(1.0)), optax.set_to_zero(), memory=1.0
    )
    state, _ = fitted(algorithm, ROWS, steps=8, batch=32, devices=8, parallel=parallel)
    codes = np.asarray(algorithm.encode(KEY, jax.device_get(state), {'x': ROWS}), np.float64)
    np.testing.assert_allclose(state.moments.mean, codes.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        state.moments.covariance, np.cov(codes.T, bias=True), rtol=1e-4, atol=1e-5
    )


def test_random_codes_have_the_moments_singular_or_not():
    root = np.array([[1, 0, 0], [2, 0, 0], [0.5, 0, 3]], np.float32)  # of rank 2
    moments = standard_moments((3, 1))._replace(
        covariance=jnp.asarray(root @ root.T), mean=jnp.full((3, 1), 5.0)
    )
    # Six points with mean 0 and covariance 1.
    normals = np.sqrt(3) * np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32)
    codes = np.asarray(random_codes(moments, normals), np.float64)
    assert codes.shape == (6, 3, 1)
    np.testing.assert_allclose(codes.mean(0), np.full((3, 1), 5), rtol=1e-6)
    np.testing.assert_allclose(np.cov(codes[..., 0].T, bias=True), root @ root.T, atol=1e-5)


def test_a_sample_before_training_decodes_standard_normal_codes_each_from_its_own_key():
    algorithm = autoencoder(Model(Same(), Same(), squares(1.0)), optax.sgd(0.1))
    state = algorithm.init(KEY, {'x': ROWS})
    x = np.asarray(algorithm.sample(KEY, state, 4000), np.float64)
    np.testing.assert_allclose(np.cov(x.T), np.eye(D), atol=0.1)
    np.testing.assert_array_equal(algorithm.sample(KEY, state, 5), x[:5].astype(np.float32))


@pytest.mark.parametrize('likelihood', [squares(0.5), bernoulli], ids=['squares', 'bernoulli'])
def test_the_loss_is_the_formula(likelihood):
    x = DRAW.uniform(0, 1, (5, 4)).astype(np.float32)
    algorithm = autoencoder(Model(MLP((), (2,)), MLP((), (4,)), likelihood), optax.sgd(0.1))
    state = algorithm.init(KEY, {'x': x})
    r = np.asarray(algorithm.encode(KEY, state, {'x': x}), np.float64) @ matrix(state, 'decoder')
    p = 1 / (1 + np.exp(-r))
    cross_entropy = -np.sum(x * np.log(p) + (1 - x) * np.log(1 - p), 1)
    expected = cross_entropy if likelihood is bernoulli else 0.5 * np.sum((x - r) ** 2, 1)
    loss = algorithm.evaluate(KEY, state, {'x': x})['loss']
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    _, metrics = jax.jit(algorithm.update)(KEY, state, {'x': x})
    np.testing.assert_allclose(metrics['loss'], expected.mean(), rtol=1e-5)
    decoded = algorithm.decode(KEY, state, algorithm.encode(KEY, state, {'x': x}))
    np.testing.assert_allclose(decoded, p if likelihood is bernoulli else r, rtol=1e-5, atol=1e-6)


def test_examples_and_codes_may_have_any_shape():
    x = DRAW.normal(size=(6, 4, 4, 2)).astype(np.float32)
    model = Model(nn.Conv(3, (3, 3), strides=2), MLP((5,), (4, 4, 2)), squares(1.0))
    algorithm = autoencoder(model, optax.adam(1e-2), corrupt=masking(0.2))

    def maps(key):
        state, _ = algorithm.update(key, algorithm.init(key, {'x': x}), {'x': x})
        code = algorithm.encode(key, state, {'x': x})
        return code, state.moments.covariance, algorithm.sample(key, state, 7)

    shapes = [array.shape for array in jax.eval_shape(maps, KEY)]
    assert shapes == [(6, 2, 2, 3), (12, 12), (7, 4, 4, 2)]


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: masking(1.0), 'probability is 1.0; masking needs 0 <= probability < 1'),
        (lambda: additive(-0.1), 'scale is -0.1; a standard deviation must be at least 0'),
        (
            lambda: linear((2,), 10, sparsity=-1.0),
            'sparsity is -1.0, memory 0.99; needed: sparsity >= 0',
        ),
        (
            lambda: linear((2,), 10, memory=1.5),
            'sparsity is 0.0, memory 1.5; needed: sparsity >= 0, memory in',
        ),
        (lambda: linear((2,), 10, decay=1.0), 'decay is 1.0'),
        (
            lambda: linear((2,), 10).init(KEY, {'x': ROWS[:, :5]}),
            r'gives x of shape \(8,\); the data have \(5,\)',
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
