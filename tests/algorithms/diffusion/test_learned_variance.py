"""Learned reverse variances against the best ones, which normal data have in closed form."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.algorithms.diffusion import (
    Reverse,
    ancestral,
    bound,
    ddim,
    discrete,
    fixed_large,
    fixed_small,
    hybrid_losses,
    improved_ddpm,
    learned_chain,
    learned_step_term,
    linear_schedule,
    log_variance,
    make_process,
    reverse_chain,
    reverse_predictor,
    step_term,
    trailing_times,
    without_variance,
)
from genjax.algorithms.diffusion.samplers.steps import step_noise
from genjax.base import Resident
from genjax.training import Data, Experiment, make_mesh, train
from tests.algorithms.diffusion.gaussian import (
    BETAS,
    KEY,
    PROCESS,
    SHAPE,
    SIGMA,
    T,
    assert_mean,
    covariance,
    exact_predict,
    normal_data,
    optimum,
)
from tests.marks import slow


class Tabular(nn.Module):
    """A noise linear in x, and a variance without it, with weights of their own for each step."""

    steps: int

    @nn.compact
    def __call__(self, x, t):
        weights = self.param('weights', nn.initializers.zeros, (self.steps, 3, 3))
        biases = self.param('biases', nn.initializers.zeros, (self.steps, 3))
        shares = self.param('shares', nn.initializers.zeros, (self.steps, 3))
        noise = jnp.einsum('bij,bj->bi', weights[t], x.reshape(-1, 3)) + biases[t]
        return jnp.concatenate([noise, shares[t]], -1).reshape(*x.shape[:-1], 6)


def data_left(alpha_bar):
    """The covariance of x_0 given x_t, [3, 3]."""
    return np.linalg.inv(np.linalg.inv(SIGMA) + alpha_bar / (1 - alpha_bar) * np.eye(3))


def best_variance():
    """Of x_{t-1} given x_t, entry by entry, [T + 1, 3]: where the mean is exact, the best one."""
    left = np.stack([np.diag(data_left(bar)) for bar in PROCESS.alpha_bar[1:]])
    best = PROCESS.posterior_variance[1:, None] + PROCESS.posterior_x0_coef[1:, None] ** 2 * left
    return np.vstack([np.zeros(3), best])


def share_of(variance, smaller, larger):
    """v of equation 15."""
    return np.log(variance / smaller) / np.log(larger / smaller)


def test_the_best_variance_is_analytic_dpms_and_that_of_the_joint_law():
    """Three routes: the law of total variance, Bao et al.'s theorem 1, and conditioning."""
    best = best_variance()
    for t in range(2, T + 1):
        alpha = 1 - BETAS[t - 1]
        bar, before = PROCESS.alpha_bar[[t, t - 1]]
        posterior = PROCESS.posterior_variance[t]
        # E of the squares of the score of x_t.
        squares = np.diag(np.linalg.inv(covariance(bar)))
        gap = np.sqrt((1 - bar) / alpha) - np.sqrt(1 - before - posterior)
        analytic = posterior + gap**2 * (1 - (1 - bar) * squares)
        np.testing.assert_allclose(best[t], analytic, rtol=1e-10)

        earlier = covariance(before)
        joint = earlier - alpha * earlier @ np.linalg.inv(covariance(bar)) @ earlier
        np.testing.assert_allclose(best[t], np.diag(joint), rtol=1e-10)
        # Between the two fixed ones, as data of a variance below 1 have it.
        assert np.all((posterior < best[t]) & (best[t] < BETAS[t - 1]))


@pytest.mark.parametrize(('share', 'fixed'), [(0.0, fixed_small), (1.0, fixed_large)])
def test_the_ends_of_the_range_are_the_fixed_variances(share, fixed):
    process = make_process(linear_schedule(50), fixed)
    shares = jnp.full((50, 3), share)
    ours = jnp.exp(jax.vmap(partial(log_variance, process))(jnp.arange(1, 51), shares))
    expected = process.model_variance[1:].copy()
    if share == 1:
        expected[0] = process.beta[1]  # where DDPM takes the smaller one
    np.testing.assert_allclose(ours, np.stack([expected] * 3, 1), rtol=1e-5)


def test_the_middle_of_the_range_is_the_geometric_mean_and_nothing_ends_at_it():
    for t in (2, T):
        larger = PROCESS.beta[t]
        smaller = PROCESS.posterior_variance[t]
        middle = np.exp(log_variance(PROCESS, t, jnp.array(0.5)))
        np.testing.assert_allclose(middle, np.sqrt(larger * smaller), rtol=1e-5)
        beyond = np.exp(log_variance(PROCESS, t, jnp.array(1.5)))
        np.testing.assert_allclose(beyond, larger * np.sqrt(larger / smaller), rtol=1e-5)


class Pair(nn.Module):
    """Gives x times a weight for the noise, and a constant for the variance."""

    @nn.compact
    def __call__(self, x, t):
        weight = self.param('weight', nn.initializers.constant(0.7), ())
        signed_share = self.param('signed_share', nn.initializers.constant(-0.4), ())
        return jnp.concatenate([weight * x, signed_share + 0 * x], -1)


def test_the_first_channels_are_the_noise_and_the_others_the_share():
    x = normal_data(KEY, 4)
    params = {'weight': jnp.array(0.7), 'signed_share': jnp.array(-0.4)}
    reverse = reverse_predictor(Pair(), params)(x, jnp.full(4, 3))
    np.testing.assert_allclose(reverse.noise, 0.7 * x, rtol=1e-6)
    np.testing.assert_allclose(reverse.share, np.full(x.shape, 0.3), rtol=1e-6)


def test_the_bound_teaches_the_variance_alone_and_the_noise_error_the_mean_alone():
    """Equation 16, with the gradient of the mean stopped in the bound (section 3.1)."""
    x0 = normal_data(KEY, 512)

    @jax.jit
    def mean_loss(params, weight):
        predict = reverse_predictor(Pair(), params)
        losses = hybrid_losses(KEY, PROCESS, predict, x0, np.inf, weight)
        return jnp.mean(losses['loss']), losses

    params = {'weight': jnp.array(0.7), 'signed_share': jnp.array(-0.4)}
    derivative = jax.jit(jax.grad(mean_loss, has_aux=True))
    gradient, losses = derivative(params, 0.001)
    without, _ = derivative(params, 0.0)
    doubled, _ = derivative(params, 0.002)
    parts = losses['noise_error'] + 0.001 * losses['bits_per_dim']
    np.testing.assert_allclose(losses['loss'], parts, rtol=1e-6)
    assert gradient['weight'] == without['weight'] == doubled['weight'] != 0
    assert without['signed_share'] == 0
    np.testing.assert_allclose(doubled['signed_share'], 2 * gradient['signed_share'], rtol=1e-5)
    # The gradient is that of finite differences: at t = 1 too, whose term is the decoder's.
    step = 0.01
    changed = [
        mean_loss(params | {'signed_share': params['signed_share'] + change}, 1.0)[1]
        for change in (-step, step)
    ]
    difference = np.asarray(changed[1]['bits_per_dim'] - changed[0]['bits_per_dim'], np.float64)
    expected = 1000 * float(gradient['signed_share'])
    np.testing.assert_allclose(difference.mean() / (2 * step), expected, rtol=1e-2)


@pytest.mark.parametrize('t', [1, slow(2), slow(T)])
def test_gradients_are_finite_at_every_step_and_far_from_the_data(t):
    def total(signed_share, noise):
        reverse = Reverse(noise, jnp.full(SHAPE, signed_share))
        return learned_step_term(PROCESS, t, x0, 100 * x0, reverse, np.inf)

    x0 = jnp.array([-1.0, 0.2, 1.0]).reshape(SHAPE)
    by_share, by_noise = jax.grad(total, (0, 1))(0.3, 30 * x0)
    assert np.isfinite(by_share)
    assert np.all(by_noise == 0)


def test_with_the_variance_of_the_process_the_term_is_ddpms():
    process = make_process(BETAS, fixed_small)
    x0, noise = jax.random.normal(KEY, (2, *SHAPE))
    for t in range(1, T + 1):
        reverse = Reverse(noise, jnp.zeros(SHAPE))
        ours = learned_step_term(process, t, x0, x0 + noise, reverse)
        theirs = step_term(process, t, x0, x0 + noise, noise)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_the_chain_with_the_smaller_variance_is_ancestral_at_all_steps_and_at_few():
    x = jax.random.normal(KEY, (16, *SHAPE))

    def estimate(x, t):
        return jnp.sin(x), jnp.zeros_like(x)

    def denoise(x, t):
        return jnp.sin(x)

    for times in (np.arange(T, -1, -1), trailing_times(PROCESS, 3)):
        ours = learned_chain(PROCESS, times)(KEY, estimate, x)
        theirs = ancestral(discrete(PROCESS), times)(KEY, denoise, x)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(('share', 'fixed'), [(0.0, fixed_small), (1.0, fixed_large)])
def test_with_a_fixed_variance_the_chain_is_ddpms(share, fixed):
    x = jax.random.normal(KEY, (16, *SHAPE))

    def estimate(x, t):
        return jnp.sin(x), jnp.full_like(x, share)

    def denoise(x, t):
        return jnp.sin(x)

    ours = learned_chain(PROCESS)(KEY, estimate, x)
    theirs = reverse_chain(make_process(BETAS, fixed))(KEY, denoise, x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_step_has_the_learned_variance_and_the_last_has_none():
    x = jax.random.normal(KEY, (8, *SHAPE))
    shares = jnp.array([-0.2, 0.5, 1.0])

    def estimate(x, t):
        return jnp.zeros_like(x), jnp.broadcast_to(shares, x.shape)

    first = learned_chain(PROCESS, frames=T)(KEY, estimate, x)[0]
    noise = (first - PROCESS.posterior_xt_coef[T] * x) / step_noise(KEY, T, x)
    expected = jnp.exp(log_variance(PROCESS, T, shares) / 2)
    np.testing.assert_allclose(noise, np.broadcast_to(expected, x.shape), rtol=1e-3)
    # A step to 5, of the two fixed variances of one wide step.
    bar, before = PROCESS.alpha_bar[[T, 5]]
    larger = 1 - bar / before
    smaller = (1 - before) / (1 - bar) * larger
    wide = learned_chain(PROCESS, np.array([T, 5]))(KEY, estimate, x)
    noise = (wide - np.sqrt(bar / before) * (1 - before) / (1 - bar) * x) / step_noise(KEY, 1, x)
    expected = np.sqrt(larger**shares * smaller ** (1 - shares))
    np.testing.assert_allclose(noise, np.broadcast_to(expected, x.shape), rtol=1e-3)
    # The last step gives the estimate itself.
    last = learned_chain(PROCESS, np.array([1, 0]))(KEY, estimate, x)
    np.testing.assert_array_equal(last, jnp.zeros_like(x))


@pytest.mark.parametrize('times', [np.arange(T, -1, -1), np.array([T, 6, 3, 0])])
def test_with_the_best_variances_every_step_keeps_the_marginals(times):
    """On independent normals the reverse steps are normal, so nothing is lost at any step width.

    The chain is linear in x and its noise, so its covariance is a recursion in float64. x_0 is the
    mean of the last step, and lacks what is left of the data there.
    """
    values = np.array([0.5, 0.3, 0.05])
    bar = PROCESS.alpha_bar
    left = values[None] * (1 - bar[:, None]) / (bar[:, None] * values[None] + 1 - bar[:, None])
    gain = np.sqrt(bar)[:, None] * values[None] / (bar[:, None] * values[None] + 1 - bar[:, None])
    shares = np.zeros((T + 1, 3))
    for t, before in zip(times[:-2], times[1:-1], strict=True):
        larger = 1 - bar[t] / bar[before]
        smaller = (1 - bar[before]) / (1 - bar[t]) * larger
        x0_coef = np.sqrt(bar[before]) * larger / (1 - bar[t])
        shares[t] = share_of(smaller + x0_coef**2 * left[t], smaller, larger)

    def estimate(x, t):
        return jnp.asarray(gain)[t].reshape(x.shape) * x, jnp.asarray(shares)[t].reshape(x.shape)

    with jax.enable_x64(True):
        deviation = jnp.sqrt(bar[T] * values + 1 - bar[T])
        x = deviation[None, None, None] * jax.random.normal(KEY, (20_000, *SHAPE))
        frames = learned_chain(PROCESS, times, frames=len(times) - 1)(KEY, estimate, x)
        frames = np.asarray(frames).reshape(-1, 20_000, 3)
    for frame, t in zip(frames[:-1], times[1:-1], strict=True):
        assert_mean(frame**2, bar[t] * values + 1 - bar[t])
    assert_mean(frames[-1] ** 2, values - left[times[-2]])


def test_a_sampler_without_variance_is_itself():
    x = jax.random.normal(KEY, (16, *SHAPE))
    sampler = ddim(discrete(PROCESS), trailing_times(PROCESS, 4))

    def estimate(x, t):
        return jnp.sin(x), jnp.full_like(x, jnp.nan)

    def denoise(x, t):
        return jnp.sin(x)

    ours = without_variance(sampler)(KEY, estimate, x)
    np.testing.assert_array_equal(ours, sampler(KEY, denoise, x))


def best_params():
    """Of `Tabular`: the exact mean, and from t = 2 on the best variances."""
    weights, biases = optimum(PROCESS)
    best = best_variance()[2:]
    shares = share_of(best, PROCESS.posterior_variance[2:, None], BETAS[1:, None])
    params = {
        'weights': weights[1:],
        'biases': biases[1:],
        'shares': np.vstack([np.zeros(3), 2 * shares - 1]),
    }
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)


def learned_bound(params, x0):
    """The terms of the bound by a `Tabular` with learned variances, [B, T + 1]."""
    predict = reverse_predictor(Tabular(T), params)
    terms = partial(bound, process=PROCESS, predict=predict, clip=np.inf, term=learned_step_term)
    return jax.jit(terms)(KEY, x0=x0)


def fixed_bound(variance, x0):
    """The terms of the bound by the exact mean and a fixed variance, of the same draws."""
    process = make_process(BETAS, variance)
    terms = partial(bound, process=process, predict=exact_predict(process), clip=np.inf)
    return jax.jit(terms)(KEY, x0=x0)


def test_with_the_best_variances_the_bound_is_the_logarithm_of_their_gain():
    """E KL = log(best / posterior) / 2, what else is in it being 0 in the mean.

    Below either fixed variance's, which is a closed form too, at every t.
    """
    x0 = normal_data(KEY, 20_000)
    ours = learned_bound(best_params(), x0)[:, 1:T]
    best = best_variance()[2:]
    gain = np.log(best / PROCESS.posterior_variance[2:, None]) / 2
    assert_mean(ours, gain.mean(1) / np.log(2))
    for variance in (fixed_small, fixed_large):
        model = make_process(BETAS, variance).model_variance[2:, None]
        # Of the fixed variance: the same with E (x_{t-1} - mean)^2 = best.
        kl = (best / model - 1 - np.log(PROCESS.posterior_variance[2:, None] / model)) / 2
        theirs = fixed_bound(variance, x0)[:, 1:T]
        assert_mean(theirs, kl.mean(1) / np.log(2))
        assert np.all(kl.mean(1) > gain.mean(1))


@pytest.mark.usefixtures('optimised')
@pytest.mark.slow
def test_training_on_normal_data_reaches_the_best_variances_and_a_lower_bound():
    """Each variance within 2 % of the best, and the whole bound below that of both fixed ones.

    Half of the steps have 60,000 examples of each t, whose variance has a standard error of 0.6 %.
    """
    steps = 600
    optimizer = optax.adam(optax.cosine_decay_schedule(0.05, steps))
    algorithm = improved_ddpm(
        Tabular(T), optimizer, shape=SHAPE, process=PROCESS, clip=np.inf, decay=0.99
    )

    def make_batch(key, step):
        return {'image': normal_data(jax.random.fold_in(key, step), 2048)}

    data = Data(Resident(KEY, make_batch), [])
    one_device = make_mesh(jax.devices()[:1])
    fit = train(Experiment(algorithm, data, {}), seed=0, steps=steps, mesh=one_device)
    weights, biases = optimum(PROCESS)
    np.testing.assert_allclose(fit.average['weights'], weights[1:], atol=0.03)
    np.testing.assert_allclose(fit.average['biases'], biases[1:], atol=0.03)
    shares = (fit.average['shares'] + 1) / 2
    ours = jnp.exp(jax.vmap(partial(log_variance, PROCESS))(jnp.arange(2, T + 1), shares[1:]))
    np.testing.assert_allclose(ours, best_variance()[2:], rtol=0.02)

    x0 = normal_data(KEY, 20_000)
    ours = np.asarray(learned_bound(fit.average, x0).sum(1), np.float64)
    for variance in (fixed_small, fixed_large):
        gap = np.asarray(fixed_bound(variance, x0).sum(1), np.float64) - ours
        assert gap.mean() > 4.5 * gap.std() / np.sqrt(len(gap))


@pytest.mark.slow
def test_samples_and_evaluation_use_the_average_of_the_parameters():
    algorithm = improved_ddpm(Tabular(T), optax.sgd(0.1), shape=SHAPE, process=PROCESS)
    fit = algorithm.init(KEY, None)
    other = fit._replace(average=best_params())
    changed = fit._replace(params=best_params())
    batch = {'image': normal_data(KEY, 8)}
    samples = [algorithm.sample(KEY, state, 8) for state in (fit, other, changed)]
    losses = [algorithm.evaluate(KEY, state, batch)['loss'] for state in (fit, other, changed)]
    for first, second, third in (samples, losses):
        np.testing.assert_array_equal(first, third)
        assert float(jnp.abs(first - second).max()) > 0.01


class Single(nn.Module):
    """Gives a noise and no variance."""

    @nn.compact
    def __call__(self, x, t):
        return self.param('scale', nn.initializers.ones, ()) * x


def test_a_network_without_a_variance_is_refused_in_one_line():
    algorithm = improved_ddpm(Single(), optax.sgd(0.1), shape=SHAPE, process=PROCESS)
    fit = algorithm.init(KEY, None)
    message = r'^the network gives \(4, 1, 1, 3\); the noise and its variance need \(4, 1, 1, 6\)'
    with pytest.raises(ValueError, match=message):
        algorithm.update(KEY, fit, {'image': normal_data(KEY, 4)})


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (dict(steps=1), 'steps is 1; a diffusion takes 2 to 1000000'),
        (
            dict(shape=(3, 0)),
            r'shape is \(3, 0\); improved_ddpm needs a tuple of positive integers',
        ),
        (dict(bound_weight=-0.1), 'bound_weight is -0.1; it must be at least 0'),
        (dict(decay=1.0), 'decay is 1.0; the average needs 0 <= decay < 1'),
    ],
)
def test_impossible_values_are_refused_in_one_line(wrong, message):
    with pytest.raises(ValueError, match=f'^{message}$'):
        improved_ddpm(Tabular(T), optax.sgd(0.1), **(dict(shape=SHAPE, steps=T) | wrong))
