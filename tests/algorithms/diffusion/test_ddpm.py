"""DDPM against closed forms: on normal data every optimum, bound and chain is linear algebra."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import norm

from genjax.algorithms.diffusion import ddpm as diffusion_models
from genjax.algorithms.diffusion.ddpm import (
    ddim,
    ddpm,
    denoise,
    diffuse,
    diffusion,
    fixed_small,
    implied,
    posterior_mean,
)
from genjax.base import Resident
from genjax.training.mesh import make_mesh
from genjax.training.train import Data, Experiment, train

KEY = jax.random.key(7)
SHAPE = (1, 1, 3)
MU = np.array([0.3, -0.2, 0.1])
SIGMA = np.array([[0.5, 0.2, 0.0], [0.2, 0.3, -0.1], [0.0, -0.1, 0.2]])
T = 10
BETAS = np.linspace(0.02, 0.5, T)
PROCESS = diffusion(BETAS)


def covariance(alpha_bar):
    return alpha_bar * SIGMA + (1 - alpha_bar) * np.eye(3)


def optimum(process):
    """The weights [T + 1, 3, 3] and biases [T + 1, 3] of E[noise | x_t], which is linear; row 0 is
    unused."""
    bars = process.alphas_bar
    weights = np.stack([np.sqrt(1 - bar) * np.linalg.inv(covariance(bar)) for bar in bars])
    return weights, -np.einsum('tij,j,t->ti', weights, MU, np.sqrt(bars))


def exact(process):
    weights, biases = (jnp.asarray(x, jnp.float32) for x in optimum(process))

    def predict(x, t):
        t = jnp.broadcast_to(jnp.asarray(t), x.shape[:1])
        return (jnp.einsum('bij,bj->bi', weights[t], x.reshape(-1, 3)) + biases[t]).reshape(x.shape)

    return predict


def normal_data(key, n):
    root, mean = (jnp.asarray(x, jnp.float32) for x in (np.linalg.cholesky(SIGMA), MU))
    return jax.vmap(lambda z: mean + root @ z)(jax.random.normal(key, (n, 3))).reshape(n, *SHAPE)


def assert_mean(samples, expected, errors=4.5):
    """The mean over the first axis lies within so many of its standard errors of the expected."""
    samples = np.asarray(samples, np.float64)
    error = samples.std(0) / np.sqrt(len(samples))
    np.testing.assert_array_less(np.abs(samples.mean(0) - expected), errors * error + 1e-7)


def test_q_in_one_go_is_t_single_steps():
    scale, variance = 1.0, 0.0
    x0, x = 0.7, np.full(20_000, 0.7)
    rng = np.random.default_rng(0)
    for t, beta in enumerate(BETAS, 1):
        scale, variance = np.sqrt(1 - beta) * scale, (1 - beta) * variance + beta
        x = np.sqrt(1 - beta) * x + np.sqrt(beta) * rng.standard_normal(len(x))
        np.testing.assert_allclose(PROCESS.alphas_bar[t], scale**2, rtol=1e-14)
        np.testing.assert_allclose(1 - PROCESS.alphas_bar[t], variance, rtol=1e-13)
        mean, spread = float(diffuse(PROCESS, t, x0, 0.0)), float(diffuse(PROCESS, t, 0.0, 1.0))
        np.testing.assert_allclose((mean, spread), (scale * x0, np.sqrt(variance)), rtol=1e-6)
        assert_mean(x, mean)
        assert_mean((x - mean) ** 2, spread**2)


@pytest.mark.parametrize('t', range(2, T + 1))
def test_posterior_is_bayes_rule(t):
    x0, x = 0.4, -0.6
    before, beta = PROCESS.alphas_bar[t - 1], BETAS[t - 1]
    grid = np.linspace(-8, 8, 40_001)
    joint = norm.pdf(grid, np.sqrt(before) * x0, np.sqrt(1 - before)) * norm.pdf(
        x, np.sqrt(1 - beta) * grid, np.sqrt(beta)
    )
    mean = np.sum(grid * joint) / np.sum(joint)
    variance = np.sum((grid - mean) ** 2 * joint) / np.sum(joint)
    np.testing.assert_allclose(posterior_mean(PROCESS, t, x0, x), mean, rtol=1e-5)
    np.testing.assert_allclose(PROCESS.posterior[t], variance, rtol=1e-6)


def test_posterior_at_the_first_step_is_the_data():
    assert PROCESS.posterior[1] == 0
    np.testing.assert_allclose(posterior_mean(PROCESS, 1, 0.4, -0.6), 0.4, rtol=1e-6)


def test_variances_are_best_for_normal_data_and_for_one_point():
    """Section 3.2: x_{t-1} given x_t varies by beta_t for data N(0, 1), by the posterior for one
    point."""
    conditional = lambda t: 1 - (np.sqrt(1 - BETAS[t - 1]) * 1) ** 2  # both have variance 1
    large, small = PROCESS.variances, diffusion(BETAS, fixed_small).variances
    np.testing.assert_allclose(large[2:], [conditional(t) for t in range(2, T + 1)], rtol=1e-12)
    np.testing.assert_array_equal(small[2:], PROCESS.posterior[2:])
    assert large[1] == small[1] == PROCESS.posterior[2] > 0


def test_linear_schedule_is_the_papers():
    process = diffusion(diffusion_models.linear_schedule(1000))
    np.testing.assert_allclose(process.betas[[1, 1000]], [1e-4, 0.02])
    # An integral in place of the product: log alpha_bar_T is about -T (mean beta + mean beta^2 /
    # 2).
    mean, square = (1e-4 + 0.02) / 2, (0.02**3 - 1e-12) / (3 * (0.02 - 1e-4))
    np.testing.assert_allclose(
        process.alphas_bar[-1], np.exp(-1000 * (mean + square / 2)), rtol=2e-3
    )
    np.testing.assert_allclose(process.alphas_bar[-1], 4.0358e-5, rtol=1e-4)
    assert np.all(np.diff(process.alphas_bar) < 0)


def test_cosine_schedule_has_a_squared_cosine():
    betas = diffusion_models.cosine_schedule(1000)
    process = diffusion(betas)
    assert betas.max() == betas[-1] == 0.999
    angle = np.arccos(np.sqrt(process.alphas_bar[1:-1] * np.cos(0.008 / 1.008 * np.pi / 2) ** 2))
    np.testing.assert_allclose(np.diff(angle), np.pi / 2 / 1008, rtol=1e-6)
    assert np.all(np.diff(process.alphas_bar) < 0)


def test_reverse_mean_is_equation_11():
    x, noise = jax.random.normal(KEY, (2, 50))
    for t in range(1, T + 1):
        beta, bar = BETAS[t - 1], PROCESS.alphas_bar[t]
        paper = (np.asarray(x) - beta / np.sqrt(1 - bar) * np.asarray(noise)) / np.sqrt(1 - beta)
        ours = posterior_mean(PROCESS, t, implied(PROCESS, t, x, noise), x)
        np.testing.assert_allclose(ours, paper, atol=3e-6)
        np.testing.assert_allclose(
            diffuse(PROCESS, t, implied(PROCESS, t, x, noise), noise), x, atol=3e-6
        )
        assert jnp.abs(implied(PROCESS, t, x, noise, 0.5)).max() == 0.5


@pytest.mark.parametrize('scale', [0.0074, 0.05, 1.0])
@pytest.mark.parametrize('mean', [-2.0, -0.99, 0.123, 0.5])
def test_decoder_is_a_distribution_over_the_levels(mean, scale):
    levels = np.linspace(-1, 1, 256)
    ours = diffusion_models.decoder_log_likelihood(
        jnp.asarray(levels, jnp.float32), jnp.float32(mean), scale
    )
    np.testing.assert_allclose(np.exp(np.asarray(ours, np.float64)).sum(), 1, rtol=1e-5)
    upper, lower = (
        np.append(levels[:-1] + 1 / 255, np.inf),
        np.append(-np.inf, levels[1:] - 1 / 255),
    )
    # The upper tail is taken from the survival function, where scipy's difference keeps its digits.
    tail = np.where(lower > mean, norm.sf(lower, mean, scale) - norm.sf(upper, mean, scale), 0)
    mass = np.where(lower > mean, tail, norm.cdf(upper, mean, scale) - norm.cdf(lower, mean, scale))
    seen = mass > 1e-250
    np.testing.assert_allclose(ours[seen], np.log(mass[seen]), rtol=1e-3, atol=1e-3)
    assert np.isfinite(ours).all()


def closed_bound():
    """The expected L_1..L_T on normal data for the exact predictor and the large variance,
    bits/dim, float64."""
    terms = []
    for t in range(2, T + 1):
        bar, before, beta = PROCESS.alphas_bar[t], PROCESS.alphas_bar[t - 1], BETAS[t - 1]
        left = np.linalg.inv(
            np.linalg.inv(SIGMA) + bar / (1 - bar) * np.eye(3)
        )  # the covariance of x_0 given x_t
        gap = (np.sqrt(before) * beta / (1 - bar)) ** 2 * np.trace(left)
        ratio = (1 - before) / (1 - bar)
        terms.append((3 * (ratio - 1 - np.log(ratio)) + gap / beta) / 2)
    bar = PROCESS.alphas_bar[-1]
    terms.append((bar * (np.trace(SIGMA) + MU @ MU) - 3 * bar - 3 * np.log(1 - bar)) / 2)
    return np.array(terms) / (3 * np.log(2))


def test_bound_on_normal_data_is_the_closed_form_term_by_term():
    data, draws = jax.random.split(KEY)
    terms = jax.jit(
        partial(diffusion_models.bound, process=PROCESS, predict=exact(PROCESS), clip=np.inf)
    )(draws, x0=normal_data(data, 20_000))
    assert terms.shape == (20_000, T + 1)
    assert_mean(terms[:, 1:], closed_bound())


def test_first_term_of_the_bound_is_the_quadrature():
    """L_0 at fixed 8-bit data, its expectation over x_1 by Gauss-Hermite in float64, for a
    predictor of zero."""
    x0 = np.array([-1.0, -1 + 2 * 100 / 255, 1.0])
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    bar, scale = PROCESS.alphas_bar[1], np.sqrt(PROCESS.variances[1])
    mean = (np.sqrt(bar) * x0 + np.sqrt(1 - bar) * nodes[:, None]) / np.sqrt(
        bar
    )  # no noise, so x_1 rescaled
    upper, lower = (
        np.where(x0 == 1, np.inf, x0 + 1 / 255),
        np.where(x0 == -1, -np.inf, x0 - 1 / 255),
    )
    # Mirrored to lie below the mean, where the difference keeps its digits.
    above = lower + upper > 2 * mean
    upper, lower = (
        np.where(above, 2 * mean - lower, upper),
        np.where(above, 2 * mean - upper, lower),
    )
    nats = -np.log(norm.cdf(upper, mean, scale) - norm.cdf(lower, mean, scale))
    expected = (weights / weights.sum()) @ nats.mean(1) / np.log(2)
    many = jnp.broadcast_to(jnp.asarray(x0, jnp.float32).reshape(1, *SHAPE), (20_000, *SHAPE))
    terms = diffusion_models.bound(KEY, PROCESS, lambda x, t: jnp.zeros_like(x), many, clip=np.inf)
    assert_mean(terms[:, 0], expected)


def test_evaluation_is_unbiased_and_its_loss_the_optimum():
    data, draws, other = jax.random.split(KEY, 3)
    x0 = normal_data(data, 50_000)
    algorithm = ddpm(
        Tabular(T),
        optax.sgd(0.1),
        shape=SHAPE,
        steps=T,
        betas=lambda _: BETAS,
        clip=np.inf,
        decay=0.0,
    )
    weights, biases = (jnp.asarray(x[1:], jnp.float32) for x in optimum(PROCESS))
    fit = algorithm.init(KEY, {'image': x0})._replace(
        average={'weights': weights, 'biases': biases}
    )
    ours = jax.jit(algorithm.evaluate)(draws, fit, {'image': x0})
    terms = jax.jit(
        partial(diffusion_models.bound, process=PROCESS, predict=exact(PROCESS), clip=np.inf)
    )
    assert_mean(ours['bits_per_dim'] - terms(other, x0=x0).sum(1), 0.0)
    left = [
        np.trace(np.eye(3) - (1 - bar) * np.linalg.inv(covariance(bar))) / 3
        for bar in PROCESS.alphas_bar[1:]
    ]
    assert_mean(ours['loss'], np.mean(left))


def test_ancestral_chain_follows_the_exact_recursion():
    """Algorithm 2, by equation 11 and the exact predictor, moves normals linearly: the recursion in
    float64."""
    weights, biases = optimum(PROCESS)
    mean, spread = np.zeros(3), np.eye(3)
    for t in range(T, 0, -1):
        beta, shrink = BETAS[t - 1], BETAS[t - 1] / np.sqrt(1 - PROCESS.alphas_bar[t])
        step = (np.eye(3) - shrink * weights[t]) / np.sqrt(1 - beta)
        mean = step @ mean - shrink * biases[t] / np.sqrt(1 - beta)
        spread = step @ spread @ step.T + (beta * np.eye(3) if t > 1 else 0)
    start, chain = jax.random.split(KEY)
    x = jax.random.normal(start, (40_000, *SHAPE))
    x = denoise(chain, PROCESS, exact(PROCESS), diffusion_models.ancestral(PROCESS), x, np.inf)[
        -1
    ].reshape(-1, 3)
    assert_mean(x, mean)
    apart = np.asarray(x, np.float64) - mean
    assert_mean(apart[:, :, None] * apart[:, None, :], spread)


@pytest.mark.parametrize('clip', [1.0, np.inf])
def test_ddim_of_all_steps_and_eta_one_is_ancestral(clip):
    process = diffusion(diffusion_models.linear_schedule(50, 1e-4, 0.2), fixed_small)
    x = jax.random.normal(KEY, (16, 2, 2, 1))
    go = lambda way: denoise(KEY, process, lambda x, t: jnp.sin(x), way, x, clip)[-1]
    ours, theirs = go(ddim(process, 50, 1.0)), go(diffusion_models.ancestral(process))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * float(jnp.abs(theirs).max()))


def test_ddim_converges_to_the_probability_flow_at_first_order():
    process = diffusion(diffusion_models.linear_schedule(1000))
    last, x = process.alphas_bar[-1], jax.random.normal(KEY, (64, *SHAPE))
    values, vectors = np.linalg.eigh(SIGMA)
    stretch = np.sqrt(
        values / (last * values + 1 - last)
    )  # the flow scales each principal axis by its own spread
    start = np.asarray(x, np.float64).reshape(-1, 3) - np.sqrt(last) * MU
    flow = (MU + start @ (vectors * stretch) @ vectors.T).reshape(x.shape)
    end = lambda key, steps: denoise(key, process, exact(process), ddim(process, steps), x, np.inf)[
        -1
    ]
    steps = [50, 100, 200, 400]
    errors = [np.sqrt(np.mean((np.asarray(end(KEY, n)) - flow) ** 2)) for n in steps]
    np.testing.assert_allclose(np.polyfit(np.log(steps), np.log(errors), 1)[0], -1, atol=0.1)


def test_ddim_keeps_the_marginals_and_eta_scales_the_deviation():
    way = ddim(PROCESS, 4, 0.5)
    now, then = PROCESS.alphas_bar[way.t], PROCESS.alphas_bar[[*way.t[1:], 0]]
    np.testing.assert_allclose(way.clean + way.noisy * np.sqrt(now), np.sqrt(then), rtol=1e-12)
    np.testing.assert_allclose(
        way.noisy**2 * (1 - now) + way.noise**2, 1 - then, rtol=1e-12, atol=1e-15
    )
    half = ddim(PROCESS, T, 0.5)
    np.testing.assert_allclose(
        half.noise, 0.5 * np.sqrt(PROCESS.posterior[half.t]), rtol=1e-10, atol=1e-12
    )


def test_ddim_without_eta_spends_no_randomness():
    x = jax.random.normal(KEY, (4, *SHAPE))
    ends = [
        denoise(jax.random.key(seed), PROCESS, exact(PROCESS), ddim(PROCESS, 5), x)[-1]
        for seed in (0, 1)
    ]
    np.testing.assert_array_equal(*ends)


def test_views_are_the_chain_cut_short():
    way, x = diffusion_models.ancestral(PROCESS), jax.random.normal(KEY, (4, *SHAPE))
    views = denoise(KEY, PROCESS, exact(PROCESS), way, x, frames=3)
    assert views.shape == (3, 4, *SHAPE)
    part = type(way)(*(table[:6] for table in way))
    np.testing.assert_allclose(
        views[1], denoise(KEY, PROCESS, exact(PROCESS), part, x)[0], atol=1e-6
    )
    np.testing.assert_allclose(
        views[-1], denoise(KEY, PROCESS, exact(PROCESS), way, x)[0], atol=1e-6
    )


def test_interpolation_reproduces_its_ends_and_is_linear_for_a_linear_predictor():
    process = diffusion(diffusion_models.linear_schedule(1000))
    x, y = normal_data(KEY, 32).reshape(2, 16, *SHAPE)
    go = lambda ends, weights, t: diffusion_models.interpolate(
        KEY, process, exact(process), diffusion_models.ancestral(process), ends, weights, t, np.inf
    )
    first, middle, last = go((x, y), [0.0, 0.5, 1.0], 5)
    width = np.sqrt(2 * (1 - process.alphas_bar[5]))  # noise on the way there and on the way back
    assert float(jnp.std(first - x)) < 1.2 * width and float(jnp.std(last - y)) < 1.2 * width
    np.testing.assert_allclose(middle, (first + last) / 2, atol=1e-5)
    start, end = go((x, x), [0.0, 1.0], 500)
    np.testing.assert_allclose(start, go((x, y), [0.0], 500)[0], atol=1e-5)
    assert float(jnp.abs(start - end).max()) > 0.1  # the two ends have noise of their own


class Tabular(nn.Module):
    """Linear in x, with weights of its own for each of T steps."""

    steps: int

    @nn.compact
    def __call__(self, x, t):
        weights = self.param('weights', nn.initializers.zeros, (self.steps, 3, 3))
        biases = self.param('biases', nn.initializers.zeros, (self.steps, 3))
        return (jnp.einsum('bij,bj->bi', weights[t], x.reshape(-1, 3)) + biases[t]).reshape(x.shape)


class Loud(nn.Module):
    """Says 10 where it is given a key for dropout and 0 elsewhere, in half precision."""

    @nn.compact
    def __call__(self, x, t):
        scale = self.param('scale', nn.initializers.ones, ())
        return (scale * (10 * self.has_rng('dropout') + 0 * x)).astype(jnp.bfloat16)


def test_training_drops_out_and_evaluation_does_not_in_float32():
    algorithm = ddpm(Loud(), optax.sgd(0.0), shape=SHAPE, steps=T)
    batch = {'image': jnp.zeros((256, *SHAPE))}
    fit = algorithm.init(KEY, batch)
    fit, metrics = jax.jit(algorithm.update)(KEY, fit, batch)
    assert 90 < metrics['loss'] < 110  # (10 - noise)^2
    values = jax.jit(algorithm.evaluate)(KEY, fit, batch)
    assert 0.8 < values['loss'].mean() < 1.2
    assert all(v.shape == (256,) and v.dtype == jnp.float32 for v in values.values())


class Clock(nn.Module):
    """Says what time it was told."""

    def __call__(self, x, t):
        return x * 0 + t.astype(jnp.float32)[:, None, None, None]


def test_network_is_told_t_minus_one():
    predict, x = diffusion_models.predictor(Clock(), {}), jnp.zeros((3, *SHAPE))
    assert np.all(predict(x, T) == T - 1)
    np.testing.assert_array_equal(predict(x, jnp.array([1, 2, 10]))[:, 0, 0, 0], [0, 1, 9])


class Boom(nn.Module):
    """Has a parameter, and cannot be run."""

    @nn.compact
    def __call__(self, x, t):
        self.param('scale', nn.initializers.normal(), (2,))
        return jax.pure_callback(lambda _: 1 / 0, x, x)


def test_parameters_are_made_without_running_the_network():
    algorithm = ddpm(Boom(), optax.adam(0.1), shape=SHAPE, steps=T)
    fit, shapes = algorithm.init(KEY, None), jax.eval_shape(algorithm.init, KEY, None)
    assert jax.tree.map(jnp.shape, fit) == jax.tree.map(jnp.shape, shapes)
    np.testing.assert_array_equal(fit.params['scale'], fit.average['scale'])


def test_average_is_its_closed_form():
    algorithm = ddpm(
        Tabular(T), optax.adam(0.1), shape=SHAPE, steps=T, betas=lambda _: BETAS, decay=0.9
    )
    fit = algorithm.init(KEY, None)
    seen, update = [fit.params['weights']], jax.jit(algorithm.update)
    for step in range(5):
        key = jax.random.fold_in(KEY, step)
        fit, _ = update(key, fit, {'image': normal_data(key, 8)})
        seen.append(fit.params['weights'])
    expected = 0.9**5 * seen[0] + sum(0.1 * 0.9 ** (5 - i) * seen[i] for i in range(1, 6))
    np.testing.assert_allclose(fit.average['weights'], expected, rtol=1e-5, atol=1e-7)


def test_samples_are_the_same_on_one_device_and_on_eight():
    algorithm = ddpm(Tabular(T), optax.sgd(0.1), shape=SHAPE, steps=T, betas=lambda _: BETAS)
    fit = algorithm.init(KEY, None)
    draw = jax.jit(algorithm.sample, static_argnums=2)
    alone = draw(KEY, fit, 16)
    with jax.set_mesh(jax.make_mesh((8,), ('data',), axis_types=(jax.sharding.AxisType.Auto,))):
        spread = draw(KEY, fit, 16)
    assert alone.shape == (16, *SHAPE) and len(spread.sharding.device_set) == 8
    assert not spread.is_fully_replicated
    np.testing.assert_allclose(spread, alone, atol=1e-6)


@pytest.mark.parametrize(
    ('wrong', 'word'),
    [
        (dict(steps=0), 'steps 0'),
        (dict(steps=-1), 'steps -1'),
        (dict(shape=[3]), 'shape'),
        (dict(shape=(3, 0)), 'shape'),
        (dict(betas=lambda steps: np.linspace(0, 0.1, steps)), 'betas'),
        (dict(betas=lambda steps: np.linspace(0.1, 1, steps)), 'betas'),
        (dict(betas=lambda steps: np.full(steps, np.nan)), 'betas'),
        (dict(way=partial(ddim, steps=T + 1)), 'steps 11'),
        (dict(way=partial(ddim, steps=0)), 'steps 0'),
        (dict(way=partial(ddim, steps=2, eta=1.5)), 'eta 1.5'),
        (dict(decay=1.0), 'decay'),
    ],
)
def test_impossible_values_are_refused_in_one_line(wrong, word):
    with pytest.raises(ValueError, match=word) as error:
        ddpm(Tabular(T), optax.sgd(0.1), **(dict(shape=SHAPE, steps=T) | wrong))
    assert '\n' not in str(error.value)


def test_training_on_normal_data_reaches_the_optimal_predictor():
    """eps*(x, t) = sqrt(1 - abar) (abar Sigma + (1 - abar) I)^-1 (x - sqrt(abar) mu), each weight
    within 0.02."""
    steps = 1000
    optimizer = optax.sgd(optax.linear_schedule(8.0, 0.0, steps))
    algorithm = ddpm(Tabular(T), optimizer, shape=SHAPE, steps=T, betas=lambda _: BETAS, decay=0.99)
    batches = Resident(
        KEY, lambda key, step: {'image': normal_data(jax.random.fold_in(key, step), 8192)}
    )
    one = make_mesh(jax.devices()[:1])
    fit = train(Experiment(algorithm, Data(batches, []), {}), seed=0, steps=steps, mesh=one)
    weights, biases = optimum(PROCESS)
    np.testing.assert_allclose(fit.average['weights'], weights[1:], atol=0.02)
    np.testing.assert_allclose(fit.average['biases'], biases[1:], atol=0.02)
