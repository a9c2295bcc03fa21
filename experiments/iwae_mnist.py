"""The importance weighted autoencoder of Burda et al. on binarised MNIST: one layer, k = 50.

Run     python -m launch --exp iwae_mnist
Smoke   python -m launch --exp iwae_mnist --config.steps=4 --config.batch=8 --config.importance=50
        --config.widths='(16,)' --config.samples=3
Source  Burda et al. 2016, arXiv:1509.00519, table 1, who report 84.78 nats by 5,000 importance
        samples for k = 50
Ours    not run to its end; 20,000 steps of batch 100 at a rate of 4e-3 (commit e215165, one core, 7
        min) come to 92.53 nats with k = 5, 94.26 with k = 1
"""

import flax.linen as nn
import jax
import optax
from jax.scipy.special import logit
from ml_collections import ConfigDict

from genjax.algorithms.vae import Model, iwae, log_likelihood, vae
from genjax.data.derived import binarized
from genjax.data.images.sets import images
from genjax.networks.mlp import MLP
from genjax.numerics.likelihoods import bernoulli
from genjax.probes.codes import code_accuracy
from genjax.probes.decoded import reconstructions, unit_images
from genjax.probes.figures import grid
from genjax.probes.likelihood import importance
from genjax.training import Experiment, Probe


def get_config():
    config = dict(
        seed=0,
        steps=9_840_000,  # 3,280 epochs
        batch=20,
        data_dir='',
        samples=50,  # k
        latent=50,
        widths=(200, 200),
        learning_rate=1e-3,
        adam=dict(b1=0.9, b2=0.999, eps=1e-4),
        decay=0.999,
        importance=5000,  # samples an image of the test likelihood
        every=dict(log=5000, evaluate=100_000, save=100_000),
    )
    return ConfigDict(config)


def build(config):
    pictures = images('mnist', batch=config.batch, seed=config.seed, data_dir=config.data_dir)
    data = binarized(pictures, seed=config.seed)
    mean_image = pictures.train.arrays['image'].reshape(-1, 784).mean(0) / 255

    def background(*_):
        """The decoder's first bias: it begins by giving the mean image."""
        return logit(mean_image.clip(1e-3, 1 - 1e-3))

    encoder = MLP(config.widths, (2, config.latent), nn.tanh)
    decoder = MLP(config.widths, (784,), nn.tanh, bias_init=background)
    model = Model(encoder, decoder, bernoulli, config.latent)
    optimizer = optax.adam(staircase(config.learning_rate, config.steps), **config.adam)
    algorithm = vae(model, optimizer, objective=iwae(config.samples), decay=config.decay)
    likelihood = log_likelihood(model, samples=config.importance)
    encode = algorithm.encode
    decode = algorithm.decode
    view = unit_images((28, 28, 1))
    first = {'x': data.test[0]['x'][:16]}
    train = [data.train[step] for step in range(5000 // config.batch)]

    def means(key, state, n):
        """The means of p(x | z) at n draws of z."""
        return view(decode(key, state, jax.random.normal(key, (n, config.latent))))

    probes = {
        'samples': Probe(100_000, grid(means, n=64)),
        'reconstructions': Probe(100_000, reconstructions(encode, decode, first, view=view)),
        'codes': Probe(config.steps, code_accuracy(encode, train, data.test), scores=True),
        'test': Probe(
            config.steps, importance(likelihood, data.test, samples=config.importance), scores=True
        ),
    }
    return Experiment(algorithm, data, probes)


def staircase(rate, steps):
    """rate * 10^(-i/7) in stages i = 0..7, each three times as long as the last (section 5)."""
    ends = [round(steps * (3**i - 1) / (3**8 - 1)) for i in range(1, 8)]
    return optax.piecewise_constant_schedule(rate, dict.fromkeys(ends, 10 ** (-1 / 7)))
