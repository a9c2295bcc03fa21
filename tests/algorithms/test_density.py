"""Fits of densities against closed forms: moments, modes, likelihood as a divergence."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from genjax.algorithms.density import (
    Family,
    Gaussian,
    covariance,
    density,
    forward_kl,
    gaussian,
    gaussian_of,
    mixed,
    reverse_kl,
)
from genjax.averages import fixed
from genjax.data.tables import table
from genjax.metrics.likelihood import categorical_kl, gaussian_kl, quadrature_kl
from genjax.training import Every, Experiment, make_mesh, train
from tests.trees import assert_trees_equal

KEY = jax.random.key(3)
WEIGHTS = np.array([0.4, 0.6])
MEANS = np.array([[-4.0, 1.0], [4.0, -2.0]])
COVARIANCES = np.array([[[0.8, 0.4], [0.4, 0.5]], [[0.5, -0.2], [-0.2, 0.9]]])
SIDE = np.linspace(-9, 9, 181, dtype=np.float32)
PLANE = np.stack(np.meshgrid(SIDE, SIDE), -1).reshape(-1, 2)  # cells of 0.01


def parts():
    return jax.vmap(gaussian_of)(jnp.float32(MEANS), jnp.float32(COVARIANCES))


def moments():
    """The mean [2] and covariance [2, 2] of the mixture: within its parts, and of their means."""
    mean = WEIGHTS @ MEANS
    between = np.einsum('ki,kj->kij', MEANS - mean, MEANS - mean)
    return mean, np.einsum('k,kij->ij', WEIGHTS, COVARIANCES + between)


def sample_mixture(n, seed=0):
    """n examples of the mixture, [n, 2]."""
    rng = np.random.default_rng(seed)
    part = rng.choice(2, n, p=WEIGHTS)
    roots = np.linalg.cholesky(COVARIANCES)[part]
    noise = np.einsum('nij,nj->ni', roots, rng.standard_normal((n, 2)))
    return np.float32(MEANS[part] + noise)


def fitted(losses, x, *, family=gaussian, rate=0.1, steps=2000, seed=0, batch=None, **options):
    """The last state of the trainer, a `Fit`."""
    algorithm = density(family, losses, optax.adam(optax.cosine_decay_schedule(rate, steps)))
    experiment = Experiment(algorithm, table(x, batch=batch, seed=0, constant=True), {})
    return train(experiment, seed=seed, steps=steps, mesh=make_mesh(jax.devices()[:1]), **options)


def test_gaussian_is_scipys():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 2, (50, 2))
    for mean, square in zip(MEANS, COVARIANCES, strict=True):
        params = gaussian_of(jnp.float32(mean), jnp.float32(square))
        np.testing.assert_allclose(covariance(params), square, rtol=1e-6)
        expected = stats.multivariate_normal(mean, square).logpdf(x)
        np.testing.assert_allclose(gaussian.log_prob(params, jnp.float32(x)), expected, rtol=1e-5)
        samples = np.asarray(gaussian.sample(KEY, params, 20_000), np.float64)
        assert np.all(np.abs(samples.mean(0) - mean) < 4.5 * np.sqrt(np.diag(square) / 20_000))
        # The variance of a product of two normal deviations is s_ii s_jj + s_ij^2.
        error = np.sqrt((np.outer(np.diag(square), np.diag(square)) + square**2) / 20_000)
        assert np.all(np.abs(np.cov(samples.T) - square) < 4.5 * error)


def test_any_parameters_are_a_gaussian():
    params = Gaussian(jax.random.normal(KEY, (3,)), jax.random.normal(KEY, (3, 3)))
    assert np.linalg.eigvalsh(covariance(params)).min() > 0
    again = gaussian_of(params.mean, covariance(params))
    np.testing.assert_allclose(again.factor, np.tril(params.factor), atol=1e-5)
    points = jax.random.normal(KEY, (5, 3))
    np.testing.assert_allclose(
        gaussian.log_prob(again, points), gaussian.log_prob(params, points), rtol=1e-4
    )


def test_a_mixture_is_scipys_and_integrates_to_one():
    log_p = mixed(gaussian, WEIGHTS, parts())(PLANE)
    np.testing.assert_allclose(0.01 * np.exp(log_p).sum(), 1, rtol=1e-5)
    each = [
        w * stats.multivariate_normal(m, c).pdf(PLANE)
        for w, m, c in zip(WEIGHTS, MEANS, COVARIANCES, strict=True)
    ]
    np.testing.assert_allclose(np.exp(log_p), sum(each), atol=1e-6)


def test_maximum_likelihood_reaches_the_moments_of_the_sample():
    rng = np.random.default_rng(1)
    mixing = [[1.0, 0.5, 0.2], [0.0, 1.5, -0.4], [0.0, 0.0, 0.6]]
    x = np.float32(rng.standard_normal((500, 3)) @ mixing + [1.0, -2.0, 0.5])
    fit = fitted(forward_kl(gaussian), x)
    np.testing.assert_allclose(fit.params.mean, x.mean(0), atol=2e-4)
    np.testing.assert_allclose(covariance(fit.params), np.cov(x.T, bias=True), atol=2e-4)
    best = stats.multivariate_normal(x.mean(0), np.cov(x.T, bias=True)).logpdf(x).mean()
    np.testing.assert_allclose(jnp.mean(gaussian.log_prob(fit.params, x)), best, rtol=1e-6)


@pytest.mark.slow
def test_forward_divergence_matches_the_moments_of_a_mixture():
    """Three routes: the trainer on examples, moments in closed form, the slope of the integral."""
    mean, square = moments()
    fit = fitted(forward_kl(gaussian), sample_mixture(20_000), batch=500).params
    np.testing.assert_allclose(fit.mean, mean, atol=4.5 * np.sqrt(square.max() / 20_000) + 0.02)
    np.testing.assert_allclose(covariance(fit), square, rtol=0.05)
    log_p = mixed(gaussian, WEIGHTS, parts())

    def divergence(q):
        return quadrature_kl(log_p, partial(gaussian.log_prob, q), PLANE, 0.01)

    matched = gaussian_of(jnp.float32(mean), jnp.float32(square))
    assert 0 <= divergence(fit) - divergence(matched) < 1e-3
    slope = jax.grad(divergence)(matched)
    np.testing.assert_allclose(slope.mean, 0, atol=1e-4)
    np.testing.assert_allclose(slope.factor, 0, atol=1e-4)


def test_reverse_divergence_to_a_gaussian_reaches_it_exactly():
    p = jax.tree.map(lambda rows: rows[0], parts())
    fit = fitted(reverse_kl(gaussian, partial(gaussian.log_prob, p)), np.zeros((32, 2)))
    np.testing.assert_allclose(fit.params.mean, p.mean, atol=2e-5)
    np.testing.assert_allclose(covariance(fit.params), COVARIANCES[0], atol=2e-5)
    q = (fit.params.mean, covariance(fit.params))
    assert abs(gaussian_kl(q, (p.mean, covariance(p)))) < 1e-6


@pytest.mark.slow
def test_reverse_divergence_finds_one_mode():
    log_p = mixed(gaussian, WEIGHTS, parts())
    modes = set()
    for seed in range(3):
        fit = fitted(reverse_kl(gaussian, log_p, samples=4), np.zeros((64, 2)), seed=seed).params
        mode = np.argmin(np.linalg.norm(MEANS - np.asarray(fit.mean), axis=1))
        np.testing.assert_allclose(fit.mean, MEANS[mode], atol=0.02)
        np.testing.assert_allclose(covariance(fit), COVARIANCES[mode], atol=0.02)
        # A mode of weight w, where q is p / w: the divergence is -ln w.
        divergence = quadrature_kl(partial(gaussian.log_prob, fit), log_p, PLANE, 0.01)
        np.testing.assert_allclose(divergence, -np.log(WEIGHTS[mode]), atol=2e-3)
        modes.add(int(mode))
    assert modes == {0, 1}  # which one depends on where a fit begins


@pytest.mark.parametrize(('mean', 'log_scale'), [(0.3, 0.2), (-1.0, -0.5), (2.0, 0.8)])
def test_reverse_gradient_is_the_slope_of_the_integral(mean, log_scale):
    side = np.linspace(-20, 20, 8001)
    two = Gaussian(jnp.array([[-1.0], [1.5]]), jnp.array([[[-0.5]], [[0.1]]]))
    log_p = mixed(gaussian, WEIGHTS, two)
    p = 0.4 * stats.norm.pdf(side, -1, np.exp(-0.5)) + 0.6 * stats.norm.pdf(side, 1.5, np.exp(0.1))

    def divergence(mean, log_scale):
        q = stats.norm(mean, np.exp(log_scale))
        return 0.005 * np.sum(q.pdf(side) * (q.logpdf(side) - np.log(p)))

    h = 1e-4
    of_mean = divergence(mean + h, log_scale) - divergence(mean - h, log_scale)
    of_scale = divergence(mean, log_scale + h) - divergence(mean, log_scale - h)
    exact = (divergence(mean, log_scale), of_mean / (2 * h), of_scale / (2 * h))

    losses = reverse_kl(gaussian, log_p, samples=2)
    params = Gaussian(jnp.array([mean]), jnp.array([[log_scale]]))

    def loss(params, key):
        return jnp.mean(losses(key, params, {'x': jnp.zeros((32, 1))})['loss'])

    keys = jax.random.split(KEY, 400)
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(loss), (None, 0)))(params, keys)
    for estimates, expected in zip((values, *slopes), exact, strict=True):
        estimates = np.ravel(estimates)
        error = estimates.std() / 20  # of the mean of 400
        assert abs(estimates.mean() - expected) < 4.5 * error
        assert error < 0.05


def test_reverse_gradient_has_no_variance_at_the_optimum_and_none_from_a_constant():
    p = jax.tree.map(lambda rows: rows[1], parts())
    log_p = partial(gaussian.log_prob, p)

    def shifted(x):
        return log_p(x) + 5.0

    def loss(params, log_p):
        batch = {'x': jnp.zeros((16, 2))}
        return jnp.sum(reverse_kl(gaussian, log_p)(KEY, params, batch)['loss'])

    slope = jax.grad(loss)(p, log_p)
    np.testing.assert_allclose(slope.mean, 0, atol=1e-4)
    np.testing.assert_allclose(slope.factor, 0, atol=1e-4)
    other = jax.tree.map(lambda rows: rows[0], parts())
    np.testing.assert_allclose(loss(other, shifted), loss(other, log_p) - 16 * 5, rtol=1e-5)
    assert_trees_equal(jax.grad(loss)(other, shifted), jax.grad(loss)(other, log_p))


def categorical(outcomes):
    """All distributions over so many outcomes, which x [B, 1] names by numbers."""

    def init(key, batch):
        return jax.random.normal(key, (outcomes,))

    def log_prob(logits, x):
        return jax.nn.log_softmax(logits)[x[:, 0].astype(int)]

    def sample(key, logits, n):
        return jax.random.categorical(key, logits, shape=(n, 1))

    return Family(init, log_prob, sample)


def test_likelihood_is_divergence_plus_entropy_at_every_step(tmp_path):
    """argmin KL(p_data, q) = argmax sum log q(x_i): they differ by a number that never changes."""
    x = np.random.default_rng(2).choice(5, (400, 1), p=[0.1, 0.4, 0.2, 0.25, 0.05])
    shares = np.bincount(x[:, 0]) / len(x)
    family = categorical(5)

    def losses(key, params, batch):
        kl = categorical_kl(jnp.log(jnp.float32(shares)), params)
        metrics = forward_kl(family)(key, params, batch)
        return metrics | {'kl': jnp.broadcast_to(kl, len(batch['x']))}

    every = Every(log=1, evaluate=500, save=500)
    fit = fitted(losses, x, family=family, steps=200, rate=0.1, every=every, workdir=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').read_text().splitlines()]
    loss, kl = (np.array([row[name] for row in rows]) for name in ('loss', 'kl'))
    assert len(rows) == 200 and kl[0] > 0.3
    np.testing.assert_allclose(loss - kl, -np.sum(shares * np.log(shares)), atol=2e-6)
    np.testing.assert_allclose(kl[-1], 0, atol=1e-6)
    np.testing.assert_allclose(jax.nn.softmax(fit.params), shares, atol=1e-4)


def test_evaluate_and_sample_use_the_average():
    x = jnp.float32(sample_mixture(8))
    losses = reverse_kl(gaussian, mixed(gaussian, WEIGHTS, parts()))
    algorithm = density(gaussian, losses, optax.adam(0.1), decay=fixed(0.5))
    start = algorithm.init(KEY, {'x': x})
    fit = jax.jit(algorithm.update)(KEY, start, {'x': x})[0]
    np.testing.assert_allclose(
        fit.average.mean, (start.params.mean + fit.params.mean) / 2, rtol=1e-6
    )
    metrics = algorithm.evaluate(KEY, fit, {'x': x})
    np.testing.assert_array_equal(metrics['nll'], -gaussian.log_prob(fit.average, x))
    np.testing.assert_array_equal(metrics['loss'], losses(KEY, fit.average, {'x': x})['loss'])
    samples = algorithm.sample(KEY, fit, 5)
    np.testing.assert_array_equal(samples, gaussian.sample(KEY, fit.average, 5))


def test_what_is_refused_is_one_line():
    with pytest.raises(ValueError, match=r'^samples is 0; at least 1 is needed$'):
        reverse_kl(gaussian, lambda x: x[:, 0], samples=0)
    with pytest.raises(
        ValueError, match=r'^weights are \(0.5, 0.6\); they must be positive and sum to 1$'
    ):
        mixed(gaussian, [0.5, 0.6], parts())
    algorithm = density(gaussian, forward_kl(gaussian), optax.sgd(0.1))
    with pytest.raises(
        ValueError, match=r'^x has shape \(4, 2, 2\); a Gaussian needs vectors, \[B, D\]'
    ):
        jax.eval_shape(algorithm.init, KEY, {'x': jnp.zeros((4, 2, 2))})
