"""Densities of decoders' outputs, against scipy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax.numerics.likelihoods import (
    bernoulli,
    discretised_logistic,
    fixed_gaussian,
    gaussian,
    squares,
)

DRAW = np.random.default_rng(0)
LEVELS = (2 * np.arange(256) - 255) / np.float32(255)


def test_bernoulli_is_scipys_far_into_the_tails():
    logits, x = np.array([-90.0, -3, 0, 0.4, 90]), np.array([0.0, 1, 1, 0, 1])
    expected = stats.bernoulli.logpmf(x, 1 / (1 + np.exp(-logits))).sum()
    assert bernoulli.log_prob(jnp.float32(logits), jnp.float32(x)) == pytest.approx(
        expected, rel=1e-6
    )
    wrong = bernoulli.log_prob(jnp.full(1, 90.0), jnp.zeros(1))
    assert wrong == pytest.approx(-90.0)
    slope = jax.grad(bernoulli.log_prob)(jnp.float32(logits), jnp.float32(x))
    np.testing.assert_allclose(slope, x - 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_bernoulli_inside_the_interval_is_the_cross_entropy():
    logits, x = DRAW.normal(size=6), DRAW.random(6)
    p = 1 / (1 + np.exp(-logits))
    expected = np.sum(x * np.log(p) + (1 - x) * np.log(1 - p))
    assert bernoulli.log_prob(jnp.float32(logits), jnp.float32(x)) == pytest.approx(
        expected, rel=1e-5
    )


def test_gaussian_is_scipys_with_one_scale_or_many():
    mean, x, log_scale = DRAW.normal(size=(3, 4))
    for scale in (log_scale, log_scale[0]):
        expected = stats.norm.logpdf(x, mean, np.exp(scale)).sum()
        found = gaussian.log_prob((jnp.float32(mean), jnp.float32(scale)), jnp.float32(x))
        assert found == pytest.approx(expected, rel=1e-5)
    expected = stats.norm.logpdf(x, mean, 0.3).sum()
    assert fixed_gaussian(0.3).log_prob(jnp.float32(mean), jnp.float32(x)) == pytest.approx(
        expected, rel=1e-5
    )


def test_squares_are_a_gaussian_without_its_constant():
    mean, x = jnp.float32(DRAW.normal(size=(2, 4)))
    constant = 4 * np.log(np.pi / 2.5) / 2
    normalised = fixed_gaussian((2 * 2.5) ** -0.5).log_prob(mean, x)
    assert squares(2.5).log_prob(mean, x) == pytest.approx(float(normalised) + constant, rel=1e-5)
    assert squares(2.5).log_prob(mean, x) == pytest.approx(
        -2.5 * float(jnp.sum((x - mean) ** 2)), rel=1e-6
    )


@pytest.mark.parametrize(('mean', 'scale'), [(0.1, 0.05), (-0.97, 0.01), (1.3, 0.2), (0.0, 1.0)])
def test_levels_of_a_discretised_logistic_sum_to_one_and_are_its_masses(mean, scale):
    parameters = jnp.full(1, mean), jnp.float32(np.log(scale))
    found = jax.vmap(lambda x: discretised_logistic.log_prob(parameters, x[None]))(
        jnp.float32(LEVELS)
    )
    edges = np.concatenate([[-np.inf], (2 * np.arange(1, 256) - 256) / 255, [np.inf]])
    mass = np.diff(stats.logistic.cdf(edges, mean, scale))
    assert jnp.sum(jnp.exp(found)) == pytest.approx(1, abs=1e-4)
    sure = mass > 1e-12  # where the difference in float64 has digits
    np.testing.assert_allclose(np.asarray(found)[sure], np.log(mass[sure]), atol=2e-3)
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    'likelihood', [bernoulli, fixed_gaussian(0.5), gaussian, discretised_logistic]
)
def test_samples_have_the_mean(likelihood):
    location = jnp.array([-0.4, 0.0, 0.5])
    parameters = (
        (location, jnp.float32(np.log(0.1)))
        if likelihood in (gaussian, discretised_logistic)
        else location
    )
    draws = jax.vmap(lambda key: likelihood.sample(key, parameters))(
        jax.random.split(jax.random.key(0), 40_000)
    )
    np.testing.assert_allclose(draws.mean(0), likelihood.mean(parameters), atol=0.01)
    if likelihood is discretised_logistic:
        steps = (np.asarray(draws) + 1) * 127.5
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)


@pytest.mark.parametrize(('make', 'name'), [(fixed_gaussian, 'scale'), (squares, 'c')])
def test_a_scale_that_is_not_positive_is_refused(make, name):
    with pytest.raises(ValueError, match=f'^{name} is 0.0; .* must be positive$'):
        make(0.0)
