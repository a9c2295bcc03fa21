"""The update of a GAN: who is refused, what is carried, what samples are made by. Optima are in
test_gan_optima.py."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.algorithms.gan.games import hinge, minimax, non_saturating, r1, wasserstein
from genjax.algorithms.gan.gan import REFERENCE, Model, gan, noises, saturation
from genjax.data.tables import table
from genjax.networks.mlp import MLP
from genjax.networks.norms import BatchNorm
from genjax.training.mesh import make_mesh
from genjax.training.train import Experiment, NonFinite, train

X = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
LABEL = (np.arange(64) % 3).astype(np.int32)
KEY = jax.random.key(5)


class Normed(nn.Module):
    """A hidden layer with batch norm; with a label, one that is added to."""

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


def players(model, rate=1e-2, **options):
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
            'penalties want the slope at one example; the discriminator has batch norm, which mixes them',
        ),
        (PLAIN, dict(decay=1.0), 'decay is 1.0; the average needs 0 <= decay < 1'),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_line(model, options, message):
    with pytest.raises(ValueError) as error:
        run(players(model, **options))
    assert str(error.value) == message


def test_a_negative_penalty_is_refused():
    with pytest.raises(ValueError, match='^gamma is -1.0; a penalty needs at least 0$'):
        r1(-1.0)


def test_a_diverging_game_stops():
    with pytest.raises(NonFinite):
        run(players(PLAIN, rate=1e30, game=wasserstein), steps=10)


@pytest.mark.parametrize('model', [NORMED, LABELLED])
def test_a_sample_does_not_depend_on_the_others_nor_on_the_statistics_of_training(model):
    algorithm = players(model, decay=0.5)
    state = run(algorithm)
    z = noises(KEY, 2, 6)
    together = algorithm.decode(KEY, state, z)
    np.testing.assert_allclose(algorithm.decode(KEY, state, z[:3]), together[:3], rtol=1e-5)
    stale = state.generator._replace(
        variables=jax.tree.map(lambda leaf: leaf + 7, state.generator.variables)
    )
    np.testing.assert_allclose(
        algorithm.decode(KEY, state._replace(generator=stale), z), together, rtol=1e-5
    )


def test_samples_are_normalised_by_the_averaged_parameters_statistics():
    """The whole path in numpy: the statistics of the reference noises, then the sample."""
    algorithm = players(NORMED, decay=0.5)
    state = run(algorithm)
    params = jax.tree.map(np.float64, state.generator.fit.average)
    dense = lambda name, x: x @ params[name]['kernel'] + params[name]['bias']
    hidden = dense('Dense_0', np.float64(noises(KEY, 2, REFERENCE)))
    z = noises(jax.random.key(9), 2, 5)
    norm = params['BatchNorm_0']
    scaled = (dense('Dense_0', np.float64(z)) - hidden.mean(0)) / np.sqrt(
        hidden.var(0) + BatchNorm().eps
    )
    expected = dense('Dense_1', np.maximum(scaled * norm['scale'] + norm['bias'], 0))
    np.testing.assert_allclose(algorithm.decode(KEY, state, z), expected, rtol=1e-4, atol=1e-5)


def test_the_average_samples_and_the_newest_plays():
    algorithm = players(PLAIN, decay=0.9)
    state = run(algorithm)
    newest = state.generator._replace(fit=state.generator.fit._replace(params=None))
    assert algorithm.sample(KEY, state._replace(generator=newest), 4).shape == (
        4,
        2,
    )  # needs no others
    later, _ = jax.jit(algorithm.update)(KEY, state, {'x': X[:16]})
    moved = jax.tree.map(
        lambda a, p, old: a - (0.9 * old + 0.1 * p),
        *[later.generator.fit.average, later.generator.fit.params, state.generator.fit.average],
    )
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(moved)) < 1e-6


def test_batch_norms_statistics_are_carried_for_evaluation():
    """After one step the discriminator carries the mean over its two batches, the real one first."""
    algorithm = players(NORMED)
    state = run(algorithm, steps=1)
    sums = state.discriminator.variables['batch_stats']['BatchNorm_0']
    momentum = BatchNorm().momentum
    np.testing.assert_allclose(sums['weight'], 1 - momentum**2, rtol=1e-6)
    first = algorithm.evaluate(KEY, state, {'x': X[:4]})
    again = algorithm.evaluate(KEY, state, {'x': np.concatenate([X[:4], X[40:]])})
    np.testing.assert_allclose(first['real_logit'], again['real_logit'][:4], rtol=1e-5)


def test_samples_take_the_labels_in_turn():
    algorithm = players(LABELLED)
    state = run(algorithm, steps=1)
    z = jnp.broadcast_to(noises(KEY, 2, 1), (6, 2))
    x = np.asarray(algorithm.decode(KEY, state, z))
    np.testing.assert_array_equal(x[:3], x[3:])
    assert len(np.unique(x[:3], axis=0)) == 3


class Scaled(nn.Module):
    """Its input, for [., 1] without that axis if asked to, times a parameter that begins at 1."""

    flat: bool = False

    @nn.compact
    def __call__(self, x):
        return self.param('scale', nn.initializers.ones, ()) * (x[:, 0] if self.flat else x)


def test_every_turn_draws_noise_of_its_own():
    """Players who pass on the noise: with 3 turns of 2 the loss is the mean of 6 normals, the
    generator's of 2 more."""
    options = dict(game=wasserstein, critic_steps=3)
    algorithm = gan(Model(Scaled(), Scaled(True), 1), optax.sgd(0.0), optax.sgd(0.0), **options)
    batch = {'x': jnp.zeros((6, 1))}
    state = algorithm.init(KEY, batch)
    play = jax.jit(jax.vmap(lambda key: algorithm.update(key, state, batch)[1]))
    found = play(jax.random.split(KEY, 4000))
    covariance = np.cov(found['loss'] * 6**0.5, found['generator_loss'] * 2**0.5)
    np.testing.assert_allclose(covariance, np.eye(2), atol=5 * np.sqrt(2 / 4000))


def test_saturation_counts_pairs_without_slope():
    """Hinge is flat beyond 1 on both sides; a minimax discriminator that is sure has no slope
    either."""
    shifted = lambda real, fake: (jnp.array(real), jnp.array(fake))
    np.testing.assert_array_equal(
        saturation(hinge, *shifted([2.0, 0.5, 2.0], [-2.0, -2.0, 0.0])), [1, 0, 0]
    )
    np.testing.assert_array_equal(saturation(minimax, *shifted([6.0, 4.0], [-6.0, -6.0])), [1, 0])
    np.testing.assert_array_equal(saturation(wasserstein, *shifted([9.0], [-9.0])), [0])
