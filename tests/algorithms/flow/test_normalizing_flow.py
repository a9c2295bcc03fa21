"""The density of a flow: known optima, its mass, bits, and noise that is taken off again."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from genjax.algorithms.flow import (
    Bijection,
    actnorm,
    chain,
    coupling,
    factor_out,
    first_half,
    gaussian_noise,
    inverted,
    invertible_1x1,
    log_density,
    normalizing_flow,
    squeeze,
    uniform_noise,
)
from genjax.algorithms.flow.normalizing_flow import denoised
from genjax.data.tables import table
from genjax.data.toys import gaussian_mixture, ring, sampled
from genjax.networks.mlp import MLP
from genjax.training import Experiment, make_mesh, train

D = 3
CENTRE = np.array([1.0, -2.0, 0.5])
FACTOR = np.array([[1.5, 0.0, 0.0], [0.7, 0.4, 0.0], [-0.3, 0.2, 0.8]])


def affine():
    """A flow of every Gaussian: a shift, and W, which can be any triangular matrix."""
    return chain(actnorm(), invertible_1x1(0))


def whitening(mean, covariance):
    """The flow of one Gaussian, z = L^-1 (x - mean), without parameters."""
    factor = jnp.linalg.cholesky(jnp.asarray(covariance))
    mean = jnp.asarray(mean)[None]

    def init(key, x):
        del key, x
        return ()

    def forward(params, x):
        del params
        z = (x - mean) @ jnp.linalg.inv(factor).T
        return z, jnp.broadcast_to(-jnp.sum(jnp.log(jnp.diag(factor))), len(x))

    def inverse(params, z):
        del params
        return mean + z @ factor.T

    return Bijection(init, forward, inverse)


def examples(n):
    noise = np.random.default_rng(0).normal(size=(n, D))
    return (CENTRE + noise @ FACTOR.T).astype(np.float32)


def fitted(algorithm, data, steps):
    mesh = make_mesh(jax.devices()[:1])
    return train(Experiment(algorithm, data, {}), seed=0, steps=steps, mesh=mesh)


def test_an_affine_flow_reaches_the_gaussians_maximum_likelihood():
    x = examples(200)
    data = table(x, batch=None, test={'x': x}, constant=True)
    rate = optax.cosine_decay_schedule(0.03, 1500)
    algorithm = normalizing_flow(affine(), optax.adam(rate), shape=(D,))
    state = fitted(algorithm, data, 1500)
    loss = algorithm.evaluate(jax.random.key(0), state, {'x': x})['loss']
    # log det of the covariance of the examples gives the least mean of -log p.
    _, log_det = np.linalg.slogdet(np.cov(x.astype(np.float64).T, bias=True))
    least = (D * np.log(2 * np.pi) + log_det + D) / 2
    assert np.mean(loss) == pytest.approx(least, abs=1e-3)


def plane():
    couplings = []
    for i in range(4):
        mask = first_half if i % 2 else inverted(first_half)
        couplings += [actnorm(), coupling(MLP((16,), (4,), jnp.tanh), mask)]
    return chain(*couplings)


@pytest.mark.slow
def test_a_trained_density_has_the_mass_1_in_the_plane():
    data = sampled(gaussian_mixture(ring(4, 1.0, 0.3)), batch=256, seed=0)
    algorithm = normalizing_flow(plane(), optax.adam(5e-3), shape=(2,))
    state = fitted(algorithm, data, 100)
    begun = fitted(algorithm, data, 1)
    side = (np.arange(600) + 0.5) / 600 * 12 - 6
    points = jnp.asarray(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2), jnp.float32)
    mass = jnp.sum(jnp.exp(log_density(plane(), state.params, points))) * (12 / 600) ** 2
    assert mass == pytest.approx(1, abs=2e-3)
    losses = [
        np.mean(algorithm.evaluate(jax.random.key(0), at, data.test[0])['loss'])
        for at in (begun, state)
    ]
    assert losses[1] < losses[0]  # it has been trained


def test_uniform_noise_and_its_bits_are_those_of_the_levels():
    """Of levels so likely, a density that is level over each interval takes their entropy."""
    noise = uniform_noise(0.5)
    x = jnp.zeros((4000, 2))
    keys = jax.random.split(jax.random.key(0), 4000)
    noisy = np.asarray(jax.vmap(noise.add)(keys, x))
    assert stats.kstest(noisy.ravel(), stats.uniform(-0.25, 0.5).cdf).pvalue > 0.01

    algorithm = normalizing_flow(affine(), optax.sgd(0.1), shape=(D,), noise=noise)
    batch = {'x': jnp.asarray(examples(8))}
    key = jax.random.key(1)
    state = algorithm.init(key, batch)
    metrics = algorithm.evaluate(key, state, batch)
    # -log2 of the mass of an interval of the width 1/2, where the density is as at the noisy x.
    expected = -np.log2(np.exp(-np.asarray(metrics['loss'])) * 0.5**D) / D
    np.testing.assert_allclose(metrics['bits_per_dim'], expected, rtol=1e-5)


DEVIATION = 0.6
COVARIANCE = FACTOR @ FACTOR.T
NOISY = COVARIANCE + DEVIATION**2 * np.eye(D)  # of y = x + sigma e


def test_the_step_along_the_score_is_the_posterior_mean_of_gaussian_data():
    """x ~ N(m, S): E[x | y] = m + S (S + sigma^2 I)^-1 (y - m)."""
    with jax.enable_x64(True):
        bijection = whitening(CENTRE, NOISY)
        y = np.random.default_rng(1).normal(size=(5, D))
        density = stats.multivariate_normal(CENTRE, NOISY).logpdf(y)
        np.testing.assert_allclose(log_density(bijection, (), jnp.asarray(y)), density, rtol=1e-10)
        found = denoised(bijection, gaussian_noise(DEVIATION))((), jnp.asarray(y))
    expected = CENTRE + (y - CENTRE) @ np.linalg.solve(NOISY, COVARIANCE)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_samples_are_draws_of_the_density_freed_of_the_noise():
    """The posterior means of y have the covariance S (S + sigma^2 I)^-1 S."""
    bijection = whitening(CENTRE.astype(np.float32), NOISY.astype(np.float32))
    noise = gaussian_noise(DEVIATION)
    algorithm = normalizing_flow(bijection, optax.sgd(0.1), shape=(D,), noise=noise)
    state = algorithm.init(jax.random.key(0), {'x': jnp.zeros((1, D))})
    n = 20_000
    x = np.asarray(algorithm.sample(jax.random.key(1), state, n), np.float64)
    expected = COVARIANCE @ np.linalg.solve(NOISY, COVARIANCE)
    # Five standard errors of a mean, and of the covariances of Gaussians.
    variances = np.diag(expected)
    np.testing.assert_array_less(np.abs(x.mean(0) - CENTRE), 5 * np.sqrt(variances / n))
    errors = np.sqrt((expected**2 + np.outer(variances, variances)) / n)
    np.testing.assert_array_less(np.abs(np.cov(x.T) - expected), 5 * errors)


def test_codes_are_rows_that_decode_to_the_examples():
    inner = chain(actnorm(), invertible_1x1(1))
    bijection = chain(squeeze(), factor_out(inner))
    algorithm = normalizing_flow(bijection, optax.sgd(0.1), shape=(4, 4, 1))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4, 4, 1)), jnp.float32)
    state = algorithm.init(jax.random.key(0), {'x': x})
    code = algorithm.encode(jax.random.key(1), state, {'x': x})
    assert code.shape == (5, 16)
    back = algorithm.decode(jax.random.key(2), state, code)
    np.testing.assert_allclose(back, x, atol=1e-5)


@pytest.mark.parametrize(
    ('make', 'line'),
    [
        (lambda: uniform_noise(0.0), 'width is 0.0; the noise needs a positive one'),
        (lambda: gaussian_noise(-1.0), 'deviation is -1.0; the noise needs a positive one'),
    ],
)
def test_noise_of_no_width_is_refused(make, line):
    with pytest.raises(ValueError, match=f'^{line}$'):
        make()
