"""The update of a GAN: what is refused, what is carried, by what samples are made.

Optima are in test_optima.py.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.algorithms.gan import (
    REFERENCE,
    Model,
    gan,
    hinge,
    minimax,
    non_saturating,
    r1,
    sample_latents,
    saturation,
    wasserstein,
)
from genjax.averages import fixed
from genjax.data.tables import table
from genjax.networks.mlp import MLP
from genjax.networks.norms import BatchNorm
from genjax.training import Experiment, NonFinite, make_mesh, train
from tests.marks import slow
from tests.trees import assert_trees_close

X = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
LABEL = (np.arange(64) % 3).astype(np.int32)
KEY = jax.random.key(5)


class Normed(nn.Module):
    """A hidden layer with batch norm, to which the label, where there is one, adds a vector."""

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self, x, label=None):
        x = nn.relu(BatchNorm()(nn.Dense(8)(x.reshape(len(x), -1))))
        if label is not None:
            x = x + nn.Embed(3, 8)(label)
        return nn.Dense(int(np.prod(self.shape)))(x).reshape(len(x), *self.shape)


PLAIN = Model(MLP((8,), (2,)), MLP((8,), ()), 2)
NORMED = Model(Normed((2,)), Normed(()), 2)
LABELLED = NORMED._replace(classes=3)


def make_gan(model, rate=1e-2, **options):
    options = dict(game=non_saturating) | options
    return gan(model, optax.adam(rate), optax.adam(rate), **options)


def run(algorithm, steps=3, batch=16):
    data = table(X, LABEL, batch=batch, test={'x': X[:20], 'label': LABEL[:20]})
    return train(
        Experiment(algorithm, data, {}), seed=0, steps=steps, mesh=make_mesh(jax.devices()[:1])
    )


@pytest.mark.parametrize(
    ('model', 'options', 'message'),
    [
        (PLAIN, dict(critic_steps=0), 'critic_steps is 0, latent 2; both must be at least 1'),
        (PLAIN._replace(latent=0), {}, 'critic_steps is 1, latent 0; both must be at least 1'),
        (PLAIN, dict(critic_steps=3), 'batch is 16, which critic_steps 3 does not divide'),
        (
            PLAIN._replace(generator=MLP((8,), (3,))),
            {},
            r'the generator gives examples of shape (3,), the data has (2,)',
        ),
        (
            NORMED,
            dict(penalties=(r1(1.0),)),
            'penalties want the slope at one example; '
            'the discriminator has batch norm, which mixes them',
        ),
        (PLAIN, dict(decay=1.0), 'decay is 1.0; the average needs 0 <= decay < 1'),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(model, options, message):
    with pytest.raises(ValueError) as error:
        run(make_gan(model, **options))
    assert str(error.value) == message


@pytest.mark.slow
def test_a_diverging_game_stops():
    with pytest.raises(NonFinite):
        run(make_gan(PLAIN, rate=1e30, game=wasserstein), steps=10)


@pytest.mark.parametrize('model', [NORMED, slow(LABELLED)])
@pytest.mark.slow
def test_a_sample_does_not_depend_on_the_others_nor_on_the_statistics_of_training(model):
    algorithm = make_gan(model, decay=0.5)
    state = run(algorithm)
    z = sample_latents(KEY, 2, 6)
    together = algorithm.decode(KEY, state, z)
    np.testing.assert_allclose(algorithm.decode(KEY, state, z[:3]), together[:3], rtol=1e-5)
    variables = jax.tree.map(lambda leaf: leaf + 7, state.generator.variables)
    stale = state._replace(generator=state.generator._replace(variables=variables))
    np.testing.assert_allclose(algorithm.decode(KEY, stale, z), together, rtol=1e-5)


@pytest.mark.slow
def test_samples_are_normalised_by_the_averaged_parameters_statistics():
    """All of it in numpy: the statistics of the reference latents, then the sample."""
    algorithm = make_gan(NORMED, decay=0.5)
    state = run(algorithm)
    params = jax.tree.map(np.float64, state.generator.fit.average)

    def dense(name, x):
        return x @ params[name]['kernel'] + params[name]['bias']

    reference = dense('Dense_0', np.float64(sample_latents(KEY, 2, REFERENCE)))
    deviation = np.sqrt(reference.var(0) + BatchNorm().eps)
    z = sample_latents(jax.random.key(9), 2, 5)
    norm = params['BatchNorm_0']
    scaled = (dense('Dense_0', np.float64(z)) - reference.mean(0)) / deviation
    expected = dense('Dense_1', np.maximum(scaled * norm['scale'] + norm['bias'], 0))
    np.testing.assert_allclose(algorithm.decode(KEY, state, z), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_average_samples_and_the_newest_parameters_train():
    algorithm = make_gan(PLAIN, decay=fixed(0.9))
    state = run(algorithm)
    # Samples need the average alone.
    averaged = state.generator._replace(fit=state.generator.fit._replace(params=None))
    assert algorithm.sample(KEY, state._replace(generator=averaged), 4).shape == (4, 2)
    later, _ = jax.jit(algorithm.update)(KEY, state, {'x': X[:16]})
    expected = jax.tree.map(
        lambda old, new: 0.9 * old + 0.1 * new,
        state.generator.fit.average,
        later.generator.fit.params,
    )
    assert_trees_close(later.generator.fit.average, expected, atol=1e-6)


@pytest.mark.slow
def test_batch_norms_statistics_are_carried_for_evaluation():
    """After a step the discriminator carries the mean over its two batches, the real one first."""
    algorithm = make_gan(NORMED)
    state = run(algorithm, steps=1)
    sums = state.discriminator.variables['batch_stats']['BatchNorm_0']
    momentum = BatchNorm().momentum
    np.testing.assert_allclose(sums['weight'], 1 - momentum**2, rtol=1e-6)
    first = algorithm.evaluate(KEY, state, {'x': X[:4]})
    again = algorithm.evaluate(KEY, state, {'x': np.concatenate([X[:4], X[40:]])})
    np.testing.assert_allclose(first['real_logit'], again['real_logit'][:4], rtol=1e-5)


@pytest.mark.slow
def test_samples_take_the_labels_in_turn():
    algorithm = make_gan(LABELLED)
    state = run(algorithm, steps=1)
    z = jnp.broadcast_to(sample_latents(KEY, 2, 1), (6, 2))
    x = np.asarray(algorithm.decode(KEY, state, z))
    np.testing.assert_array_equal(x[:3], x[3:])
    assert len(np.unique(x[:3], axis=0)) == 3


class Scaled(nn.Module):
    """Its input, for [., 1] without that axis if asked to, times a parameter that begins at 1."""

    flat: bool = False

    @nn.compact
    def __call__(self, x):
        return self.param('scale', nn.initializers.ones, ()) * (x[:, 0] if self.flat else x)


def test_every_step_draws_latents_of_its_own():
    """With players that pass latents on, losses are means of normals.

    With 3 steps of 2 examples the discriminator's is the mean of 6, the generator's of 2 more.
    """
    options = dict(game=wasserstein, critic_steps=3)
    algorithm = gan(Model(Scaled(), Scaled(True), 1), optax.sgd(0.0), optax.sgd(0.0), **options)
    batch = {'x': jnp.zeros((6, 1))}
    state = algorithm.init(KEY, batch)

    @jax.jit
    @jax.vmap
    def losses(key):
        return algorithm.update(key, state, batch)[1]

    metrics = losses(jax.random.split(KEY, 4000))
    covariance = np.cov(metrics['loss'] * 6**0.5, metrics['generator_loss'] * 2**0.5)
    np.testing.assert_allclose(covariance, np.eye(2), atol=5 * np.sqrt(2 / 4000))


def test_saturation_counts_pairs_without_slope():
    """Hinge is flat beyond 1 on both sides, and minimax where its discriminator is sure."""
    hinged = saturation(hinge, jnp.array([2.0, 0.5, 2.0]), jnp.array([-2.0, -2.0, 0.0]))
    np.testing.assert_array_equal(hinged, [1, 0, 0])
    sure = saturation(minimax, jnp.array([6.0, 4.0]), jnp.array([-6.0, -6.0]))
    np.testing.assert_array_equal(sure, [1, 0])
    linear = saturation(wasserstein, jnp.array([9.0]), jnp.array([-9.0]))
    np.testing.assert_array_equal(linear, [0])
