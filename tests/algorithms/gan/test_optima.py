"""The games of a GAN against what is known of them: optima in closed form, hand-written steps, the
papers' formulas."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from genjax.algorithms.gan.games import (
    expected,
    gradient_penalty,
    hinge,
    least_squares,
    minimax,
    non_saturating,
    r1,
    r2,
    relativistic,
    wasserstein,
)
from genjax.algorithms.gan.gan import Model, gan
from genjax.data.toys import constant, sampled
from genjax.networks.finite import Atoms, Table
from genjax.networks.mlp import MLP
from genjax.training.mesh import make_mesh
from genjax.training.train import Every, Experiment, evaluate, train

P = np.array([0.05, 0.3, 0.1, 0.35, 0.2])
ODD = nn.initializers.normal(0.7)  # of a table that is no optimum of anything
FROZEN = optax.set_to_zero()
MESH = make_mesh(jax.devices()[:1])
sigmoid = lambda t: 1 / (1 + np.exp(-np.float64(t)))


def softmax(t):
    e = np.exp(np.float64(t))
    return e / e.sum(-1, keepdims=True)


def played(data, *gan_arguments, steps, **options):
    """(the trainer's last state, the means over the test set)."""
    experiment = Experiment(gan(*gan_arguments, **options), data, {})
    state = train(experiment, seed=0, steps=steps, mesh=MESH, every=Every(steps, steps, steps))
    return state, evaluate(experiment, state, seed=0, mesh=MESH)


def tables(state):
    """q and D, [K] each."""
    return softmax(state.generator.fit.params['table']), sigmoid(
        state.discriminator.fit.params['table']
    )


def test_the_discriminator_reaches_its_optimum_and_the_value_tells_the_divergence():
    model = Model(Atoms(5, ODD), Table(5), latent=1)
    data = sampled(constant(P), batch=4, seed=0, test=4)
    state, means = played(data, model, FROZEN, optax.sgd(8.0), game=expected(minimax), steps=600)
    q, d = tables(state)
    assert jensenshannon(P, q) > 0.2
    np.testing.assert_allclose(d, P / (P + q), atol=1e-3)
    np.testing.assert_allclose(
        -means['test/loss'], -np.log(4) + 2 * jensenshannon(P, q) ** 2, atol=1e-3
    )


@pytest.mark.parametrize('game', [minimax, non_saturating], ids=['minimax', 'non_saturating'])
def test_the_generator_reaches_the_data_and_the_value_its_least(game):
    model = Model(Atoms(5, ODD), Table(5, ODD), latent=1)
    data = sampled(constant(P), batch=4, seed=0, test=4)
    state, means = played(
        data, model, optax.sgd(1.0), optax.sgd(2.0), game=expected(game), steps=1500
    )
    q, d = tables(state)
    np.testing.assert_allclose(q, P, atol=1e-3)
    np.testing.assert_allclose(d, 0.5, atol=1e-3)
    np.testing.assert_allclose(-means['test/loss'], -np.log(4), atol=1e-3)


class Conditional(nn.Module):
    """One of finite.py's tables for each label."""

    table: Any  # Atoms or Table
    classes: int

    @nn.compact
    def __call__(self, x, label):
        every = nn.vmap(
            type(self.table),
            in_axes=None,
            out_axes=1,
            variable_axes={'params': 0},
            split_rngs={'params': True},
            axis_size=self.classes,
        )
        return jax.tree.map(
            lambda rows: rows[jnp.arange(len(x)), label], every(5, ODD, name='each')(x)
        )


@pytest.mark.parametrize('optimizer', [FROZEN, optax.sgd(1.0)], ids=['frozen', 'learning'])
def test_a_conditional_game_is_one_game_for_each_label(optimizer):
    p = np.float32([P, P[::-1], np.roll(P, 1)])
    labels = lambda key: jax.random.categorical(key, jnp.log(jnp.array([0.5, 0.3, 0.2])))
    draw = lambda key: (lambda label: {'x': jnp.asarray(p)[label], 'label': label})(labels(key))
    model = Model(Conditional(Atoms(5), 3), Conditional(Table(5), 3), latent=1, classes=3)
    state, _ = played(
        sampled(draw, batch=32, seed=0),
        model,
        optimizer,
        optax.sgd(8.0),
        game=expected(minimax),
        steps=1500,
    )
    q, d = (side.fit.params['each']['table'] for side in state)
    q, d = softmax(q), sigmoid(d)
    np.testing.assert_allclose(d, p / (p + q), atol=1e-3)
    error = np.abs(q - p).max()
    assert error > 0.1 if optimizer is FROZEN else error < 1e-3


# The Wasserstein critic in one dimension. With P, Q the distribution functions of real and
# generated examples and r the density of the points between them, the critic's loss is an integral
# of -(Q - P) f' + w r (|f'| - 1)^2: the least is at f' = sign(Q - P) (1 + |Q - P| / (2 w r)), point
# by point, and E f(real) - E f(fake) there W1 + integral (Q - P)^2 / (2 w r), for two points at a
# distance d, where r = 1 / d, just d + d^2 / (2 w).


def critic(real, scale, weight, *, steps, batch=256):
    """The critic f after a run, on rows [N, 1], between draws of `real` and a generator that stays
    at scale * z."""
    still = MLP((), (1,), kernel_init=nn.initializers.constant(scale))
    model = Model(still, MLP((64, 64), (), nn.gelu), latent=1)
    adam = optax.adam(optax.cosine_decay_schedule(3e-3, steps), b1=0.5, b2=0.99)
    data = sampled(real, batch=batch, seed=0)
    options = dict(game=wasserstein, penalties=[gradient_penalty(weight)], steps=steps)
    state, _ = played(data, model, FROZEN, adam, **options)
    params = {'params': state.discriminator.fit.params}
    return lambda x: np.float64(model.discriminator.apply(params, np.float32(x)[:, None]))


@pytest.mark.parametrize('weight', [0.5, pytest.param(200.0, marks=pytest.mark.slow)])
def test_the_critic_between_two_points_has_the_slope_that_its_penalty_allows(weight):
    distance = 2.0
    f = critic(lambda key: {'x': jnp.full((1,), distance)}, 0.0, weight, steps=200, batch=64)
    difference = f([distance])[0] - f([0])[0]
    np.testing.assert_allclose(difference, distance + distance**2 / (2 * weight), rtol=3e-3)
    slopes = np.diff(f(np.linspace(0, distance, 21))) / 0.1
    np.testing.assert_allclose(slopes, 1 + distance / (2 * weight), rtol=0.06)


def by_quadrature(real, fake, weight):
    """(W1, E f(real) - E f(fake) of the best critic, (grid, densities)) between two normal
    distributions."""
    x, cell = np.linspace(-12, 12, 6_001, retstep=True)
    u = ((np.arange(200) + 0.5) / 200)[:, None]
    mean, scale = (
        u * real.mean() + (1 - u) * fake.mean(),
        np.hypot(u * real.std(), (1 - u) * fake.std()),
    )
    between = stats.norm(mean, scale).pdf(x[None]).mean(0)
    gap = np.abs(fake.cdf(x) - real.cdf(x))
    extra = np.divide(gap**2, 2 * weight * between, out=np.zeros_like(x), where=between > 1e-30)
    return cell * gap.sum(), cell * (gap + extra).sum(), x, cell * (real.pdf(x) - fake.pdf(x))


@pytest.mark.parametrize(
    ('real', 'weight', 'distance'),
    [
        pytest.param(stats.norm(2, 0.5), 100.0, 2.0, id='shifted'),  # by 2
        # Three times as wide, of which quantiles say (1.5 - 0.5) E|z|.
        pytest.param(
            stats.norm(0, 1.5), 1.0, np.sqrt(2 / np.pi), id='wider', marks=pytest.mark.slow
        ),
    ],
)
def test_the_critic_between_two_gaussians_reaches_the_distance_that_its_penalty_allows(
    real, weight, distance
):
    fake = stats.norm(0, 0.5)
    w1, best, x, measure = by_quadrature(real, fake, weight)
    np.testing.assert_allclose(w1, distance, rtol=1e-5)
    draw = lambda key: {'x': real.mean() + real.std() * jax.random.normal(key, (1,))}
    f = critic(draw, fake.std(), weight, steps=600)
    np.testing.assert_allclose(measure @ f(x), best, rtol=0.01)
    if weight == 100:
        np.testing.assert_allclose(measure @ f(x), distance, rtol=0.02)


WEIGHTS = [np.random.default_rng(1).normal(size=shape) for shape in ((6, 4), (6,), (6,))]


def perceptron(weights, x, tanh=np.tanh):
    """x [3, 4] -> [3]."""
    kernel, bias, out = weights
    return tanh(x @ kernel.T + bias[None]) @ out


def slopes(weights, x, step=1e-5):
    """Gradients by central differences, [3, 4]."""
    moves = step * np.eye(4)
    return np.stack(
        [(perceptron(weights, x + m) - perceptron(weights, x - m)) / (2 * step) for m in moves], -1
    )


def shares(key, n):
    """How far along the way from a generated to a real example the gradient penalty looks, [n].

    Between 1 and 3 the critic x^2 / 2 has the slope x, so that its penalty is (x - 1)^2.
    """
    ones = jnp.ones((n, 1))
    return np.sqrt(gradient_penalty(1.0)(key, lambda x: jnp.sum(x**2, 1) / 2, 3 * ones, ones)) / 2


# Of slopes [3, 4], as in the papers, and where they are taken: a share of the way from fake to real
PRICES = {
    'gradient_penalty': (
        gradient_penalty(10.0),
        lambda g: 10 * (np.sqrt((g**2).sum(-1)) - 1) ** 2,
        shares,
    ),
    'r1': (r1(3.0), lambda g: 3 / 2 * (g**2).sum(-1), lambda key, n: np.ones(n)),
    'r2': (r2(0.5), lambda g: 0.5 / 2 * (g**2).sum(-1), lambda key, n: np.zeros(n)),
}


@pytest.mark.parametrize('name', PRICES)
def test_penalties_and_their_gradients_are_those_of_finite_differences(name):
    penalise, price, share = PRICES[name]
    real, fake = np.random.default_rng(2).normal(size=(2, 3, 4))
    with jax.enable_x64(True):
        key = jax.random.key(0)
        x = fake + share(key, 3)[:, None] * (real - fake)
        critic = lambda kernel: partial(perceptron, [kernel, *WEIGHTS[1:]], tanh=jnp.tanh)
        of = lambda kernel: penalise(key, critic(kernel), jnp.asarray(real), jnp.asarray(fake))
        seen, gradient = (
            of(WEIGHTS[0]),
            jax.grad(lambda kernel: jnp.sum(of(kernel)))(jnp.asarray(WEIGHTS[0])),
        )
    np.testing.assert_allclose(seen, price(slopes(WEIGHTS, x)), rtol=1e-7)
    for i, j in ((0, 0), (3, 2), (5, 1)):
        move = np.zeros((6, 4))
        move[i, j] = 1e-4
        ends = [price(slopes([WEIGHTS[0] + s * move, *WEIGHTS[1:]], x)).sum() for s in (1, -1)]
        np.testing.assert_allclose(gradient[i, j], (ends[0] - ends[1]) / 2e-4, rtol=1e-5)


def test_the_gradient_penalty_looks_everywhere_between_and_holds_where_a_critic_is_flat():
    assert stats.kstest(shares(jax.random.key(0), 4000), 'uniform').pvalue > 1e-3
    flat = lambda height: gradient_penalty(10.0)(
        jax.random.key(0), lambda x: height * jnp.sum(x, 1), *jnp.ones((2, 3, 4))
    )
    np.testing.assert_array_equal(flat(0.0), 10)
    assert np.isfinite(jax.grad(lambda height: jnp.sum(flat(height)))(0.0))


def one_update(model, batch, *optimizers, **options):
    """The states before and after one update."""
    algorithm = gan(model, *optimizers, **options)
    before = algorithm.init(jax.random.key(4), batch)
    return before, jax.jit(algorithm.update)(jax.random.key(5), before, batch)[0]


ROWS = (
    np.random.default_rng(3).dirichlet(np.ones(5), 6).astype(np.float32)
)  # six examples, each a p of its own


def discriminator_step(t, g, rows, rate=2.0):
    """Down the slope of -V, by hand."""
    d, q = sigmoid(t), softmax(g)
    return t - rate * (-rows.mean(0) * (1 - d) + q * d)


def generator_step(t, g, rate=3.0):
    """Down the slope of sum_x q(x) log(1 - D(x)), by hand."""
    q, prize = softmax(g), np.log(1 - sigmoid(t))
    return g - rate * q * (prize - q @ prize)


@pytest.mark.parametrize('steps', [1, 3])
def test_the_discriminator_steps_first_on_its_rows_and_the_generator_answers_the_new_one(steps):
    model = Model(Atoms(5, ODD), Table(5, ODD), latent=1)
    options = dict(game=expected(minimax), critic_steps=steps)
    before, after = one_update(
        model, {'x': jnp.asarray(ROWS)}, optax.sgd(3.0), optax.sgd(2.0), **options
    )
    g, t = (np.float64(side.fit.params['table']) for side in before)
    seen = np.stack([side.fit.params['table'] for side in after])

    def ends(parts, g_first=False, answer_old=False):
        new_g = generator_step(t, g)
        new_t = t
        for rows in parts:
            new_t = discriminator_step(new_t, new_g if g_first else g, rows)
        return np.stack([new_g if g_first or answer_old else generator_step(new_t, g), new_t])

    parts = [ROWS[k::steps] for k in range(steps)]
    np.testing.assert_allclose(seen, ends(parts), rtol=1e-5, atol=1e-6)
    wrong = [ends(parts, g_first=True), ends(parts, answer_old=True)]
    wrong += (
        [] if steps == 1 else [ends(np.split(ROWS, steps)), ends(parts[::-1]), ends([ROWS] * steps)]
    )
    assert min(np.abs(seen - other).max() for other in wrong) > 1e-3


LATENTS = np.random.default_rng(6).normal(size=(8, 3)).astype(np.float32)


class Known(nn.Module):
    """A generator whose noise is known, whatever it is given."""

    network: nn.Module

    def __call__(self, z):
        return self.network(LATENTS[: len(z)])


@pytest.mark.parametrize('side', [0, 1], ids=['generator', 'discriminator'])
def test_both_gradients_are_those_of_the_lectures_formula(side):
    """V(D, G) = E log D(x) + E log(1 - D(G(z))), which G goes down and D up."""
    x = np.random.default_rng(7).normal(size=(8, 2)).astype(np.float32)
    generator, discriminator = MLP((7,), (2,), nn.tanh), MLP((7,), (), nn.tanh)
    optimizers = [FROZEN, FROZEN]
    optimizers[side] = optax.sgd(1.0)
    before, after = one_update(
        Model(Known(generator), discriminator, 3), {'x': x}, *optimizers, game=minimax
    )

    def V(params):  # the lecture's letter
        G = lambda z: generator.apply({'params': params[0]['network']}, z)
        D = lambda x: 1 / (1 + jnp.exp(-discriminator.apply({'params': params[1]}, x)))
        return jnp.mean(jnp.log(D(x))) + jnp.mean(jnp.log(1 - D(G(LATENTS))))

    gradient = jax.grad(V)([player.fit.params for player in before])[side]
    moved = jax.tree.map(jnp.subtract, after[side].fit.params, before[side].fit.params)
    sign = (-1, 1)[side]
    jax.tree.map(
        lambda m, g: np.testing.assert_allclose(m, sign * g, rtol=1e-4, atol=1e-6), moved, gradient
    )
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
    jax.tree.map(
        np.testing.assert_array_equal, after.generator.fit.params, before.generator.fit.params
    )
    assert (metrics['penalty'] > 0) == bool(penalties)
    logit = model.discriminator.apply({'params': before.discriminator.fit.params}, x)
    np.testing.assert_allclose(metrics['real_logit'], logit.mean(), rtol=1e-5)


log_d = lambda t: -np.logaddexp(0, -t)  # of D = sigmoid(t), and that of 1 - D:
log_not_d = lambda t: -np.logaddexp(0, t)
# (the discriminator's, the generator's) of logits r of a real and f of a generated example
FORMULAS = {
    'minimax': (
        minimax,
        lambda r, f: -(log_d(r) + log_not_d(f)),
        lambda r, f: log_d(r) + log_not_d(f),
    ),
    'non_saturating': (
        non_saturating,
        lambda r, f: -(log_d(r) + log_not_d(f)),
        lambda r, f: -log_d(f),
    ),
    'hinge': (hinge, lambda r, f: -(np.minimum(0, r - 1) + np.minimum(0, -f - 1)), lambda r, f: -f),
    'least_squares': (
        least_squares,
        lambda r, f: 0.5 * (r - 1) ** 2 + 0.5 * f**2,
        lambda r, f: 0.5 * (f - 1) ** 2,
    ),
    'wasserstein': (wasserstein, lambda r, f: f - r, lambda r, f: -f),
    'relativistic': (relativistic, lambda r, f: -log_d(r - f), lambda r, f: -log_d(f - r)),
}


@pytest.mark.parametrize('name', FORMULAS)
def test_the_losses_are_the_papers_in_value_and_slope_and_finite_far_out(name):
    game, *formulas = FORMULAS[name]
    r, f = (
        side.ravel()
        for side in np.meshgrid([-90.0, -3.3, -0.4, 0.3, 2.1, 90.0], [-90.0, -1.6, 0.7, 4.2, 90.0])
    )
    for loss, formula in zip((game.discriminator, game.generator), formulas, strict=True):
        seen, slope = jax.vmap(jax.value_and_grad(loss, (0, 1)))(jnp.float32(r), jnp.float32(f))
        np.testing.assert_allclose(seen, formula(r, f), rtol=1e-5, atol=1e-6)
        numeric = [
            (formula(r + a, f + b) - formula(r - a, f - b)) / 2e-5
            for a, b in ((1e-5, 0), (0, 1e-5))
        ]
        np.testing.assert_allclose(slope, numeric, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', FORMULAS)
def test_expected_is_the_mean_over_all_pairs_of_atoms(name):
    game, *formulas = FORMULAS[name]
    logits, p, q = np.random.default_rng(8).normal(size=5), *ROWS[:2].astype(np.float64)
    outputs = [(jnp.float32(logits), jnp.float32(weights)) for weights in (p, q)]
    for loss, formula in zip(expected(game)[:2], formulas, strict=True):
        pairs = formula(*np.meshgrid(logits, logits, indexing='ij'))
        np.testing.assert_allclose(loss(*outputs), p @ pairs @ q, rtol=1e-5)
    np.testing.assert_allclose(expected(game).logit(outputs[0]), logits @ p, rtol=1e-5)
