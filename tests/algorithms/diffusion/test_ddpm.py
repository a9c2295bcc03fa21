"""DDPM against closed forms: on normal data the best predictor and its loss are linear algebra."""

from functools import partial

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.algorithms.diffusion import (
    bound,
    ddim,
    ddpm,
    discrete,
    linear_schedule,
    make_process,
    predictor,
    trailing_times,
)
from genjax.averages import fixed
from genjax.base import Resident
from genjax.training import Data, Experiment, make_mesh, train
from genjax.training.needed import evaluate_needed
from tests.algorithms.diffusion.gaussian import (
    KEY,
    PROCESS,
    SHAPE,
    T,
    assert_mean,
    covariance,
    exact_predict,
    normal_data,
    optimum,
)
from tests.trees import assert_trees_equal


class Tabular(nn.Module):
    """Linear in x, with weights of its own for each of T steps."""

    steps: int

    @nn.compact
    def __call__(self, x, t):
        weights = self.param('weights', nn.initializers.zeros, (self.steps, 3, 3))
        biases = self.param('biases', nn.initializers.zeros, (self.steps, 3))
        return (jnp.einsum('bij,bj->bi', weights[t], x.reshape(-1, 3)) + biases[t]).reshape(x.shape)


def test_evaluation_is_unbiased_and_its_loss_the_optimum():
    data_key, evaluate_key, bound_key = jax.random.split(KEY, 3)
    x0 = normal_data(data_key, 50_000)
    algorithm = ddpm(
        Tabular(T), optax.sgd(0.1), shape=SHAPE, process=PROCESS, clip=np.inf, decay=0.0
    )
    weights, biases = (jnp.asarray(table[1:], jnp.float32) for table in optimum(PROCESS))
    fit = algorithm.init(KEY, {'image': x0})
    fit = fit._replace(average={'weights': weights, 'biases': biases})
    ours = jax.jit(algorithm.evaluate)(evaluate_key, fit, {'image': x0})
    terms = jax.jit(partial(bound, process=PROCESS, predict=exact_predict(PROCESS), clip=np.inf))
    assert_mean(ours['bits_per_dim'] - terms(bound_key, x0=x0).sum(1), 0.0)
    left = [
        np.trace(np.eye(3) - (1 - bar) * np.linalg.inv(covariance(bar))) / 3
        for bar in PROCESS.alpha_bar[1:]
    ]
    assert_mean(ours['loss'], np.mean(left))


class Loud(nn.Module):
    """Gives 10 where it has a key for dropout and 0 elsewhere, in half precision."""

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
    """Gives the time that it is called with."""

    def __call__(self, x, t):
        return x * 0 + t.astype(jnp.float32)[:, None, None, None]


def test_network_is_given_t_minus_one():
    predict = predictor(Clock(), {})
    x = jnp.zeros((3, *SHAPE))
    assert np.all(predict(x, jnp.full(3, T)) == T - 1)
    np.testing.assert_array_equal(predict(x, jnp.array([1, 2, 10]))[:, 0, 0, 0], [0, 1, 9])


class Boom(nn.Module):
    """Has a parameter, and cannot be run."""

    @nn.compact
    def __call__(self, x, t):
        self.param('scale', nn.initializers.normal(), (2,))
        return jax.pure_callback(lambda _: 1 / 0, x, x)


def begin_by_hand(algorithm):
    return algorithm.init(KEY, None)


def begin_as_a_run(algorithm):
    return evaluate_needed(algorithm.init, KEY, None, lambda: None)


# The pinned flax runs no network in `lazy_init`; 0.12.12 does.
by_hand = pytest.param(
    begin_by_hand,
    marks=pytest.mark.skipif(
        tuple(map(int, flax.__version__.split('.')[:3])) > (0, 12, 8),
        reason='newer flax runs the network in lazy_init',
    ),
)


@pytest.mark.parametrize('begin', [by_hand, begin_as_a_run])
def test_parameters_are_made_without_running_the_network(begin):
    algorithm = ddpm(Boom(), optax.adam(0.1), shape=SHAPE, steps=T)
    fit = begin(algorithm)
    shapes = jax.eval_shape(algorithm.init, KEY, None)
    assert jax.tree.map(jnp.shape, fit) == jax.tree.map(jnp.shape, shapes)
    np.testing.assert_array_equal(fit.params['scale'], fit.average['scale'])


def test_average_is_its_closed_form():
    algorithm = ddpm(Tabular(T), optax.adam(0.1), shape=SHAPE, process=PROCESS, decay=fixed(0.9))
    fit = algorithm.init(KEY, None)
    update = jax.jit(algorithm.update)
    weights = [fit.params['weights']]
    for step in range(5):
        key = jax.random.fold_in(KEY, step)
        fit, _ = update(key, fit, {'image': normal_data(key, 8)})
        weights.append(fit.params['weights'])
    expected = 0.9**5 * weights[0] + sum(0.1 * 0.9 ** (5 - i) * weights[i] for i in range(1, 6))
    np.testing.assert_allclose(fit.average['weights'], expected, rtol=1e-5, atol=1e-7)


def test_samples_are_the_same_on_one_device_and_on_eight():
    algorithm = ddpm(Tabular(T), optax.sgd(0.1), shape=SHAPE, process=PROCESS)
    fit = algorithm.init(KEY, None)
    draw = jax.jit(algorithm.sample, static_argnums=2)
    alone = draw(KEY, fit, 16)
    with jax.set_mesh(jax.make_mesh((8,), ('data',), axis_types=(jax.sharding.AxisType.Auto,))):
        sharded = draw(KEY, fit, 16)
    assert alone.shape == (16, *SHAPE)
    assert len(sharded.sharding.device_set) == 8
    assert not sharded.is_fully_replicated
    np.testing.assert_allclose(sharded, alone, atol=1e-6)


@pytest.mark.slow
def test_the_default_process_is_linear_and_the_sampler_can_be_chosen():
    options = dict(shape=SHAPE, decay=0.0)
    process = make_process(linear_schedule(T))
    default = ddpm(Tabular(T), optax.sgd(0.1), steps=T, **options)
    same = ddpm(Tabular(T), optax.sgd(0.1), process=process, **options)
    other = ddpm(
        Tabular(T),
        optax.sgd(0.1),
        process=process,
        sampler=ddim(discrete(process), trailing_times(process, 2)),
        **options,
    )
    batch = {'image': normal_data(KEY, 8)}
    fit, metrics = default.update(KEY, default.init(KEY, batch), batch)
    assert_trees_equal((fit, metrics), same.update(KEY, same.init(KEY, batch), batch))
    x = default.sample(KEY, fit, 4)
    np.testing.assert_array_equal(x, same.sample(KEY, fit, 4))
    assert float(jnp.abs(x - other.sample(KEY, fit, 4)).max()) > 0.01


@pytest.mark.parametrize(
    ('wrong', 'word'),
    [
        (dict(steps=0), 'steps is 0'),
        (dict(steps=-1), 'steps is -1'),
        (dict(shape=[3]), 'shape'),
        (dict(shape=(3, 0)), 'shape'),
        (dict(decay=1.0), 'decay'),
    ],
)
def test_impossible_values_are_refused_in_one_line(wrong, word):
    with pytest.raises(ValueError, match=word) as error:
        ddpm(Tabular(T), optax.sgd(0.1), **(dict(shape=SHAPE, steps=T) | wrong))
    assert '\n' not in str(error.value)


@pytest.mark.usefixtures('optimised')
@pytest.mark.slow
def test_training_on_normal_data_reaches_the_optimal_predictor():
    """Each weight within 0.02 of the best predictor's.

    eps*(x, t) = sqrt(1 - abar) (abar Sigma + (1 - abar) I)^-1 (x - sqrt(abar) mu).
    """
    steps = 1000
    optimizer = optax.sgd(optax.linear_schedule(8.0, 0.0, steps))
    algorithm = ddpm(Tabular(T), optimizer, shape=SHAPE, process=PROCESS, decay=0.99)

    def make_batch(key, step):
        return {'image': normal_data(jax.random.fold_in(key, step), 8192)}

    data = Data(Resident(KEY, make_batch), [])
    one_device = make_mesh(jax.devices()[:1])
    fit = train(Experiment(algorithm, data, {}), seed=0, steps=steps, mesh=one_device)
    weights, biases = optimum(PROCESS)
    np.testing.assert_allclose(fit.average['weights'], weights[1:], atol=0.02)
    np.testing.assert_allclose(fit.average['biases'], biases[1:], atol=0.02)
