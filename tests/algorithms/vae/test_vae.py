"""The VAE against closed forms: linear Gaussian models, with every bound and likelihood known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import multivariate_normal

from genjax.algorithms.vae import (
    Model,
    Posterior,
    elbo,
    iwae,
    kl_terms,
    log_likelihood,
    vae,
)
from genjax.algorithms.vae.model import log_weights, posterior, sample_posterior
from genjax.data.tables import table
from genjax.networks.mlp import MLP, WithScale
from genjax.numerics.likelihoods import bernoulli, fixed_gaussian, gaussian, squares
from genjax.probes.likelihood import importance
from genjax.training import Every, Experiment, evaluate, make_mesh, train

D, Z = 5, 2
DRAW = np.random.default_rng(0)
W, B = DRAW.normal(size=(Z, D)), DRAW.normal(size=D)
W[1] -= W[1] @ W[0] / (W[0] @ W[0]) * W[0]  # so that the posterior's covariance is diagonal
SCALE = 0.7
X = (DRAW.normal(size=(64, Z)) @ W + B + SCALE * DRAW.normal(size=(64, D))).astype(np.float32)
EXACT = multivariate_normal(B, W.T @ W + SCALE**2 * np.eye(D)).logpdf(X)


def linear_model(shift=0.0, widen=0.0):
    """A model p(x | z) = N(z W + B, SCALE^2), and its `Fit`.

    The encoder gives the exact posterior, its means shifted and its log variances widened.
    """
    model = Model(MLP((), (2, Z)), MLP((), (D,)), fixed_gaussian(SCALE), Z)
    covariance = np.linalg.inv(np.eye(Z) + W @ W.T / SCALE**2)
    gain = W.T @ covariance / SCALE**2  # [D, Z]
    log_variance = np.log(np.diag(covariance)) + widen
    kernel = np.concatenate([gain, np.zeros((D, Z))], 1)
    bias = np.concatenate([shift - B @ gain, log_variance])

    def dense(kernel, bias):
        return {'Dense_0': {'kernel': jnp.float32(kernel), 'bias': jnp.float32(bias)}}

    params = {'encoder': dense(kernel, bias), 'decoder': dense(W, B)}
    fit = vae(model, optax.sgd(0.1)).init(jax.random.key(0), {'x': X})
    return model, fit._replace(params=params, average=params)


def test_under_the_exact_posterior_every_weight_is_the_likelihood():
    model, fit = linear_model()
    weights = log_weights(jax.random.key(1), model, fit.params, X, 7)
    np.testing.assert_allclose(weights, np.tile(EXACT, (7, 1)), atol=1e-4)
    bound = iwae(3)(jax.random.key(2), model, fit.params, X)
    np.testing.assert_allclose(-bound['loss'], EXACT, atol=1e-4)
    np.testing.assert_allclose(-bound['elbo_loss'], EXACT, atol=1e-4)
    estimate = log_likelihood(model, samples=6, chunk=2)(jax.random.key(3), fit, {'x': X})
    np.testing.assert_allclose(estimate, EXACT, atol=1e-4)


def test_a_likelihood_below_the_least_float_has_a_logarithm():
    """Far from the model's x each weight by itself would be 0; rounding is relative to the nats."""
    model, fit = linear_model()
    far = X[:8] + 40
    exact = multivariate_normal(B, W.T @ W + SCALE**2 * np.eye(D)).logpdf(far)
    assert exact.max() < np.log(np.finfo(np.float32).tiny)
    estimate = log_likelihood(model, samples=6, chunk=2)(jax.random.key(3), fit, {'x': far})
    np.testing.assert_allclose(estimate, exact, rtol=1e-4)
    bound = iwae(3)(jax.random.key(2), model, fit.params, far)
    np.testing.assert_allclose(-bound['loss'], exact, rtol=1e-4)


def test_bounds_rise_to_the_likelihood_with_the_number_of_samples():
    """L_1 < L_5 < L_50 < log p (IWAE theorem 1), in the mean over many draws.

    The estimate that is summed in chunks comes to log p.
    """
    model, fit = linear_model(shift=0.3, widen=0.5)

    def mean_bound(objective):
        def loss(key):
            return jnp.mean(objective(key, model, fit.params, X)['loss'])

        return -float(jnp.mean(jax.lax.map(loss, KEYS)))

    one_by_elbo = mean_bound(elbo())
    one, five, fifty = (mean_bound(iwae(samples)) for samples in (1, 5, 50))
    assert one_by_elbo == pytest.approx(one, abs=0.03)
    assert one + 0.1 < five
    assert five + 0.02 < fifty < EXACT.mean() + 0.002
    estimate = log_likelihood(model, samples=20_000, chunk=500)
    measure = importance(estimate, [{'x': X[:40]}, {'x': X[40:]}], samples=20_000)
    scores = measure(jax.random.key(4), fit)
    assert scores == {'nll_20000': pytest.approx(-EXACT.mean(), abs=3e-3)}


KEYS = jax.random.split(jax.random.key(5), 200)


def test_the_elbo_falls_short_of_the_likelihood_by_the_posteriors_divergence():
    """log p - ELBO = KL(q(z | x) || p(z | x)), which is the same for every x here."""
    model, fit = linear_model(shift=0.3, widen=0.5)
    variance = np.diag(np.linalg.inv(np.eye(Z) + W @ W.T / SCALE**2))
    gap = np.sum((np.exp(0.5) - 1 - 0.5) / 2 + 0.3**2 / (2 * variance))
    loss = elbo(samples=50_000)(jax.random.key(6), model, fit.params, X[:8])['loss']
    np.testing.assert_allclose(loss, gap - EXACT[:8], atol=0.05)


def test_kl_is_its_closed_form_its_integral_and_its_monte_carlo_mean():
    q = Posterior(jnp.array([[0.5, -2.0]]), jnp.array([[-1.0, 0.7]]))
    z = jnp.linspace(-15, 15, 20_001)
    for j in range(2):
        log_q = jax.scipy.stats.norm.logpdf(z, q.mean[0, j], jnp.exp(q.log_variance[0, j] / 2))
        integrand = jnp.exp(log_q) * (log_q - jax.scipy.stats.norm.logpdf(z))
        integral = jax.scipy.integrate.trapezoid(integrand, z)
        assert kl_terms(q)[0, j] == pytest.approx(float(integral), rel=1e-4)
    z, noise = sample_posterior(jax.random.key(0), q, 100_000)
    ratio = np.asarray(z**2 - noise**2 - q.log_variance[None])[:, 0].sum(-1) / 2
    error = float(ratio.std()) / 100_000**0.5
    assert ratio.mean() == pytest.approx(float(kl_terms(q).sum()), abs=4 * error)


def test_the_lectures_loss_to_the_letter():
    """C ||x - x^||^2 + KL[N(mu_x, sigma_x), N(0, I)], written out for the noise that was drawn."""
    model, fit = linear_model(shift=0.2, widen=0.3)
    model = model._replace(likelihood=squares(1.7))
    key = jax.random.key(8)
    metrics = elbo()(key, model, fit.params, X)
    encoder = jax.tree.map(np.float64, fit.params['encoder']['Dense_0'])
    out = X.astype(np.float64) @ encoder['kernel'] + encoder['bias']
    mean = out[:, :Z]
    sigma = np.exp(out[:, Z:] / 2)
    standard = Posterior(jnp.zeros((64, Z)), jnp.zeros((64, Z)))
    noise = np.asarray(sample_posterior(key, standard, 1)[1][0], np.float64)
    reconstruction = 1.7 * np.sum((X - ((mean + sigma * noise) @ W + B)) ** 2, -1)
    kl = np.sum(mean**2 + sigma**2 - 1 - 2 * np.log(sigma), -1) / 2
    np.testing.assert_allclose(metrics['reconstruction'], reconstruction, rtol=1e-4)
    np.testing.assert_allclose(metrics['kl'], kl, rtol=1e-5)
    np.testing.assert_allclose(metrics['loss'], reconstruction + kl, rtol=1e-4)


@pytest.mark.slow
def test_beta_weighs_the_divergence_and_free_nats_shield_it():
    model, fit = linear_model()
    key = jax.random.key(9)
    plain, heavy = (elbo(beta=beta)(key, model, fit.params, X) for beta in (1.0, 4.0))
    np.testing.assert_allclose(heavy['loss'] - plain['loss'], 3 * plain['kl'], rtol=1e-4)
    each = kl_terms(posterior(model, fit.params, X)).mean(0)  # of the two dimensions
    between = float(each.mean())
    free = elbo(free_nats=between)
    expected = float(plain['reconstruction'].mean() + each.max() + between)
    loss = free(key, model, fit.params, X)['loss'].mean()
    assert loss == pytest.approx(expected, rel=1e-5)

    # A dimension that costs less than what is free has no pull towards the prior: only the other's
    # bias moves.
    def bias_gradient(objective):
        def mean_loss(params):
            return objective(key, model, params, X)['loss'].mean()

        return np.asarray(jax.grad(mean_loss)(fit.params)['encoder']['Dense_0']['bias'])

    without_kl = bias_gradient(elbo(0.0))
    free_pull = bias_gradient(free) - without_kl
    full_pull = bias_gradient(elbo()) - without_kl
    low, high = np.argsort(each)
    assert abs(full_pull[Z + low]) > 0.01 and abs(free_pull[Z + low]) < 1e-5
    assert free_pull[Z + high] == pytest.approx(full_pull[Z + high], rel=1e-3)


def test_samples_have_the_models_moments_and_codes_go_there_and_back():
    model, fit = linear_model()
    algorithm = vae(model, optax.sgd(0.1))
    x = np.asarray(algorithm.sample(jax.random.key(10), fit, 50_000))
    np.testing.assert_allclose(x.mean(0), B, atol=0.05)
    np.testing.assert_allclose(np.cov(x.T), W.T @ W + SCALE**2 * np.eye(D), atol=0.12)
    code = algorithm.encode(jax.random.key(0), fit, {'x': X})
    decoded = algorithm.decode(jax.random.key(0), fit, code)
    expected = code @ jnp.float32(W) + B.astype(np.float32)[None]
    np.testing.assert_allclose(decoded, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures('optimised')
def test_a_linear_vae_reaches_the_likelihood_of_probabilistic_pca():
    """Tipping and Bishop 1999, eqs. 7 and 8; the bound is tight there too (Lucas et al. 2019,
    arXiv:1911.02469)."""
    rng = np.random.default_rng(3)
    scales = [3, 2, 1.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    rows = rng.normal(size=(500, 8)) * scales
    rotation = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    x = rows @ rotation + 1
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    noise = values[3:].mean()
    optimum = (8 * np.log(2 * np.pi) + np.log(values[:3]).sum() + 5 * np.log(noise) + 8) / 2
    model = Model(MLP((), (2, 3)), WithScale(MLP((), (8,))), gaussian, 3)
    rate = optax.cosine_decay_schedule(0.02, 6000)
    algorithm = vae(model, optax.adam(rate), objective=elbo(samples=4), decay=0.995)
    experiment = Experiment(algorithm, table(x, batch=None, test={'x': x}), {})
    mesh = make_mesh(jax.devices()[:1])
    every = Every(2000, 6000, 6000)
    state = train(experiment, seed=0, steps=6000, mesh=mesh, every=every)

    def evaluate_exactly(key, state, batch):
        return elbo(samples=256)(key, model, state.average, batch['x'])

    exactly = experiment._replace(algorithm=algorithm._replace(evaluate=evaluate_exactly))
    bound = evaluate(exactly, state, seed=0, mesh=mesh)['test/loss']
    estimate = log_likelihood(model, samples=256, chunk=64)
    exact = importance(estimate, [{'x': np.float32(x)}], samples=256)
    assert exact(jax.random.key(0), state)['nll_256'] == pytest.approx(optimum, abs=0.01)
    assert optimum - 0.01 < bound < optimum + 0.03
    assert np.exp(2 * state.average['decoder']['log_scale']) == pytest.approx(noise, rel=0.02)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (
            lambda: elbo(beta=-1.0),
            'elbo of beta -1.0, free_nats 0.0, samples 1; needed: >= 0, >= 0, >= 1',
        ),
        (lambda: iwae(0), 'samples is 0; the bound needs at least 1'),
        (
            lambda: log_likelihood(linear_model()[0], samples=50, chunk=20),
            'samples is 50, in chunks of 20; a chunk must divide them',
        ),
        (
            lambda: vae(linear_model()[0]._replace(latent=0), optax.sgd(0.1)),
            'latent is 0; at least 1 dimension is needed',
        ),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message


def test_an_encoder_of_another_shape_is_refused_when_traced():
    model = Model(MLP((4,), (2, 3)), MLP((4,), (D,)), bernoulli, 2)
    with pytest.raises(
        ValueError,
        match=r'^the encoder gives \(1, 2, 3\); it must be \(1, 2, 2\), \[B, 2, latent\]',
    ):
        jax.eval_shape(vae(model, optax.sgd(0.1)).init, jax.random.key(0), {'x': X})
