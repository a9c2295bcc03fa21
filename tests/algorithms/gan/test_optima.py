"""The games of a GAN against their optima in closed form, and against steps written by hand."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from genjax.algorithms.gan import (
    Model,
    expected,
    gan,
    gradient_penalty,
    hinge,
    minimax,
    non_saturating,
    r1,
    wasserstein,
)
from genjax.data.toys import constant, sampled
from genjax.networks.finite import Atoms, Table
from genjax.networks.mlp import MLP
from genjax.training import Every, Experiment, evaluate, make_mesh, train
from tests.marks import slow
from tests.trees import assert_trees_close, assert_trees_equal

P = np.array([0.05, 0.3, 0.1, 0.35, 0.2])
# Of a table that is no optimum of anything.
ODD = nn.initializers.normal(0.7)
FROZEN = optax.set_to_zero()
MESH = make_mesh(jax.devices()[:1])

# Six examples, each a p of its own.
ROWS = np.random.default_rng(3).dirichlet(np.ones(5), 6).astype(np.float32)


def sigmoid(t):
    return 1 / (1 + np.exp(-np.float64(t)))


def softmax(t):
    e = np.exp(np.float64(t))
    return e / e.sum(-1, keepdims=True)


def fit_gan(data, *players, steps, **options):
    """(the trainer's last state, the means over the test set) of gan(*players, **options)."""
    experiment = Experiment(gan(*players, **options), data, {})
    state = train(experiment, seed=0, steps=steps, mesh=MESH, every=Every(steps, steps, steps))
    return state, evaluate(experiment, state, seed=0, mesh=MESH)


def tables(state):
    """q and D, [K] each."""
    q = softmax(state.generator.fit.params['table'])
    d = sigmoid(state.discriminator.fit.params['table'])
    return q, d


def test_the_discriminator_reaches_its_optimum_and_the_value_tells_the_divergence():
    model = Model(Atoms(5, ODD), Table(5), latent=1)
    data = sampled(constant(P), batch=4, seed=0, test=4)
    state, means = fit_gan(data, model, FROZEN, optax.sgd(8.0), game=expected(minimax), steps=600)
    q, d = tables(state)
    assert jensenshannon(P, q) > 0.2
    np.testing.assert_allclose(d, P / (P + q), atol=1e-3)
    value = -np.log(4) + 2 * jensenshannon(P, q) ** 2
    np.testing.assert_allclose(-means['test/loss'], value, atol=1e-3)


@pytest.mark.parametrize('game', [minimax, non_saturating], ids=['minimax', 'non_saturating'])
def test_the_generator_reaches_the_data_and_the_value_its_least(game):
    model = Model(Atoms(5, ODD), Table(5, ODD), latent=1)
    data = sampled(constant(P), batch=4, seed=0, test=4)
    state, means = fit_gan(
        data, model, optax.sgd(1.0), optax.sgd(2.0), game=expected(game), steps=1500
    )
    q, d = tables(state)
    np.testing.assert_allclose(q, P, atol=1e-3)
    np.testing.assert_allclose(d, 0.5, atol=1e-3)
    np.testing.assert_allclose(-means['test/loss'], -np.log(4), atol=1e-3)


class Conditional(nn.Module):
    """One of finite.py's tables for each label."""

    table: Atoms | Table
    classes: int

    @nn.compact
    def __call__(self, x, label):
        tables = nn.vmap(
            type(self.table),
            in_axes=None,
            out_axes=1,
            variable_axes={'params': 0},
            split_rngs={'params': True},
            axis_size=self.classes,
        )
        outputs = tables(5, ODD, name='each')(x)  # [B, classes, ...]
        return jax.tree.map(lambda rows: rows[jnp.arange(len(x)), label], outputs)


@pytest.mark.parametrize('optimizer', [slow(FROZEN, id='frozen'), optax.sgd(1.0)])
@pytest.mark.slow
def test_a_conditional_game_is_one_game_for_each_label(optimizer):
    p = np.float32([P, P[::-1], np.roll(P, 1)])

    def draw(key):
        label = jax.random.categorical(key, jnp.log(jnp.array([0.5, 0.3, 0.2])))
        return {'x': jnp.asarray(p)[label], 'label': label}

    model = Model(Conditional(Atoms(5), 3), Conditional(Table(5), 3), latent=1, classes=3)
    state, _ = fit_gan(
        sampled(draw, batch=32, seed=0),
        model,
        optimizer,
        optax.sgd(8.0),
        game=expected(minimax),
        steps=1500,
    )
    q = softmax(state.generator.fit.params['each']['table'])
    d = sigmoid(state.discriminator.fit.params['each']['table'])
    np.testing.assert_allclose(d, p / (p + q), atol=1e-3)
    error = np.abs(q - p).max()
    assert error > 0.1 if optimizer is FROZEN else error < 1e-3


# The Wasserstein critic in one dimension. With P, Q the distribution functions of real and
# generated examples and r the density of the points between them, the critic's loss is an integral
# of -(Q - P) f' + w r (|f'| - 1)^2: the least is at f' = sign(Q - P) (1 + |Q - P| / (2 w r)), point
# by point, and E f(real) - E f(fake) there W1 + integral (Q - P)^2 / (2 w r), for two points at a
# distance d, where r = 1 / d, just d + d^2 / (2 w).


def critic(real, scale, weight, *, steps, batch=256):
    """The critic f after a run, x [N] -> [N], between draws of `real` and those of scale * z."""
    still = MLP((), (1,), kernel_init=nn.initializers.constant(scale))
    model = Model(still, MLP((64, 64), (), nn.gelu), latent=1)
    adam = optax.adam(optax.cosine_decay_schedule(3e-3, steps), b1=0.5, b2=0.99)
    data = sampled(real, batch=batch, seed=0)
    penalties = [gradient_penalty(weight)]
    state, _ = fit_gan(
        data, model, FROZEN, adam, game=wasserstein, penalties=penalties, steps=steps
    )
    params = {'params': state.discriminator.fit.params}

    def f(x):
        return np.float64(model.discriminator.apply(params, np.float32(x)[:, None]))

    return f


@pytest.mark.slow
@pytest.mark.parametrize('weight', [0.5, 200.0])
def test_the_critic_between_two_points_has_the_slope_that_its_penalty_allows(weight):
    distance = 2.0

    def real(key):
        return {'x': jnp.full((1,), distance)}

    f = critic(real, 0.0, weight, steps=200, batch=64)
    difference = f([distance])[0] - f([0])[0]
    np.testing.assert_allclose(difference, distance + distance**2 / (2 * weight), rtol=3e-3)
    slopes = np.diff(f(np.linspace(0, distance, 21))) / 0.1
    np.testing.assert_allclose(slopes, 1 + distance / (2 * weight), rtol=0.06)


def by_quadrature(real, fake, weight):
    """(W1, E f(real) - E f(fake) of the best critic f, a grid, the signed measure on it).

    Between two normal distributions of scipy.
    """
    x, cell = np.linspace(-12, 12, 6_001, retstep=True)
    u = ((np.arange(200) + 0.5) / 200)[:, None]
    mean = u * real.mean() + (1 - u) * fake.mean()
    scale = np.hypot(u * real.std(), (1 - u) * fake.std())
    between = stats.norm(mean, scale).pdf(x[None]).mean(0)
    gap = np.abs(fake.cdf(x) - real.cdf(x))
    extra = np.divide(gap**2, 2 * weight * between, out=np.zeros_like(x), where=between > 1e-30)
    return cell * gap.sum(), cell * (gap + extra).sum(), x, cell * (real.pdf(x) - fake.pdf(x))


@pytest.mark.slow
@pytest.mark.usefixtures('optimised')
@pytest.mark.parametrize(
    ('real', 'weight', 'distance'),
    [
        pytest.param(stats.norm(2, 0.5), 100.0, 2.0, id='shifted'),  # by 2
        # Three times as wide, of which quantiles say (1.5 - 0.5) E|z|.
        pytest.param(stats.norm(0, 1.5), 1.0, np.sqrt(2 / np.pi), id='wider'),
    ],
)
def test_the_critic_between_two_gaussians_reaches_the_distance_that_its_penalty_allows(
    real, weight, distance
):
    fake = stats.norm(0, 0.5)
    w1, best, x, measure = by_quadrature(real, fake, weight)
    np.testing.assert_allclose(w1, distance, rtol=1e-5)

    def draw(key):
        return {'x': real.mean() + real.std() * jax.random.normal(key, (1,))}

    f = critic(draw, fake.std(), weight, steps=600)
    np.testing.assert_allclose(measure @ f(x), best, rtol=0.01)
    if weight == 100:
        np.testing.assert_allclose(measure @ f(x), distance, rtol=0.02)


def one_update(model, batch, *optimizers, **options):
    """The states before and after one update."""
    algorithm = gan(model, *optimizers, **options)
    before = algorithm.init(jax.random.key(4), batch)
    return before, jax.jit(algorithm.update)(jax.random.key(5), before, batch)[0]


def discriminator_step(t, g, rows, rate=2.0):
    """Down the slope of -V, by hand."""
    d = sigmoid(t)
    q = softmax(g)
    return t - rate * (-rows.mean(0) * (1 - d) + q * d)


def generator_step(t, g, rate=3.0):
    """Down the slope of sum_x q(x) log(1 - D(x)), by hand."""
    q = softmax(g)
    reward = np.log(1 - sigmoid(t))
    return g - rate * q * (reward - q @ reward)


@pytest.mark.parametrize('steps', [1, 3])
def test_the_discriminator_steps_first_on_its_rows_and_the_generator_answers_the_new_one(steps):
    model = Model(Atoms(5, ODD), Table(5, ODD), latent=1)
    options = dict(game=expected(minimax), critic_steps=steps)
    before, after = one_update(
        model, {'x': jnp.asarray(ROWS)}, optax.sgd(3.0), optax.sgd(2.0), **options
    )
    g, t = (np.float64(side.fit.params['table']) for side in before)
    actual = np.stack([side.fit.params['table'] for side in after])

    def by_hand(shares, g_first=False, answer_old=False):
        """Both tables after the update, or after one in another order."""
        early_g = generator_step(t, g)
        new_t = t
        for rows in shares:
            new_t = discriminator_step(new_t, early_g if g_first else g, rows)
        new_g = early_g if g_first or answer_old else generator_step(new_t, g)
        return np.stack([new_g, new_t])

    shares = [ROWS[k::steps] for k in range(steps)]
    np.testing.assert_allclose(actual, by_hand(shares), rtol=1e-5, atol=1e-6)
    wrong = [by_hand(shares, g_first=True), by_hand(shares, answer_old=True)]
    if steps > 1:
        wrong += [
            by_hand(np.split(ROWS, steps)),
            by_hand(shares[::-1]),
            by_hand([ROWS] * steps),
        ]
    assert min(np.abs(actual - other).max() for other in wrong) > 1e-3


LATENTS = np.random.default_rng(6).normal(size=(8, 3)).astype(np.float32)


class Known(nn.Module):
    """A generator of known latents, whatever it is given."""

    network: nn.Module

    def __call__(self, z):
        return self.network(LATENTS[: len(z)])


@pytest.mark.parametrize('side', [slow(0, id='generator'), 1])
@pytest.mark.slow
def test_both_gradients_are_those_of_the_lectures_formula(side):
    """V(D, G) = E log D(x) + E log(1 - D(G(z))), which G goes down and D up."""
    x = np.random.default_rng(7).normal(size=(8, 2)).astype(np.float32)
    generator = MLP((7,), (2,), nn.tanh)
    discriminator = MLP((7,), (), nn.tanh)
    optimizers = [FROZEN, FROZEN]
    optimizers[side] = optax.sgd(1.0)
    before, after = one_update(
        Model(Known(generator), discriminator, 3), {'x': x}, *optimizers, game=minimax
    )

    def V(params):  # in the lecture's letters
        def G(z):
            return generator.apply({'params': params[0]['network']}, z)

        def D(x):
            return 1 / (1 + jnp.exp(-discriminator.apply({'params': params[1]}, x)))

        return jnp.mean(jnp.log(D(x))) + jnp.mean(jnp.log(1 - D(G(LATENTS))))

    gradient = jax.grad(V)([player.fit.params for player in before])[side]
    moved = jax.tree.map(jnp.subtract, after[side].fit.params, before[side].fit.params)
    sign = (-1, 1)[side]
    expected_move = jax.tree.map(lambda g: sign * g, gradient)
    assert_trees_close(moved, expected_move, rtol=1e-4, atol=1e-6)
    assert optax.tree.norm(gradient) > 0.01


@pytest.mark.parametrize(
    'penalties', [(), (gradient_penalty(1.0), r1(2.0))], ids=['plain', 'penalised']
)
def test_a_frozen_side_stays_and_the_loss_holds_what_is_stated(penalties):
    x = np.random.default_rng(7).normal(size=(8, 2)).astype(np.float32)
    model = Model(MLP((7,), (2,)), MLP((7,), (), nn.tanh), 3)
    algorithm = gan(model, FROZEN, optax.sgd(0.1), game=hinge, penalties=penalties)
    before = algorithm.init(jax.random.key(4), {'x': x})
    after, metrics = jax.jit(algorithm.update)(jax.random.key(5), before, {'x': x})
    assert_trees_equal(after.generator.fit.params, before.generator.fit.params)
    assert (metrics['penalty'] > 0) == bool(penalties)
    logit = model.discriminator.apply({'params': before.discriminator.fit.params}, x)
    np.testing.assert_allclose(metrics['real_logit'], logit.mean(), rtol=1e-5)
