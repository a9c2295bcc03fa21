"""What the VAEs of binarised MNIST share, after Burda et al. 2016."""

import flax.linen as nn
import optax
from jax.scipy.special import logit
from ml_collections import ConfigDict

from genjax.algorithms.flow import Bijection
from genjax.algorithms.vae import Model, Objective, Prior, log_likelihood, standard_normal, vae
from genjax.data.derived import binarized
from genjax.data.images.sets import images
from genjax.networks.mlp import MLP
from genjax.numerics.likelihoods import bernoulli
from genjax.probes.codes import code_accuracy
from genjax.probes.decoded import reconstructions, unit_images
from genjax.probes.figures import grid
from genjax.probes.likelihood import importance
from genjax.training import Experiment, Probe

VIEW = unit_images((28, 28, 1))


def vae_experiment(
    config: ConfigDict,
    objective: Objective,
    *,
    prior: Prior = standard_normal(),
    flow: Bijection | None = None,
) -> Experiment:
    """Trains a VAE on MNIST, whose pixels are drawn anew as 0 or 1 at every step.

    Args:
      config: of the page.
      objective: `elbo` or `iwae`.
      prior: of the latent variables next to x, in which further layers may be.
      flow: of their posterior, see `Model`.
    """
    pictures = images('mnist', batch=config.batch, seed=config.seed, data_dir=config.data_dir)
    data = binarized(pictures, seed=config.seed)
    mean_image = pictures.train.arrays['image'].reshape(-1, 784).mean(0) / 255

    def background(*_):
        """The decoder's first bias: it begins by giving the mean image."""
        return logit(mean_image.clip(1e-3, 1 - 1e-3))

    encoder = MLP(config.widths, (2, config.latent), nn.tanh)
    decoder = MLP(config.widths, (784,), nn.tanh, bias_init=background)
    model = Model(encoder, decoder, bernoulli, config.latent, prior, flow)
    optimizer = optax.adam(staircase(config.learning_rate, config.steps), **config.adam)
    algorithm = vae(model, optimizer, objective=objective, decay=config.decay)

    encode = algorithm.encode
    decode = algorithm.decode
    train = [data.train[step] for step in range(5000 // config.batch)]
    likelihood = log_likelihood(model, samples=config.importance)

    def means(key, state, n):
        """The means of p(x | z) at n draws of z."""
        z = model.prior.sample(key, model, state.average, n)
        return VIEW(decode(key, state, z))

    probes = {
        'samples': Probe(100_000, grid(means, n=64)),
        'reconstructions': Probe(
            100_000, reconstructions(encode, decode, first_images(data), view=VIEW)
        ),
        'codes': Probe(config.steps, code_accuracy(encode, train, data.test), scores=True),
        'test': Probe(
            config.steps, importance(likelihood, data.test, samples=config.importance), scores=True
        ),
    }
    return Experiment(algorithm, data, probes, images=means)


def first_images(data):
    """The sixteen images that pictures show."""
    return {'x': data.test[0]['x'][:16]}


def staircase(rate, steps):
    """rate * 10^(-i/7) in stages i = 0..7, each three times as long as the last (section 5)."""
    ends = [round(steps * (3**i - 1) / (3**8 - 1)) for i in range(1, 8)]
    return optax.piecewise_constant_schedule(rate, dict.fromkeys(ends, 10 ** (-1 / 7)))
