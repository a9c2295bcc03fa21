"""Learnt priors: two linear layers whose likelihood is known, and mixtures of posteriors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads
from scipy.special import logsumexp
from scipy.stats import kstest, multivariate_normal, norm

from genjax.algorithms.flow import conditional, coupling, first_half
from genjax.algorithms.vae import Model, elbo, hierarchical, iwae, log_likelihood, vae, vamp
from genjax.algorithms.vae.model import draw_posterior, init_params, log_q, log_weights
from genjax.data.tables import table
from genjax.descent import Fit
from genjax.networks.mlp import MLP, WithScale
from genjax.numerics.likelihoods import bernoulli, gaussian
from genjax.training import Every, Experiment, by_jit, by_pmap, evaluate, make_mesh, train

# x = h1 W + b + S e, h1 = h2 A + a + S1 e, with W's rows orthogonal and A diagonal, so that the
# covariances of h1 given x and of h2 given h1 are diagonal.
D, Z = 5, 2
DRAW = np.random.default_rng(0)
W, SHIFT = DRAW.normal(size=(Z, D)), DRAW.normal(size=D)
W[1] -= W[1] @ W[0] / (W[0] @ W[0]) * W[0]
A, A_SHIFT = np.diag([1.3, 0.6]), np.array([0.4, -0.8])
S, S1 = 0.7, 0.5
H1 = np.diag(A) ** 2 + S1**2  # the variances of h1
X = DRAW.normal(size=(16, Z)) @ W + SHIFT + S * DRAW.normal(size=(16, D))
MARGINAL = multivariate_normal(SHIFT + A_SHIFT @ W, W.T @ np.diag(H1) @ W + S**2 * np.eye(D))
EXACT = MARGINAL.logpdf(X)
H1_VARIANCE = 1 / (1 / H1 + (W**2).sum(1) / S**2)  # given x
H2_VARIANCE = 1 / (1 + np.diag(A) ** 2 / S1**2)  # given h1


def two_layers():
    """Affine networks; a scale of all entries of x, and one of h1."""
    top = Model(MLP((), (2, Z)), WithScale(MLP((), (Z,))), gaussian, Z)
    return Model(MLP((), (2, Z)), WithScale(MLP((), (D,))), gaussian, Z, hierarchical(top))


def exact_params(shift=0.0, widen=0.0):
    """Those of the exact posteriors, the means shifted and the log variances widened."""

    def dense(kernel, bias):
        return {'Dense_0': {'kernel': jnp.asarray(kernel), 'bias': jnp.asarray(bias)}}

    def encoder(gain, mean, variance):
        kernel = np.concatenate([gain, np.zeros_like(gain)], 1)
        return dense(kernel, np.concatenate([mean + shift, np.log(variance) + widen]))

    def decoder(kernel, bias, scale):
        return {'network': dense(kernel, bias), 'log_scale': jnp.asarray(np.log(scale))}

    gain = W.T * H1_VARIANCE / S**2
    top_gain = A * H2_VARIANCE / S1**2
    return {
        'encoder': encoder(gain, A_SHIFT / H1 * H1_VARIANCE - SHIFT @ gain, H1_VARIANCE),
        'decoder': decoder(W, SHIFT, S),
        'prior': {
            'encoder': encoder(top_gain, -A_SHIFT @ top_gain, H2_VARIANCE),
            'decoder': decoder(A, A_SHIFT, S1),
        },
    }


def weights_of(params, samples):
    """Logarithms of the weights of all x, [K, B]."""

    @jax.jit
    def weights(key, params, x):
        return log_weights(key, two_layers(), params, x, samples)

    return np.asarray(weights(jax.random.key(1), params, jnp.asarray(X)))


def test_under_exact_posteriors_of_both_layers_every_weight_is_the_likelihood():
    with jax.enable_x64(True):
        weights = weights_of(exact_params(), 7)
    np.testing.assert_allclose(weights, np.tile(EXACT, (7, 1)), rtol=1e-10)


def test_bounds_of_two_layers_rise_to_the_likelihood():
    """L_1 falls short by the divergence of both posteriors, and less is left with more samples."""
    shift, widen = 0.2, 0.4
    with jax.enable_x64(True):
        weights = weights_of(exact_params(shift, widen), 8000)
        fit = Fit(None, None, exact_params(shift, widen), {}, None)
        estimate = log_likelihood(two_layers(), samples=8000, chunk=1000)
        summed = jax.jit(estimate)(jax.random.key(2), fit, {'x': jnp.asarray(X)})
    variances = np.concatenate([H1_VARIANCE, H2_VARIANCE])
    gap = np.sum((np.exp(widen) - 1 - widen) / 2 + shift**2 / (2 * variances))
    error = weights.std() / np.sqrt(weights.size)
    assert np.mean(weights - EXACT) == pytest.approx(-gap, abs=4 * error)

    def bound(samples):
        groups = weights.reshape(-1, samples, len(X))
        return np.mean(logsumexp(groups, 1) - np.log(samples) - EXACT)

    five = bound(5)
    fifty = bound(50)
    all_of_them = bound(8000)
    assert -gap + 0.1 < five
    assert five + 0.05 < fifty < 4 * error
    assert fifty < all_of_them
    assert all_of_them == pytest.approx(0, abs=0.01)
    assert np.mean(np.asarray(summed) - EXACT) == pytest.approx(0, abs=0.01)


def test_samples_of_two_layers_have_the_models_moments():
    params = jax.tree.map(jnp.float32, exact_params())
    algorithm = vae(two_layers(), optax.sgd(0.1))
    fit = Fit(None, None, params, {}, None)
    n = 20_000
    x = np.asarray(algorithm.sample(jax.random.key(3), fit, n), np.float64)
    variances = np.diag(MARGINAL.cov)
    np.testing.assert_array_less(np.abs(x.mean(0) - MARGINAL.mean), 5 * np.sqrt(variances / n))
    errors = np.sqrt((MARGINAL.cov**2 + np.outer(variances, variances)) / n)
    np.testing.assert_array_less(np.abs(np.cov(x.T) - MARGINAL.cov), 5 * errors)


@pytest.mark.slow
@pytest.mark.usefixtures('optimised')
def test_two_trained_layers_reach_the_maximum_likelihood():
    """What two linear layers can say of x is what probabilistic PCA can: W(A A^T + S1^2)W^T is any
    matrix of the rank Z (Tipping and Bishop 1999, eqs. 7 and 8)."""
    rng = np.random.default_rng(3)
    rotation = np.linalg.qr(rng.normal(size=(D, D)))[0]
    x = rng.normal(size=(400, D)) * [3, 2, 0.5, 0.5, 0.5] @ rotation + 1
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    noise = values[Z:].mean()
    least = D * np.log(2 * np.pi) + np.log(values[:Z]).sum() + (D - Z) * np.log(noise) + D
    best = -least / 2

    model = two_layers()
    rate = optax.cosine_decay_schedule(0.02, 6000)
    algorithm = vae(model, optax.adam(rate), objective=iwae(5), decay=0.995)
    experiment = Experiment(algorithm, table(x, batch=None, test={'x': x}), {})
    mesh = make_mesh(jax.devices()[:1])
    every = Every(2000, 6000, 6000)
    state = train(experiment, seed=0, steps=6000, mesh=mesh, every=every)

    def estimates(key, state, batch):
        bound = iwae(256)(key, model, state.average, batch['x'])
        return {'loss': bound['elbo_loss'], 'iwae': bound['loss']}

    many = experiment._replace(algorithm=algorithm._replace(evaluate=estimates))
    found = evaluate(many, state, seed=0, mesh=mesh)
    exact = linear_likelihood(state.average, x)
    assert best - 0.01 < exact < best + 1e-4
    assert -found['test/iwae'] == pytest.approx(exact, abs=0.01)
    assert exact - 0.05 < -found['test/loss'] < exact + 0.01


def linear_likelihood(params, x):
    """The mean of log p(x) of two affine layers by the covariance of x."""
    params = jax.tree.map(np.float64, params)
    below, above = params['decoder'], params['prior']['decoder']

    def affine(decoder):
        dense = decoder['network']['Dense_0']
        return dense['kernel'], dense['bias'], np.exp(2 * decoder['log_scale'])

    kernel, bias, variance = affine(below)
    top_kernel, top_bias, top_variance = affine(above)
    h1 = top_kernel.T @ top_kernel + top_variance * np.eye(Z)
    covariance = kernel.T @ h1 @ kernel + variance * np.eye(D)
    return multivariate_normal(bias + top_bias @ kernel, covariance).logpdf(x).mean()


# A VampPrior of one latent dimension; the encoder is x -> the mean and log variance x K + k.
KERNEL, BIAS = np.array([[0.8, 0.3], [-0.5, 0.2]]), np.array([0.1, -0.7])
PSEUDO = np.array([[1.0, 0.5], [-2.0, 1.0], [0.3, -1.5]])
ROWS = np.array([[0.4, -0.3], [-1.0, 2.0]])


def vamp_model():
    model = Model(MLP((), (2, 1)), MLP((), (2,)), bernoulli, 1, vamp(3))
    encoder = {'Dense_0': {'kernel': jnp.asarray(KERNEL), 'bias': jnp.asarray(BIAS)}}
    decoder = {'Dense_0': {'kernel': jnp.ones((1, 2)), 'bias': jnp.zeros(2)}}
    return model, {'encoder': encoder, 'decoder': decoder, 'prior': jnp.asarray(PSEUDO)}


def gaussians_of(x):
    """The mean and the deviation of q(z | x), each [N]."""
    mean, log_variance = (x @ KERNEL + BIAS).T
    return mean, np.exp(log_variance / 2)


def mixture_log_density(z):
    mean, deviation = gaussians_of(PSEUDO)
    return np.log(np.mean(norm.pdf(np.asarray(z)[..., None], mean, deviation), -1))


def test_the_vamp_prior_is_the_mean_of_its_pseudo_inputs_posteriors():
    with jax.enable_x64(True):
        model, params = vamp_model()
        draw = draw_posterior(jax.random.key(0), model, params, jnp.asarray(ROWS), 4)
        ratio = model.prior.log_ratio(jax.random.key(1), model, params, draw)
        log_p = np.asarray(ratio + log_q(draw))
    np.testing.assert_allclose(log_p, mixture_log_density(draw.z[..., 0]), rtol=1e-10)


def test_the_divergence_from_the_vamp_prior_is_its_integral():
    with jax.enable_x64(True):
        model, params = vamp_model()
        objective = jax.jit(lambda key: elbo(samples=20_000)(key, model, params, jnp.asarray(ROWS)))
        found = np.asarray(objective(jax.random.key(0))['kl'])
    z = np.linspace(-12, 12, 20_001)
    for x, kl in zip(ROWS, found, strict=True):
        mean, deviation = gaussians_of(x)
        log_density = norm.logpdf(z, mean, deviation)
        terms = log_density - mixture_log_density(z)
        integral = np.trapezoid(np.exp(log_density) * terms, z)
        variance = np.trapezoid(np.exp(log_density) * (terms - integral) ** 2, z)
        assert kl == pytest.approx(integral, abs=4 * np.sqrt(variance / 20_000))


def test_samples_of_the_vamp_prior_are_of_its_density():
    model, params = vamp_model()
    params = jax.tree.map(jnp.float32, params)
    z = np.asarray(model.prior.sample(jax.random.key(4), model, params, 4000))[:, 0]
    mean, deviation = gaussians_of(PSEUDO)

    def cdf(z):
        return np.mean(norm.cdf(z[:, None], mean, deviation), 1)

    assert kstest(z, cdf).pvalue > 0.01


def test_pseudo_inputs_begin_as_examples_that_differ():
    x = jnp.arange(6.0).reshape(3, 2) * 10
    found = np.asarray(vamp(8, deviation=0.1).init(jax.random.key(0), x, jnp.zeros((3, 1))))
    distance = np.abs(found[:, None] - np.asarray(x)).max(-1).min(-1)
    assert distance.max() < 0.5
    assert len(np.unique(found[:, 0])) == 8


def deep_model():
    """Two layers with a flow in the posterior of the lower, and a VampPrior over the upper."""
    top = Model(MLP((3,), (2, 2), jnp.tanh), WithScale(MLP((), (2,))), gaussian, 2, vamp(3))
    flow = coupling(MLP((), (12,)), conditional(first_half, 2))
    encoder = MLP((4,), (2, 2), jnp.tanh)
    return Model(encoder, MLP((), (6,)), bernoulli, 2, hierarchical(top), flow)


BITS = np.random.default_rng(5).random((40, 6)) < 0.5


@pytest.mark.slow
def test_the_gradient_of_all_parts_is_that_of_differences():
    model = deep_model()
    params = init_params(jax.random.key(0), model, jnp.float32(BITS[:3]))
    with jax.enable_x64(True):
        x = jnp.asarray(BITS[:3], jnp.float64)
        wide = jax.tree.map(jnp.float64, params)

        @jax.jit
        def loss(params):
            return jnp.mean(iwae(3)(jax.random.key(1), model, params, x)['loss'])

        assert all(np.any(leaf) for leaf in jax.tree.leaves(jax.grad(loss)(wide)))
        check_grads(loss, (wide,), order=1, modes=['rev'], atol=1e-7, rtol=1e-7, eps=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(('parallel', 'devices'), [(by_jit, 8), (by_pmap, 8)])
def test_devices_agree_on_layers_flows_and_pseudo_inputs(parallel, devices):
    algorithm = vae(deep_model(), optax.adam(1e-3), objective=iwae(3), decay=0.9)
    experiment = Experiment(algorithm, table(BITS, batch=16, test={'x': BITS}), {})
    found = []
    for n, how in ((1, by_jit), (devices, parallel)):
        mesh = make_mesh(jax.devices()[:n])
        state = train(experiment, seed=3, steps=40, mesh=mesh, parallel=how)
        found.append(evaluate(experiment, state, seed=0, mesh=mesh))
    assert found[1] == pytest.approx(found[0], rel=1e-5)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: vamp(0), 'vamp of count 0, deviation 0.1; needed: at least 1, a positive one'),
        (
            lambda: vamp(3, deviation=0.0),
            'vamp of count 3, deviation 0.0; needed: at least 1, a positive one',
        ),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message


def test_a_vamp_prior_of_a_posterior_with_a_flow_is_refused_when_traced():
    model = deep_model()._replace(prior=vamp(2))
    algorithm = vae(model, optax.sgd(0.1))
    batch = {'x': jnp.float32(BITS)}
    state = jax.eval_shape(algorithm.init, jax.random.key(0), batch)
    message = '^the VampPrior is a mixture of Gaussians; the posterior has a flow(\n|$)'
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(algorithm.update, jax.random.key(0), state, batch)
