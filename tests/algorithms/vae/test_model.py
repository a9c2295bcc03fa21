"""A flow in the posterior: its density by a change of variables, and the bound that it closes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import multivariate_normal, norm

from genjax.algorithms.flow import chain, conditional, coupling, first_half, inverted
from genjax.algorithms.flow.bijections import rearranged
from genjax.algorithms.vae import Model, elbo, iwae, vae
from genjax.algorithms.vae.model import (
    apply_flow,
    draw_posterior,
    encode_mean,
    init_params,
    log_q,
    standard_normal,
)
from genjax.data.tables import table
from genjax.networks.mlp import MLP
from genjax.numerics.likelihoods import bernoulli, fixed_gaussian
from genjax.training import Every, Experiment, evaluate, make_mesh, train

D = 4
Z = 3
B = 2
X = np.random.default_rng(0).normal(size=(B, D))


def couplings(latent, widths):
    """Both halves of z in turn, in the light of the Gaussian's mean and log variance."""
    masks = [conditional(mask, latent) for mask in (first_half, inverted(first_half))]
    return chain(*(coupling(MLP(widths, (6 * latent,), jnp.tanh), mask) for mask in masks))


def moved(params):
    """In float64, and away from where they begin."""
    rng = np.random.default_rng(1)

    def move(leaf):
        return jnp.asarray(np.asarray(leaf, np.float64) + 0.3 * rng.normal(size=leaf.shape))

    return jax.tree.map(move, params)


def test_log_q_of_a_flow_is_the_gaussians_less_its_jacobian():
    """By slogdet of the derivatives of z by u, [Z, Z] of each draw; and p(z) is N(0, I)."""
    model = Model(MLP((5,), (2, Z)), MLP((), (D,)), bernoulli, Z, flow=couplings(Z, (7,)))
    params = init_params(jax.random.key(0), model, jnp.float32(X))
    with jax.enable_x64(True):
        params = moved(params)
        draw = draw_posterior(jax.random.key(1), model, params, jnp.asarray(X), 3)
        mean = np.asarray(draw.q.mean)
        scale = np.exp(np.asarray(draw.q.log_variance) / 2)
        u = mean + scale * np.asarray(draw.noise)

        def flow(u):
            return apply_flow(model, params, draw.q, u)[0]

        jacobian = jax.jit(jax.jacfwd(flow))(jnp.asarray(u))  # of all by all, [K, B, Z, K, B, Z]
        np.testing.assert_allclose(flow(jnp.asarray(u)), draw.z, rtol=1e-12)
        own = np.einsum('kbikbj->kbij', jacobian)
        log_normal = norm.logpdf(u, mean, scale).sum(-1)
        expected = log_normal - np.linalg.slogdet(own)[1]
        np.testing.assert_allclose(log_q(draw), expected, rtol=1e-10)
        ratio = standard_normal().log_ratio(jax.random.key(2), model, params, draw)
        log_p = norm.logpdf(np.asarray(draw.z)).sum(-1)
        np.testing.assert_allclose(ratio, log_p - expected, rtol=1e-9)
        code = encode_mean(model, params, jnp.asarray(X))
        np.testing.assert_allclose(code, flow(draw.q.mean[None])[0], rtol=1e-12)


def test_with_the_identity_for_a_flow_it_is_the_plain_model_to_the_bit():
    def same(rows):
        return rows

    plain = Model(MLP((5,), (2, Z)), MLP((5,), (D,)), bernoulli, Z)
    batch = {'x': jnp.float32(X > 0)}
    found = []
    for model in (plain, plain._replace(flow=rearranged(same, same))):
        algorithm = vae(model, optax.adam(0.1), objective=iwae(5))
        state = algorithm.init(jax.random.key(0), batch)
        state, metrics = jax.jit(algorithm.update)(jax.random.key(1), state, batch)
        both = (state.params['encoder'], state.params['decoder'])
        found.append((both, metrics, algorithm.encode(jax.random.key(2), state, batch)))
    jax.tree.map(np.testing.assert_array_equal, *found)


@pytest.mark.slow
@pytest.mark.usefixtures('optimised')
def test_a_flow_closes_the_bound_that_a_gaussian_posterior_leaves_open():
    """p(x | z) = N(z W, S^2), whose posterior has a covariance that is not diagonal.

    With its precision P the best Gaussian of a diagonal one has KL = (sum log P_jj - log |P|) / 2
    (Bishop 2006, section 10.1.2, of either coordinate's precision); an affine coupling has 0.
    """
    W = np.array([[1.0, 0.5, -1.0, 0.3], [0.9, 0.7, -0.8, -0.2]])
    scale = 0.6
    rng = np.random.default_rng(2)
    x = (rng.normal(size=(64, 2)) @ W + scale * rng.normal(size=(64, D))).astype(np.float32)
    exact = multivariate_normal(np.zeros(D), W.T @ W + scale**2 * np.eye(D)).logpdf(x).mean()
    precision = np.eye(2) + W @ W.T / scale**2
    gap = (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1]) / 2
    assert gap > 0.4

    model = Model(MLP((), (2, 2)), MLP((), (D,)), fixed_gaussian(scale), 2)
    for flow, least in ((None, gap), (couplings(2, ()), 0.0)):
        bound = trained_bound(model._replace(flow=flow), x, W)
        assert bound == pytest.approx(exact - least, abs=0.01)


def trained_bound(model, x, W):
    """The bound after training of everything but the decoder, whose weights are W."""
    rate = optax.cosine_decay_schedule(0.02, 3000)

    def labels(params):
        return {name: name for name in params}

    parts = {name: optax.adam(rate) for name in ('encoder', 'flow')}
    optimizer = optax.multi_transform(parts | {'decoder': optax.set_to_zero()}, labels)
    algorithm = vae(model, optimizer, objective=elbo(samples=8), decay=0.99)

    def init(key, batch):
        fit = algorithm.init(key, batch)
        decoder = {'Dense_0': {'kernel': jnp.float32(W), 'bias': jnp.zeros(D)}}
        params = fit.params | {'decoder': decoder}
        return fit._replace(params=params, average=jax.tree.map(jnp.copy, params))

    data = table(x, batch=None, test={'x': x}, constant=True)
    experiment = Experiment(algorithm._replace(init=init), data, {})
    mesh = make_mesh(jax.devices()[:1])
    every = Every(1000, 3000, 3000)
    state = train(experiment, seed=0, steps=3000, mesh=mesh, every=every)

    def bound_of_many(key, state, batch):
        return {'loss': iwae(4000)(key, model, state.average, batch['x'])['elbo_loss']}

    many = experiment._replace(algorithm=algorithm._replace(evaluate=bound_of_many))
    return -evaluate(many, state, seed=0, mesh=mesh)['test/loss']


def test_a_flow_of_another_shape_is_refused_when_traced():
    def first_half_of(rows):
        return rows[:, : rows.shape[1] // 2]

    def forward(params, rows):
        del params
        return first_half_of(rows), jnp.zeros(len(rows))

    flow = rearranged(first_half_of, first_half_of)._replace(forward=forward)
    model = Model(MLP((), (2, 2)), MLP((), (D,)), bernoulli, 2, flow=flow)
    algorithm = vae(model, optax.sgd(0.1))
    batch = {'x': jnp.float32(X)}
    state = jax.eval_shape(algorithm.init, jax.random.key(0), batch)
    with pytest.raises(ValueError, match=r'^the flow gives \(2, 3\); it must be \(2, 6\)(\n|$)'):
        jax.eval_shape(algorithm.update, jax.random.key(0), state, batch)
