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

SEEDS = range(4)


def random_gaussian(rng, features):
    """(mean, covariance), float64; standard deviations lie between a half and two."""
    axes = np.linalg.qr(rng.standard_normal((features, features)))[0]
    return rng.standard_normal(features), axes * 4.0 ** rng.uniform(-1, 1, features) @ axes.T


def single(*arrays):
    return tuple(jnp.asarray(x, jnp.float32) for x in arrays)


def textbook(q, p):
    """KL(q, p) of Gaussians (mean, covariance) in float64: (tr P^-1 Q + m P^-1 m - D + ln |P| /
    |Q|) / 2."""
    (mean, q), (p_mean, p) = q, p
    inverse, gap = np.linalg.inv(p), mean - p_mean
    logs = np.linalg.slogdet(p)[1] - np.linalg.slogdet(q)[1]
    return (np.trace(inverse @ q) + gap @ inverse @ gap - len(gap) + logs) / 2


def log_density(mean, covariance):
    return jax.vmap(lambda x: multivariate_normal.logpdf(x, *single(mean, covariance)))


def sampler(mean, covariance):
    mean, root = single(mean, np.linalg.cholesky(covariance))
    return lambda key, n: mean[None] + jax.random.normal(key, (n, len(mean))) @ root.T


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('features', [1, 2, 5])
def test_gaussians_closed_form_is_the_textbooks_and_the_samples(features, seed):
    rng = np.random.default_rng(seed)
    q, p = random_gaussian(rng, features), random_gaussian(rng, features)
    closed = float(gaussian_kl(single(*q), single(*p)))
    np.testing.assert_allclose(closed, textbook(q, p), rtol=2e-5)
    drawn = monte_carlo_kl(
        jax.random.key(seed), log_density(*q), log_density(*p), sampler(*q), 20_000
    )
    assert abs(closed - drawn.value) < 4.5 * drawn.error
    assert drawn.error < 0.1 * closed


@pytest.mark.parametrize('seed', SEEDS)
def test_gaussians_closed_form_is_the_integral(seed):
    mean, p_mean, log_scale, p_log_scale = np.random.default_rng(seed).normal(0, 0.7, 4)
    q, p = stats.norm(mean, np.exp(log_scale)), stats.norm(p_mean, np.exp(p_log_scale))
    integral, _ = integrate.quad(
        lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), *q.interval(1 - 1e-14)
    )
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

    q, p = (mean, log_scale), (p_mean, p_log_scale)
    np.testing.assert_allclose(diagonal_kl(q, p), gaussian_kl(full(*q), full(*p)), rtol=1e-5)
    np.testing.assert_allclose(
        standard_kl(*q), gaussian_kl(full(*q), (jnp.zeros(6), jnp.eye(6))), rtol=1e-5
    )
    np.testing.assert_allclose(
        standard_kl(*q), diagonal_kl(q, (jnp.zeros(6), jnp.zeros(6))), rtol=1e-6
    )


def test_divergence_is_positive_asymmetric_and_zero_between_equals():
    rng = np.random.default_rng(1)
    for _ in range(5):
        q, p = (single(*random_gaussian(rng, 3)) for _ in range(2))
        there, back = gaussian_kl(q, p), gaussian_kl(p, q)
        assert min(there, back) > 0.1 and abs(there - back) > 0.01
        assert abs(gaussian_kl(q, q)) < 1e-6
    assert diagonal_kl(q := single(*rng.normal(size=(2, 4))), q) == 0
    logits, others = single(*rng.normal(size=(2, 7)))
    there, back = categorical_kl(logits, others), categorical_kl(others, logits)
    assert min(there, back) > 0.1 and abs(there - back) > 0.01
    assert categorical_kl(logits, logits) == 0
    np.testing.assert_allclose(categorical_kl(logits, logits + 3.0), 0, atol=1e-6)


@pytest.mark.parametrize('shift', [1e-3, -1e-3, 1e-4])
def test_small_divergences_keep_their_digits(shift):
    """Close to N(0, 1) the divergence is of second order, below what float32 resolves of one plus
    that order."""
    np.testing.assert_allclose(
        standard_kl(*single([0.0], [shift])), (np.expm1(2 * shift) - 2 * shift) / 2, rtol=5e-3
    )
    np.testing.assert_allclose(standard_kl(*single([shift], [0.0])), shift**2 / 2, rtol=1e-6)


def test_divergence_is_invariant_under_affine_maps_and_adds_up_over_independent_features():
    rng = np.random.default_rng(2)
    q, p = random_gaussian(rng, 3), random_gaussian(rng, 3)
    matrix, shift = rng.standard_normal((3, 3)) + 2 * np.eye(3), rng.standard_normal(3)

    def mapped(mean, covariance):
        return single(matrix @ mean + shift, matrix @ covariance @ matrix.T)

    np.testing.assert_allclose(
        gaussian_kl(mapped(*q), mapped(*p)), gaussian_kl(single(*q), single(*p)), rtol=1e-3
    )

    other_q, other_p = random_gaussian(rng, 2), random_gaussian(rng, 2)

    def block(a, b):
        return np.block([[a, np.zeros((3, 2))], [np.zeros((2, 3)), b]])

    def product(a, b):
        return single(np.append(a[0], b[0]), block(a[1], b[1]))

    parts = gaussian_kl(single(*q), single(*p)) + gaussian_kl(single(*other_q), single(*other_p))
    np.testing.assert_allclose(
        gaussian_kl(product(q, other_q), product(p, other_p)), parts, rtol=1e-4
    )


def test_chain_rule():
    """KL of joint distributions is that of the first variable plus, in the mean over q, that of the
    second given it."""
    q, p = np.random.default_rng(3).dirichlet(np.full(12, 0.7), 2).reshape(2, 3, 4)

    def logs(x):
        return jnp.log(jnp.asarray(x, jnp.float32))

    whole = categorical_kl(logs(q.ravel()), logs(p.ravel()))
    first = categorical_kl(logs(q.sum(1)), logs(p.sum(1)))
    given = jax.vmap(categorical_kl)(
        logs(q / q.sum(1, keepdims=True)), logs(p / p.sum(1, keepdims=True))
    )
    np.testing.assert_allclose(whole, first + jnp.sum(given * jnp.float32(q.sum(1))), rtol=1e-5)


@pytest.mark.parametrize('seed', SEEDS)
def test_categorical_is_the_sum_of_relative_entropies(seed):
    q, p = np.random.default_rng(seed).dirichlet(np.ones(6), 2)
    q[seed] = 0
    q /= q.sum()
    expected = special.rel_entr(q, p).sum()
    np.testing.assert_allclose(
        categorical_kl(*(jnp.log(x) for x in single(q, p))), expected, rtol=1e-5
    )


def test_categorical_with_probabilities_of_zero():
    q, p = (jnp.log(jnp.array(x)) for x in ([0.5, 0.5, 0.0], [0.25, 0.25, 0.5]))
    np.testing.assert_allclose(categorical_kl(q, p), np.log(2), rtol=1e-6)  # 0 ln 0 = 0
    assert categorical_kl(p, q) == jnp.inf
    assert categorical_kl(q, q) == 0
    by_q, by_p = jax.grad(categorical_kl, (0, 1))(q, p)
    np.testing.assert_allclose(by_p, np.exp(p) - np.exp(q), atol=1e-6)
    np.testing.assert_allclose(
        by_q, 0, atol=1e-6
    )  # q is p's share of the first two, the nearest without the third


def test_mixtures_by_quadrature_by_samples_and_by_scipy():
    means, q_weights, p_weights, q_scale, p_scale = (-2.0, 1.5), (0.3, 0.7), (0.6, 0.4), 0.6, 0.9

    def log_mixture(weights, scale):
        parts = [log_density([mean], [[scale**2]]) for mean in means]
        return lambda x: jnp.log(
            sum(w * jnp.exp(part(x)) for w, part in zip(weights, parts, strict=True))
        )

    def sample(key, n):
        which, noise = jax.random.split(key)
        first = jax.random.bernoulli(which, q_weights[0], (n, 1))
        return jnp.where(first, *means) + q_scale * jax.random.normal(noise, (n, 1))

    def gap(x):
        q, p = (
            np.dot(weights, stats.norm.pdf(x, means, scale))
            for weights, scale in ((q_weights, q_scale), (p_weights, p_scale))
        )
        return q * np.log(q / p)

    log_q, log_p = log_mixture(q_weights, q_scale), log_mixture(p_weights, p_scale)
    sums = quadrature_kl(log_q, log_p, jnp.linspace(-6, 6, 601)[:, None], 0.02)
    np.testing.assert_allclose(sums, integrate.quad(gap, -6, 6)[0], rtol=1e-4)
    drawn = monte_carlo_kl(jax.random.key(0), log_q, log_p, sample, 20_000)
    assert abs(sums - drawn.value) < 4.5 * drawn.error < 0.1 * sums


def test_quadrature_where_q_vanishes():
    """Of the uniform distribution on [0, 1] from N(0, 1): E [x^2 / 2] + ln(2 pi) / 2."""
    points = (
        jnp.arange(4000, dtype=jnp.float32)[:, None] + 0.5
    ) / 1000 - 1  # the middles of cells from -1 to 3

    def uniform(x):
        return jnp.where((x[:, 0] > 0) & (x[:, 0] < 1), 0.0, -jnp.inf)

    normal = log_density(np.zeros(1), np.eye(1))
    np.testing.assert_allclose(
        quadrature_kl(uniform, normal, points, 1e-3), 1 / 6 + np.log(2 * np.pi) / 2, rtol=1e-5
    )
    assert quadrature_kl(normal, uniform, points, 1e-3) == jnp.inf


def test_the_standard_error_is_the_spread_of_estimates():
    rng = np.random.default_rng(4)
    q, p = random_gaussian(rng, 2), random_gaussian(rng, 2)
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
