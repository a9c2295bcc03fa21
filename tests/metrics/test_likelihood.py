"""Divergences by closed forms, integrals and sampling: two routes to every number."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import multivariate_normal
from scipy import integrate, special, stats

from genjax.metrics.likelihood import (
    categorical_kl,
    diagonal_kl,
    gaussian_kl,
    monte_carlo_kl,
    quadrature_kl,
    standard_kl,
)
from tests.marks import slow

SEEDS = range(4)


def random_gaussian(rng, features):
    """(mean, covariance), float64; standard deviations lie between a half and two."""
    axes, _ = np.linalg.qr(rng.standard_normal((features, features)))
    mean = rng.standard_normal(features)
    variances = 4.0 ** rng.uniform(-1, 1, features)
    return mean, axes * variances @ axes.T


def single(*arrays):
    return tuple(jnp.asarray(x, jnp.float32) for x in arrays)


def textbook(q, p):
    """KL(q, p) of Gaussians (mean, covariance) in float64.

    (tr P^-1 Q + m P^-1 m - D + ln |P| / |Q|) / 2 of covariances P and Q, means m apart.
    """
    mean, covariance = q
    p_mean, p_covariance = p
    inverse = np.linalg.inv(p_covariance)
    difference = mean - p_mean
    _, log_determinant = np.linalg.slogdet(covariance)
    _, p_log_determinant = np.linalg.slogdet(p_covariance)
    trace = np.trace(inverse @ covariance)
    square = difference @ inverse @ difference
    return (trace + square - len(difference) + p_log_determinant - log_determinant) / 2


def log_density(mean, covariance):
    """The log-density of a Gaussian, x [N, D] -> [N]."""
    mean, covariance = single(mean, covariance)
    return jax.vmap(lambda x: multivariate_normal.logpdf(x, mean, covariance))


def sampler(mean, covariance):
    """Draws of a Gaussian, (key, n) -> [n, D]."""
    mean, root = single(mean, np.linalg.cholesky(covariance))

    def sample(key, n):
        return mean[None] + jax.random.normal(key, (n, len(mean))) @ root.T

    return sample


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('features', [1, slow(2), 5])
def test_gaussians_closed_form_is_the_textbooks_and_the_samples(features, seed):
    rng = np.random.default_rng(seed)
    q = random_gaussian(rng, features)
    p = random_gaussian(rng, features)
    closed = float(gaussian_kl(single(*q), single(*p)))
    np.testing.assert_allclose(closed, textbook(q, p), rtol=2e-5)
    key = jax.random.key(seed)
    estimate = monte_carlo_kl(key, log_density(*q), log_density(*p), sampler(*q), 20_000)
    assert abs(closed - estimate.value) < 4.5 * estimate.error
    assert estimate.error < 0.1 * closed


@pytest.mark.parametrize('seed', SEEDS)
def test_gaussians_closed_form_is_the_integral(seed):
    mean, p_mean, log_scale, p_log_scale = np.random.default_rng(seed).normal(0, 0.7, 4)
    q = stats.norm(mean, np.exp(log_scale))
    p = stats.norm(p_mean, np.exp(p_log_scale))

    def integrand(x):
        return q.pdf(x) * (q.logpdf(x) - p.logpdf(x))

    integral, _ = integrate.quad(integrand, *q.interval(1 - 1e-14))
    ours = diagonal_kl(single([mean], [log_scale]), single([p_mean], [p_log_scale]))
    np.testing.assert_allclose(ours, integral, rtol=1e-4)

    def square(scale):
        return [[np.exp(2 * scale)]]

    full = gaussian_kl(single([mean], square(log_scale)), single([p_mean], square(p_log_scale)))
    np.testing.assert_allclose(full, integral, rtol=1e-4)


def test_the_closed_forms_agree_where_they_overlap():
    mean, log_scale, p_mean, p_log_scale = single(*np.random.default_rng(0).normal(0, 0.5, (4, 6)))

    def full(mean, log_scale):
        return (mean, jnp.diag(jnp.exp(2 * log_scale)))

    q = (mean, log_scale)
    p = (p_mean, p_log_scale)
    np.testing.assert_allclose(diagonal_kl(q, p), gaussian_kl(full(*q), full(*p)), rtol=1e-5)
    standard = (jnp.zeros(6), jnp.zeros(6))
    standard_full = (jnp.zeros(6), jnp.eye(6))
    np.testing.assert_allclose(standard_kl(*q), gaussian_kl(full(*q), standard_full), rtol=1e-5)
    np.testing.assert_allclose(standard_kl(*q), diagonal_kl(q, standard), rtol=1e-6)


def test_divergence_is_positive_asymmetric_and_zero_between_equals():
    rng = np.random.default_rng(1)
    for _ in range(5):
        q = single(*random_gaussian(rng, 3))
        p = single(*random_gaussian(rng, 3))
        forward = gaussian_kl(q, p)
        reverse = gaussian_kl(p, q)
        assert min(forward, reverse) > 0.1 and abs(forward - reverse) > 0.01
        assert abs(gaussian_kl(q, q)) < 1e-6
    q = single(*rng.normal(size=(2, 4)))
    assert diagonal_kl(q, q) == 0
    logits, others = single(*rng.normal(size=(2, 7)))
    forward = categorical_kl(logits, others)
    reverse = categorical_kl(others, logits)
    assert min(forward, reverse) > 0.1 and abs(forward - reverse) > 0.01
    assert categorical_kl(logits, logits) == 0
    np.testing.assert_allclose(categorical_kl(logits, logits + 3.0), 0, atol=1e-6)


@pytest.mark.parametrize('shift', [1e-3, -1e-3, 1e-4])
def test_small_divergences_keep_their_digits(shift):
    """Close to N(0, 1) the divergence is of second order.

    That is below what float32 resolves of one plus that order.
    """
    expected = (np.expm1(2 * shift) - 2 * shift) / 2
    np.testing.assert_allclose(standard_kl(*single([0.0], [shift])), expected, rtol=5e-3)
    np.testing.assert_allclose(standard_kl(*single([shift], [0.0])), shift**2 / 2, rtol=1e-6)


def test_divergence_is_invariant_under_affine_maps_and_adds_up_over_independent_features():
    rng = np.random.default_rng(2)
    q = random_gaussian(rng, 3)
    p = random_gaussian(rng, 3)
    divergence = gaussian_kl(single(*q), single(*p))
    matrix = rng.standard_normal((3, 3)) + 2 * np.eye(3)
    shift = rng.standard_normal(3)

    def mapped(mean, covariance):
        return single(matrix @ mean + shift, matrix @ covariance @ matrix.T)

    np.testing.assert_allclose(gaussian_kl(mapped(*q), mapped(*p)), divergence, rtol=1e-3)

    other_q = random_gaussian(rng, 2)
    other_p = random_gaussian(rng, 2)
    other_divergence = gaussian_kl(single(*other_q), single(*other_p))

    def product(a, b):
        mean, covariance = a
        other_mean, other_covariance = b
        blocks = [[covariance, np.zeros((3, 2))], [np.zeros((2, 3)), other_covariance]]
        return single(np.append(mean, other_mean), np.block(blocks))

    joint = gaussian_kl(product(q, other_q), product(p, other_p))
    np.testing.assert_allclose(joint, divergence + other_divergence, rtol=1e-4)


def test_chain_rule():
    """KL of joint distributions is that of the first variable plus that of the second given it.

    The latter in the mean over q.
    """
    q, p = np.random.default_rng(3).dirichlet(np.full(12, 0.7), 2).reshape(2, 3, 4)

    def logs(x):
        return jnp.log(jnp.asarray(x, jnp.float32))

    whole = categorical_kl(logs(q.ravel()), logs(p.ravel()))
    first = categorical_kl(logs(q.sum(1)), logs(p.sum(1)))
    q_given = q / q.sum(1, keepdims=True)
    p_given = p / p.sum(1, keepdims=True)
    second = jax.vmap(categorical_kl)(logs(q_given), logs(p_given))
    expected = first + jnp.sum(second * jnp.float32(q.sum(1)))
    np.testing.assert_allclose(whole, expected, rtol=1e-5)


@pytest.mark.parametrize('seed', SEEDS)
def test_categorical_is_the_sum_of_relative_entropies(seed):
    q, p = np.random.default_rng(seed).dirichlet(np.ones(6), 2)
    q[seed] = 0
    q /= q.sum()
    expected = special.rel_entr(q, p).sum()
    q, p = single(q, p)
    np.testing.assert_allclose(categorical_kl(jnp.log(q), jnp.log(p)), expected, rtol=1e-5)


def test_categorical_with_probabilities_of_zero():
    q = jnp.log(jnp.array([0.5, 0.5, 0.0]))
    p = jnp.log(jnp.array([0.25, 0.25, 0.5]))
    np.testing.assert_allclose(categorical_kl(q, p), np.log(2), rtol=1e-6)  # 0 ln 0 = 0
    assert categorical_kl(p, q) == jnp.inf
    assert categorical_kl(q, q) == 0
    q_gradient, p_gradient = jax.grad(categorical_kl, (0, 1))(q, p)
    np.testing.assert_allclose(p_gradient, np.exp(p) - np.exp(q), atol=1e-6)
    # q is p restricted to the first two outcomes, the nearest to p of such distributions.
    np.testing.assert_allclose(q_gradient, 0, atol=1e-6)


def test_mixtures_by_quadrature_by_samples_and_by_scipy():
    means = (-2.0, 1.5)
    q_weights = (0.3, 0.7)
    q_scale = 0.6
    p_weights = (0.6, 0.4)
    p_scale = 0.9

    def log_mixture(weights, scale):
        parts = [log_density([mean], [[scale**2]]) for mean in means]

        def log_prob(x):
            return jnp.log(
                sum(w * jnp.exp(part(x)) for w, part in zip(weights, parts, strict=True))
            )

        return log_prob

    def sample(key, n):
        component_key, noise_key = jax.random.split(key)
        is_first = jax.random.bernoulli(component_key, q_weights[0], (n, 1))
        return jnp.where(is_first, *means) + q_scale * jax.random.normal(noise_key, (n, 1))

    def integrand(x):
        q = np.dot(q_weights, stats.norm.pdf(x, means, q_scale))
        p = np.dot(p_weights, stats.norm.pdf(x, means, p_scale))
        return q * np.log(q / p)

    log_q = log_mixture(q_weights, q_scale)
    log_p = log_mixture(p_weights, p_scale)
    by_quadrature = quadrature_kl(log_q, log_p, jnp.linspace(-6, 6, 601)[:, None], 0.02)
    by_scipy, _ = integrate.quad(integrand, -6, 6)
    np.testing.assert_allclose(by_quadrature, by_scipy, rtol=1e-4)
    estimate = monte_carlo_kl(jax.random.key(0), log_q, log_p, sample, 20_000)
    assert abs(by_quadrature - estimate.value) < 4.5 * estimate.error < 0.1 * by_quadrature


def test_quadrature_where_q_vanishes():
    """Of the uniform distribution on [0, 1] from N(0, 1): E [x^2 / 2] + ln(2 pi) / 2."""
    # The middles of cells from -1 to 3.
    points = (jnp.arange(4000, dtype=jnp.float32)[:, None] + 0.5) / 1000 - 1

    def uniform(x):
        return jnp.where((x[:, 0] > 0) & (x[:, 0] < 1), 0.0, -jnp.inf)

    normal = log_density(np.zeros(1), np.eye(1))
    expected = 1 / 6 + np.log(2 * np.pi) / 2
    found = quadrature_kl(uniform, normal, points, 1e-3)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert quadrature_kl(normal, uniform, points, 1e-3) == jnp.inf


def test_the_standard_error_is_the_deviation_of_estimates():
    rng = np.random.default_rng(4)
    q = random_gaussian(rng, 2)
    p = random_gaussian(rng, 2)
    estimate = partial(
        monte_carlo_kl, log_q=log_density(*q), log_p=log_density(*p), sample=sampler(*q), n=500
    )
    value, error = jax.vmap(estimate)(jax.random.split(jax.random.key(5), 400))
    scores = (np.asarray(value) - textbook(q, p)) / error
    assert abs(scores.mean()) < 4.5 / np.sqrt(400)
    np.testing.assert_allclose(scores.std(), 1, atol=4.5 / np.sqrt(800))


def test_one_sample_is_refused():
    normal = log_density(np.zeros(1), np.eye(1))
    with pytest.raises(ValueError, match=r'^n is 1; a standard error needs at least 2 samples$'):
        monte_carlo_kl(jax.random.key(0), normal, normal, lambda key, n: jnp.zeros((n, 1)), 1)
