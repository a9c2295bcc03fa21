"""The algorithm: the real trainer reaches the exact map of normal data by every loss."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.algorithms.diffusion import (
    draw_labelled,
    log_normal,
    logit_normal,
    predictions,
    straight,
    trigonometric,
    uniform,
    variance_exploding,
)
from genjax.algorithms.diffusion.flow_maps import (
    InTarget,
    Model,
    adaptive,
    average_velocity,
    by_maps,
    by_velocity,
    clipped_pairs,
    consistency,
    consistency_form,
    continuous_consistency,
    draw_points,
    draw_samples,
    eulerian,
    even,
    flow_maps,
    guided_slope,
    jump_times,
    lagrangian,
    mean_flow,
    per_duration,
    semigroup,
    sorted_pairs,
    swapped,
    tightening_pairs,
    to_data,
    velocity_with,
    with_noise,
)
from genjax.algorithms.diffusion.flow_maps.flow_maps import LOG_WEIGHT
from genjax.base import Data, Resident
from genjax.networks.log_weight import LogWeight
from genjax.networks.mlp import MLP
from genjax.training import Experiment, by_jit, make_mesh, train
from tests.algorithms.diffusion.flow_maps.exact_maps import (
    MEAN,
    PATHS,
    VARIANCE,
    exact_jump,
)
from tests.algorithms.diffusion.gaussian import KEY, assert_mean
from tests.trees import assert_trees_close

SHAPE = (1,)
ONE = make_mesh(jax.devices()[:1])


class Affine(nn.Module):
    """A map that is affine in x, by a small network of the times: the exact one is."""

    @nn.compact
    def __call__(self, x, condition, duration=None):
        times = [condition] if duration is None else [condition, duration]
        known = jnp.stack([*times, *(time**2 for time in times)], -1)
        shift, gain = jnp.split(MLP((32, 32), (2,), nn.tanh)(known), 2, -1)
        return shift + gain * x


def normal_batches(mean, deviation):
    def make_batch(key, step):
        noise = jax.random.normal(jax.random.fold_in(key, step), (512, *SHAPE))
        return {'image': mean + deviation * noise}

    return Data(Resident(jax.random.key(1), make_batch), [])


def direct(objective, weight=even):
    """By an average velocity on the straight line, from less noise to more as well."""
    path = straight()
    pairs = swapped(sorted_pairs(uniform(path._replace(start=0.0)), diagonal=0.5))
    model = Model(Affine(), path, average_velocity())
    return 'straight', dict(model=model, objective=objective, pairs=pairs, weight=weight)


def by_consistency():
    path = variance_exploding(end=3.0)
    model = Model(Affine(), path, consistency_form(path, predictions.edm(0.7)))
    # Stages of 150 updates, so that the last steps are of t / 64 or less.
    pairs = tightening_pairs(log_normal(path, -0.3, 1.2), 150)
    settings = dict(objective=consistency(path), pairs=pairs, weight=per_duration())
    return 'variance_exploding', dict(model=model) | settings


def by_continuous_consistency():
    path = trigonometric()
    # Told t itself and not in thousandths, which are for embeddings by sines.
    prediction = predictions.v()._replace(condition=lambda path, t: t)
    model = Model(Affine(), path, consistency_form(path, prediction))
    law = logit_normal(0.0, 1.5)
    law = law._replace(quantile=lambda u: path.end * logit_normal(0.0, 1.5).quantile(u))
    settings = dict(objective=continuous_consistency(200), pairs=to_data(law))
    return 'trigonometric', dict(model=model) | settings


CASES = {
    'mean_flow': lambda: direct(mean_flow),
    'mean_flow with its weight': lambda: direct(mean_flow, adaptive(0.75, 1e-3)),
    'eulerian': lambda: direct(eulerian),
    'lagrangian': lambda: direct(lagrangian),
    'semigroup': lambda: direct(semigroup()),
    'consistency': by_consistency,
    'continuous_consistency': by_continuous_consistency,
}


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES)
def test_the_trainer_reaches_the_exact_map(case):
    """One step has the data's mean and deviation within 0.05, and lands where the ODE ends.

    Where the path ends at a noise of 3, which is taken for all that is left, they are those that
    the exact map makes of it. By an average velocity one step back is the ODE's too.
    """
    steps = 1500
    name, settings = CASES[case]()
    path = PATHS[name]
    algorithm = flow_maps(
        settings.pop('model'),
        optax.adam(optax.cosine_decay_schedule(1e-2, steps)),
        shape=SHAPE,
        jumps=by_maps(jump_times(path, 1)),
        reversible=True,
        decay=0.99,
        **settings,
    )
    data = normal_batches(MEAN, np.sqrt(VARIANCE))
    state = train(Experiment(algorithm, data, {}), seed=0, steps=steps, mesh=ONE)
    end = jnp.full(200, path.end)
    sigma = float(path.sigma(path.end))
    of_noise = exact_jump(name, jnp.array([[0.0], [sigma]]), end[:2], 0 * end[:2])
    mean = float(of_noise[0, 0])
    deviation = float(of_noise[1, 0]) - mean
    if name != 'variance_exploding':
        assert (mean, deviation) == pytest.approx((MEAN, np.sqrt(VARIANCE)), rel=1e-5)
    x = np.asarray(algorithm.sample(KEY, state, 20_000))
    assert x.mean() == pytest.approx(mean, abs=0.05)
    assert x.std() == pytest.approx(deviation, abs=0.05)
    x_T = sigma * jax.random.normal(KEY, (200, 1))
    exact = exact_jump(name, x_T, end, 0 * end)
    jumped = algorithm.decode(KEY, state, x_T)
    assert float(jnp.sqrt(jnp.mean((jumped - exact) ** 2))) < 0.06
    if name == 'straight':
        back = algorithm.encode(KEY, state, {'image': exact})
        assert float(jnp.sqrt(jnp.mean((back - x_T) ** 2))) < 0.1


def tiny(classes=None, **options):
    path = straight()
    network = Affine() if classes is None else Labelled()
    model = Model(network, path, average_velocity(), classes)
    law = logit_normal(-0.4, 1.0)
    settings = dict(
        shape=SHAPE,
        objective=mean_flow,
        pairs=clipped_pairs(law, law),
        jumps=by_maps(jump_times(path, 2)),
    )
    return model, flow_maps(model, optax.sgd(0.1), **settings | options)


class Labelled(nn.Module):
    """A constant velocity for each of two labels and for none, beside a trace of its inputs."""

    @nn.compact
    def __call__(self, x, condition, duration, label):
        shifts = self.param('shifts', nn.initializers.zeros, (3,))
        return shifts[label][:, None] + 0 * (x + (condition + duration)[:, None])


SHIFTS = {'shifts': jnp.array([-1.0, 1.0, 0.25])}


def test_the_guided_slope_is_the_papers():
    """Equation 21, and the slope itself where the label is hidden."""
    model, _ = tiny(classes=2)
    label = jnp.array([0, 1, 2, 1])
    law = logit_normal()
    x0 = jnp.ones((4, 1))
    point = draw_points(KEY, model.path, x0, to_data(law), jnp.zeros(4, jnp.int32))
    with_label = velocity_with(model, SHIFTS, {'label': label})
    without = velocity_with(model, SHIFTS, {'label': jnp.full(4, 2)})
    found = guided_slope(InTarget(1.5, 0.4), point, with_label, without, label == 2)
    own = SHIFTS['shifts'][label][:, None]
    expected = 1.5 * point.slope + 0.4 * own + (1 - 1.5 - 0.4) * 0.25
    expected = expected.at[2].set(point.slope[2])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    plain = guided_slope(InTarget(), point, with_label, without, label == 2)
    np.testing.assert_allclose(plain, point.slope, rtol=1e-6)


def test_training_with_guidance_reaches_the_guided_velocity():
    """Of data at one point for each label, whose velocities from noise are -x_0 in the mean.

    At scale omega / (1 - kappa) = 2 it is led on from the velocity without labels.
    """
    _, algorithm = tiny(
        classes=2,
        guidance=InTarget(1.0, 0.5),
        label_dropout=0.3,
        pairs=to_data(logit_normal()),
    )
    image = jnp.tile(jnp.array([[1.0], [-0.5]]), (500, 1))
    label = jnp.tile(jnp.arange(2), 500)

    def whole(batch, step):
        return batch

    data = Data(Resident({'image': image, 'label': label}, whole), [])
    state = train(Experiment(algorithm, data, {}), seed=0, steps=150, mesh=ONE)
    none = -0.25
    np.testing.assert_allclose(
        state.average['shifts'],
        [none + 2 * (-1 - none), none + 2 * (0.5 - none), none],
        atol=0.15,
    )


def test_samples_have_their_labels():
    model, algorithm = tiny(classes=2)
    batch = {'image': jnp.zeros((4, 1)), 'label': jnp.array([0, 1, 0, 1])}
    state = algorithm.init(KEY, batch)._replace(average=SHIFTS)
    x = np.asarray(algorithm.sample(KEY, state, 4000))
    # x_0 = x_T - u.
    assert_mean(x, 0)
    assert_mean(x**2, 2)
    labels = jnp.tile(jnp.arange(2), 2000)
    draw = partial(draw_samples, model, by_maps(jump_times(model.path, 1)), SHAPE)
    chosen = draw_labelled(draw)(KEY, state, labels)
    assert_mean(chosen[::2], 1)
    assert_mean(chosen[1::2], -1)
    decoded = algorithm.decode(KEY, state, {'noise': jnp.zeros((2, 1)), 'label': labels[:2]})
    np.testing.assert_allclose(decoded, [[1.0], [-1.0]], rtol=1e-6)


def test_steps_with_noise_and_along_the_ode_are_drawn_from_one_noise():
    model, algorithm = tiny()
    state = algorithm.init(KEY, {'image': jnp.zeros((1, 1))})
    times = jump_times(model.path, 4)
    for jumps in (by_maps(times), by_velocity(times), with_noise(model.path, times)):
        x = draw_samples(model, jumps, SHAPE)(KEY, state, 6)
        assert x.shape == (6, 1)
    one = by_maps(jump_times(model.path, 1))
    noise = with_noise(model.path, jump_times(model.path, 1))
    # By two programs, which round alike before jax 0.12.
    rounding = 0 if jax.version.__version_info__ < (0, 12) else 1e-6
    np.testing.assert_allclose(
        draw_samples(model, one, SHAPE)(KEY, state, 6),
        draw_samples(model, noise, SHAPE)(KEY, state, 6),
        rtol=rounding,
    )


@pytest.mark.slow
def test_evaluation_is_the_error_without_weights():
    plain, weighted = (tiny(weight=weight)[1] for weight in (even, adaptive(1.0)))
    batch = {'image': jax.random.normal(KEY, (64, 1))}
    state = plain.init(KEY, batch)
    loss = plain.evaluate(KEY, state, batch)['loss']
    np.testing.assert_array_equal(weighted.evaluate(KEY, state, batch)['loss'], loss)
    assert loss.shape == (64,)
    _, metrics = weighted.update(KEY, state, batch)
    _, others = plain.update(KEY, state, batch)
    np.testing.assert_allclose(metrics['error'], others['loss'], rtol=1e-6)
    assert 0 < float(metrics['loss']) < 1


class Nothing(nn.Module):
    """No velocity at all, whatever is trained."""

    @nn.compact
    def __call__(self, x, condition, duration):
        return 0 * self.param('gain', nn.initializers.ones, ()) * x


@pytest.mark.slow
def test_a_learnt_weight_comes_to_where_every_time_has_the_weighted_loss_one():
    """Of flow matching by no velocity the loss is known, alpha'(t)^2 E[x_0^2] + sigma'(t)^2."""
    path = trigonometric()
    algorithm = flow_maps(
        Model(Nothing(), path, average_velocity()),
        optax.adam(optax.cosine_decay_schedule(0.1, 300)),
        shape=SHAPE,
        objective=mean_flow,
        pairs=sorted_pairs(uniform(path), diagonal=1.0),
        jumps=by_maps(jump_times(path, 1)),
        log_weight=LogWeight(),
        decay=0.95,
    )
    state = train(Experiment(algorithm, normal_batches(0.0, 3.0), {}), seed=0, steps=300, mesh=ONE)
    t = jnp.linspace(0.1, 1.5, 8)
    loss = 9 * jnp.sin(t) ** 2 + jnp.cos(t) ** 2
    w = LogWeight().apply({'params': state.average[LOG_WEIGHT]}, t, t)
    # Eight times are told apart by nearly as many coefficients, of some 10,000 draws.
    np.testing.assert_allclose(jnp.exp(w) * loss, jnp.ones(8), atol=0.15)
    batch = {'image': jax.random.normal(KEY, (8, 1))}
    fresh = algorithm.init(KEY, batch)
    after, metrics = algorithm.update(KEY, fresh, batch)
    np.testing.assert_allclose(metrics['loss'], metrics['error'], rtol=1e-6)  # w is 0 there
    np.testing.assert_array_equal(after.params['gain'], fresh.params['gain'])


def test_updates_are_counted_for_the_schedules():
    """A schedule of stages sees the updates of the state, in training and at evaluation."""
    seen = tightening_pairs(logit_normal(), 2)

    def pairs(key, updates):
        return seen(key, updates)

    path = straight()
    _, algorithm = tiny(pairs=pairs, objective=consistency(path), weight=even)
    batch = {'image': jax.random.normal(KEY, (64, 1))}
    state = algorithm.init(KEY, batch)
    first = algorithm.evaluate(KEY, state, batch)['loss'].mean()
    later = state._replace(updates=jnp.int32(20))
    assert float(algorithm.evaluate(KEY, later, batch)['loss'].mean()) < 0.1 * float(first)


def test_microbatches_are_one_batch_within_rounding():
    batch = {'image': jax.random.normal(KEY, (16, 1)), 'label': jnp.arange(16) % 2}

    def trained(microbatches):
        options = dict(guidance=InTarget(1.5, 0.2), label_dropout=0.3, microbatches=microbatches)
        _, algorithm = tiny(classes=2, **options)

        def whole(arrays, step):
            return arrays

        data = Data(Resident(batch, whole), [])
        run = dict(seed=0, steps=2, mesh=ONE, parallel=by_jit)
        return train(Experiment(algorithm, data, {}), **run)

    assert_trees_close(trained(4), trained(1), rtol=1e-5, atol=1e-7)


def test_augmentation_is_told_to_the_network_in_training_alone():
    class Told(nn.Module):
        @nn.compact
        def __call__(self, x, condition, duration, augmentation=None):
            y = Affine()(x, condition, duration)
            return y if augmentation is None else y + jnp.sum(augmentation, -1, keepdims=True)

    def shout(key, x):
        del key
        return x, jnp.full((3,), 100.0)

    model = Model(Told(), straight(), average_velocity())
    law = logit_normal()
    settings = dict(
        shape=SHAPE,
        objective=mean_flow,
        pairs=to_data(law),
        jumps=by_maps(jump_times(model.path, 1)),
    )
    loud, quiet = (
        flow_maps(model, optax.sgd(0.1), augment=augment, **settings) for augment in (shout, None)
    )
    batch = {'image': jax.random.normal(KEY, (8, 1))}
    state = quiet.init(KEY, batch)
    assert jax.tree.map(jnp.shape, loud.init(KEY, batch)) == jax.tree.map(jnp.shape, state)
    with_it, without = (
        jax.jit(each.update)(KEY, state, batch)[1]['error'] for each in (loud, quiet)
    )
    assert float(with_it) > 1e3 * float(without)
    np.testing.assert_array_equal(
        *[jax.jit(each.evaluate)(KEY, state, batch)['loss'] for each in (loud, quiet)]
    )


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r'^label_dropout is 1.5; it must lie in \[0, 1\]$'):
        tiny(label_dropout=1.5)
    with pytest.raises(ValueError, match=r'^guidance is \(2.0, 0.0\); the model has no classes$'):
        tiny(guidance=InTarget(2.0))
    with pytest.raises(ValueError, match=r'^guidance has the mix 1.0; it must lie in \[0, 1\)$'):
        tiny(classes=2, guidance=InTarget(1.0, 1.0))
    _, algorithm = tiny()
    assert algorithm.encode is None
    state = algorithm.init(KEY, {'image': jnp.zeros((1, 1))})
    with pytest.raises(ValueError, match=r'^shape is \(1,\); the data have \(2,\)$'):
        algorithm.evaluate(KEY, state, {'image': jnp.zeros((3, 2))})
