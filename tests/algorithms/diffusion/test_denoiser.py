"""Denoisers on continuous paths: the loss at its optimum, which the real trainer reaches."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.algorithms.diffusion import (
    Guidance,
    Model,
    denoise_with,
    denoiser,
    draw_labelled,
    draw_samples,
    even_times,
    heun,
    independent,
    karras_times,
    log_normal,
    predictions,
    straight,
    stratified,
    uniform,
    variance_exploding,
    weights,
)
from genjax.algorithms.diffusion.conditions import drop_labels
from genjax.algorithms.diffusion.denoiser import losses, predictor
from genjax.base import Data, Resident
from genjax.descent import Fit
from genjax.training import Experiment, by_jit, by_pmap, make_mesh, train
from tests.algorithms.diffusion.gaussian import KEY, assert_mean
from tests.marks import slow
from tests.trees import assert_trees_close, assert_trees_equal

SHAPE = (2, 2, 1)
DEVIATION = 0.5
EDM = Model(None, variance_exploding(), predictions.edm(DEVIATION))
LAW = log_normal(EDM.path)


class Gain(nn.Module):
    """A multiple of its input for each of a few ranges of the condition, and for each label."""

    bins: int = 12
    labels: int = 0

    @nn.compact
    def __call__(self, x, condition, label=None, augmentation=None):
        gains = self.param('gains', nn.initializers.normal(1.0), (self.bins,))
        shifts = self.param('shifts', nn.initializers.zeros, (self.labels + 1,))
        place = jnp.clip((condition + 1.6) / 3 * self.bins, 0, self.bins - 1).astype(int)
        y = gains[place].reshape(-1, 1, 1, 1) * x
        if augmentation is not None:
            y = y + jnp.sum(augmentation, -1).reshape(-1, 1, 1, 1)
        return y if label is None else y + shifts[label].reshape(-1, 1, 1, 1)


def edm(network=None, **options):
    model = EDM._replace(network=network or Gain())
    sampler = heun(model.path, karras_times(model.path, 18))
    return denoiser(
        model.network and model,
        optax.adam(optax.cosine_decay_schedule(0.05, 400)),
        **{
            'shape': SHAPE,
            'weight': weights.edm_error(DEVIATION),
            'law': LAW,
            'sampler': sampler,
            'decay': 0.9,
            **options,
        },
    )


def normal_images(key, n):
    return DEVIATION * jax.random.normal(key, (n, *SHAPE))


def test_the_loss_of_the_best_denoiser_is_one_at_every_noise_level():
    """On N(0, s_d^2), where the best F is 0."""
    x0 = normal_images(KEY, 4000)

    def predict(x, t):
        return jnp.zeros_like(x)

    for level in (0.002, 0.3, 80.0):
        law = LAW._replace(quantile=partial(jnp.full_like, fill_value=level))
        loss = losses(
            KEY, EDM, predict, x0, law=law, draw=independent, weight=weights.edm_error(DEVIATION)
        )
        assert_mean(loss, 1.0)


@pytest.mark.parametrize('draw', [stratified, independent])
def test_the_loss_is_the_weighted_error_of_x0_whatever_is_predicted(draw):
    """One network's estimate, asked for as eps and as v, has one loss."""
    x0 = normal_images(KEY, 6)
    path = straight()
    law = uniform(path)

    def estimate(x, t):
        return jax.vmap(jnp.multiply)(1 - t, x)

    def loss_as(prediction):
        model = Model(None, path, prediction)

        def predict(x, t):
            x0 = estimate(x, t)
            noise = jax.vmap(lambda t, x, x0: (x - (1 - t) * x0) / t)(t, x, x0)
            return jax.vmap(partial(predictions.target, path, prediction))(t, x0, noise)

        return losses(KEY, model, predict, x0, law=law, draw=draw, weight=weights.flow)

    with jax.enable_x64(True):
        x0 = jnp.asarray(np.asarray(x0), jnp.float64)
        expected = loss_as(predictions.x0())
        for prediction in (predictions.eps(), predictions.v(), predictions.velocity()):
            np.testing.assert_allclose(loss_as(prediction), expected, rtol=1e-8)


def test_the_trainer_reaches_the_loss_of_the_best_denoiser():
    """From gains of random size down to 0, where the denoiser is the exact one."""
    images = normal_images(KEY, 4096)

    def make_batch(images, step):
        key = jax.random.fold_in(jax.random.key(1), step)
        return {'image': jax.random.choice(key, images, (256,))}

    test = [{'image': np.asarray(normal_images(jax.random.key(2), 2048))}]
    data = Data(Resident(images, make_batch), test)
    algorithm = edm()
    state = train(
        Experiment(algorithm, data, {}), seed=0, steps=400, mesh=make_mesh(jax.devices()[:1])
    )
    loss = jax.jit(algorithm.evaluate)(KEY, state, test[0])['loss']
    assert_mean(loss, 1.0)
    # But for the last range of noise levels, of which training sees few.
    assert float(jnp.abs(state.average['gains'][:-1]).max()) < 0.1
    # Samples have the data's deviation, up to what 18 steps of Heun's add.
    x = jax.jit(algorithm.sample, static_argnums=2)(KEY, state, 4000)
    assert float(jnp.std(x)) == pytest.approx(DEVIATION * np.sqrt(1.1136), rel=0.05)


def test_training_hides_labels_and_evaluation_does_not():
    classes = 3
    label = jnp.arange(3000) % classes
    dropped = drop_labels(KEY, label, classes, 0.2)
    hidden = np.asarray(dropped == classes)
    assert_mean(hidden, 0.2)
    np.testing.assert_array_equal(dropped[~hidden], label[~hidden])

    model = EDM._replace(network=Gain(labels=classes), classes=classes)
    always = denoiser(
        model,
        optax.sgd(1.0),
        shape=SHAPE,
        weight=weights.edm_error(DEVIATION),
        law=LAW,
        sampler=heun(model.path, karras_times(model.path, 4)),
        label_dropout=1.0,
    )
    batch = {'image': normal_images(KEY, 30), 'label': label[:30]}
    fit = always.init(KEY, batch)
    after, _ = jax.jit(always.update)(KEY, fit, batch)
    moved = np.asarray(after.params['shifts'] != fit.params['shifts'])
    np.testing.assert_array_equal(moved, [False] * classes + [True])
    far = fit._replace(average=fit.average | {'shifts': jnp.array([0.0, 0.0, 0.0, 100.0])})
    assert float(jax.jit(always.evaluate)(KEY, far, batch)['loss'].max()) < 100


def conditional(guidance=Guidance()):
    model = EDM._replace(network=Gain(labels=2), classes=2)
    return model, denoiser(
        model,
        optax.sgd(1.0),
        shape=SHAPE,
        weight=weights.edm_error(DEVIATION),
        law=LAW,
        sampler=heun(model.path, karras_times(model.path, 6)),
        guidance=guidance,
        label_dropout=0.1,
    )


def test_samples_have_labels_and_guidance_leads_away_from_none():
    batch = {'image': normal_images(KEY, 4), 'label': jnp.array([0, 1, 0, 1])}
    model, algorithm = conditional()
    fit = algorithm.init(KEY, batch)
    params = {'gains': jnp.zeros(12), 'shifts': jnp.array([-1.0, 1.0, 0.0])}
    fit = fit._replace(average=params)
    plain = algorithm.sample(KEY, fit, 64).mean((1, 2, 3))
    _, guided = conditional(Guidance(3.0))
    led = guided.sample(KEY, fit, 64).mean((1, 2, 3))
    _, none = conditional(Guidance(1.0))
    np.testing.assert_array_equal(none.sample(KEY, fit, 64).mean((1, 2, 3)), plain)
    # Each goes on in the direction of its label, and both labels are drawn.
    assert 16 < int((plain > 0).sum()) < 48
    np.testing.assert_array_equal(jnp.sign(led), jnp.sign(plain))
    assert float((jnp.abs(led) / jnp.abs(plain)).min()) > 1.5
    del model


def test_codes_go_there_and_back_with_their_labels():
    batch = {'image': normal_images(KEY, 4), 'label': jnp.array([0, 1, 0, 1])}
    _, algorithm = conditional()
    fit = algorithm.init(KEY, batch)
    fit = fit._replace(average={'gains': jnp.zeros(12), 'shifts': jnp.array([-0.2, 0.2, 0.0])})
    code = jax.jit(algorithm.encode)(KEY, fit, batch)
    np.testing.assert_array_equal(code['label'], batch['label'])
    stretch = float(jnp.std(code['noise']) / jnp.std(batch['image']))
    assert stretch == pytest.approx(80 / DEVIATION, rel=0.3)
    decode = jax.jit(algorithm.decode)
    back = decode(KEY, fit, code)
    np.testing.assert_allclose(back, batch['image'], atol=0.02)
    swapped = decode(KEY, fit, code | {'label': 1 - code['label']})
    assert float(jnp.abs(swapped - batch['image']).min()) > 0.05


def test_augmentation_is_told_to_the_network_in_training_alone():
    def shout(key, x):
        del key
        return x, jnp.full((9,), 100.0)

    loud, quiet = edm(augment=shout), edm()
    batch = {'image': normal_images(KEY, 8)}
    fit = quiet.init(KEY, batch)
    assert jax.tree.map(jnp.shape, loud.init(KEY, batch)) == jax.tree.map(jnp.shape, fit)
    with_it, without = (jax.jit(each.update)(KEY, fit, batch)[1]['loss'] for each in (loud, quiet))
    assert float(with_it) > 1e4 * float(without)
    np.testing.assert_array_equal(
        jax.jit(loud.evaluate)(KEY, fit, batch)['loss'],
        jax.jit(quiet.evaluate)(KEY, fit, batch)['loss'],
    )


def test_the_network_is_given_what_its_prediction_says():
    class Echo(nn.Module):
        def __call__(self, x, condition):
            return x + condition.reshape(-1, 1, 1, 1)

    model = EDM._replace(network=Echo())
    x = normal_images(KEY, 2)
    level = jnp.array([0.5, 4.0])
    total = np.sqrt(np.array([0.5, 4.0]) ** 2 + DEVIATION**2).reshape(-1, 1, 1, 1)
    expected = np.asarray(x) / total + np.log([0.5, 4.0]).reshape(-1, 1, 1, 1) / 4
    np.testing.assert_allclose(predictor(model, {}, {})(x, level), expected, rtol=1e-5)
    skip = DEVIATION**2 / total**2
    out = np.array([0.5, 4.0]).reshape(-1, 1, 1, 1) * DEVIATION / total
    np.testing.assert_allclose(
        denoise_with(model, {})(x, level),
        skip * np.asarray(x) + out * expected,
        rtol=1e-4,
        atol=1e-5,
    )


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r'^label_dropout is 1.5; it must lie in \[0, 1\]$'):
        edm(label_dropout=1.5)
    with pytest.raises(ValueError, match='^guidance has the scale 2.0; the model has no classes$'):
        edm(guidance=Guidance(2.0))
    algorithm = edm()
    batch = {'image': jnp.zeros((3, 4, 4, 1))}
    with pytest.raises(ValueError, match=r'^shape is \(2, 2, 1\); the data have \(4, 4, 1\)$'):
        algorithm.evaluate(KEY, algorithm.init(KEY, batch), batch)


def test_a_flow_samples_by_its_own_clock():
    """Velocity on a straight line, whose best network on N(0, s^2) is known."""
    path = straight()

    class Best(nn.Module):
        @nn.compact
        def __call__(self, x, condition):
            self.param('unused', nn.initializers.zeros, ())
            t = condition.reshape(-1, 1, 1, 1) / 1000
            covariance = t - (1 - t) * DEVIATION**2
            return covariance / ((1 - t) ** 2 * DEVIATION**2 + t**2) * x

    model = Model(Best(), path, predictions.velocity())
    algorithm = denoiser(
        model,
        optax.sgd(0.1),
        shape=SHAPE,
        weight=weights.flow,
        law=uniform(path),
        sampler=heun(path, even_times(path, 20)),
    )
    fit = algorithm.init(KEY, {'image': jnp.zeros((1, *SHAPE))})
    x = algorithm.sample(KEY, fit, 4000)
    assert float(jnp.std(x)) == pytest.approx(DEVIATION, rel=0.02)


@pytest.mark.parametrize(('devices', 'parallel'), [(1, by_jit), slow(4, by_jit), slow(4, by_pmap)])
def test_microbatches_are_one_batch_within_rounding(devices, parallel):
    """On one device and on several: stratified times, noise, hidden labels and augmentation."""
    images = normal_images(jax.random.key(5), 32)
    labels = jnp.arange(32) % 3

    def augmented(key, x):
        shift = jax.random.normal(key, (1,))
        return x + shift[0], shift

    def trained(microbatches, devices, parallel):
        algorithm = denoiser(
            EDM._replace(network=Gain(labels=3), classes=3),
            optax.sgd(0.1),
            shape=SHAPE,
            weight=weights.edm_error(DEVIATION),
            law=LAW,
            sampler=heun(EDM.path, karras_times(EDM.path, 2)),
            label_dropout=0.3,
            augment=augmented,
            decay=0.5,
            microbatches=microbatches,
        )

        def whole(arrays, step):
            return arrays

        data = Data(Resident({'image': images, 'label': labels}, whole), [])
        mesh = make_mesh(jax.devices()[:devices])
        options = dict(seed=0, steps=2, mesh=mesh, parallel=parallel)
        return train(Experiment(algorithm, data, {}), **options)

    assert_trees_close(trained(4, devices, parallel), trained(1, 1, by_jit), rtol=1e-5, atol=1e-7)


def test_samples_of_labels_are_those_that_a_function_gives_the_labels_of():
    model = EDM._replace(network=Gain(labels=3), classes=3)
    given = jnp.array([2, 0, 1, 1])
    params = {'gains': jnp.linspace(-0.1, 0.1, 12), 'shifts': jnp.array([-1.0, 0.0, 1.0, 0.0])}
    state = Fit(params, None, params, {}, jnp.int32(0))
    sampler = heun(model.path, karras_times(model.path, 4))
    options = {'guidance': Guidance(1.5)}
    by_function = draw_samples(model, sampler, SHAPE, label=lambda key, n: given[:n], **options)
    draw = partial(draw_samples, model, sampler, SHAPE, **options)
    found = draw_labelled(draw)(KEY, state, given)
    assert_trees_equal(found, by_function(KEY, state, 4))
    means = found.mean((1, 2, 3))
    assert means[0] > means[2] > means[1]
