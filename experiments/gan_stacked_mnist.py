"""Stacked MNIST, three digits as red, green and blue: how many of 1,000 triples a GAN reaches.

The networks are DCGAN's; the discriminator has R1 and, which R1 does not go with, no batch norm.
A classifier of MNIST reads a sample, a channel at a time.

Run     python -m launch --exp gan_stacked_mnist
Smoke   python -m launch --exp gan_stacked_mnist --config.steps=4 --config.batch=4 --config.width=2
        --config.samples=20 --config.classifier=2
Source  Metz et al. 2017, arXiv:1611.02163; of 1,000 modes DCGAN reaches 99 and PacGAN 1,000 (Lin et
        al. 2018, arXiv:1712.04086), and R3GAN 1,000 (Huang et al. 2024, arXiv:2501.05441)
Ours    all 1,000 modes of 26,000 samples from step 3,000 on, KL 0.055 nats after 6,000 steps; 14
        min of one CPU core (commit 148d948, jax 0.10.2). With batch norm in place of R1 977 modes,
        KL 0.46, after 10,000 steps
"""

import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import _extractor
from genjax.algorithms.gan import Model, gan, non_saturating, r1
from genjax.data.derived import stacked
from genjax.data.images.sets import images
from genjax.metrics.modes import modes, stacked_labels
from genjax.networks.dcgan import Discriminator, Generator
from genjax.probes.figures import grid
from genjax.training import Experiment, Probe

CHUNK = 250  # samples drawn at a time


def get_config():
    config = dict(
        seed=0,
        steps=6_000,
        batch=64,
        width=32,
        latent=64,
        gamma=1.0,  # of R1
        learning_rate=1e-3,  # in the beginning
        decay=0.999,
        samples=26_000,  # in which modes are counted
        classifier=2_000,  # steps
        count=1_000,  # steps between two counts
        data_dir='',
        every=dict(log=100, evaluate=1000, save=1000),
    )
    return ConfigDict(config)


def build(config):
    data = stacked(
        images('mnist', batch=config.batch, size=32, seed=config.seed, data_dir=config.data_dir)
    )
    model = Model(
        Generator(32, 3, config.width), Discriminator(config.width, norm=False), config.latent
    )
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    adam = optax.adam(rate, b1=0.0, b2=0.99)
    algorithm = gan(
        model,
        adam,
        adam,
        game=non_saturating,
        penalties=(r1(config.gamma),),
        decay=config.decay,
    )
    if config.count < 1:
        raise ValueError(f'count is {config.count}; at least 1 step is needed')
    extractor = _extractor.lazy_extractor(
        _extractor.mnist_extractor, config.classifier, config.data_dir
    )
    probes = {
        'samples': Probe(500, grid(algorithm.sample, n=64)),
        'modes': Probe(
            config.count, mode_counts(algorithm.sample, extractor, n=config.samples), scores=True
        ),
    }
    return Experiment(algorithm, data, probes)


def mode_counts(sample, extractor, *, n):
    """The triples of digits reached by n samples, of 1,000, and KL(samples, uniform) over them."""
    if n < 1:
        raise ValueError(f'samples are {n}; at least 1 is needed')

    @jax.jit
    def draw(key, state):
        return sample(key, state, CHUNK)[:, 2:-2, 2:-2]

    def digit(channel):
        """The most probable digit of each of N images, [N]."""
        return np.argmax(extractor().features(channel).logits, -1)

    def digits(x):
        """The digit in each channel of N samples, [N, 3]."""
        channels = np.moveaxis(np.asarray(x), -1, 0)[..., None]
        return np.stack([digit(channel) for channel in channels], -1)

    def measure(key, state):
        keys = jax.random.split(key, -(-n // CHUNK))
        triples = np.concatenate([digits(draw(key, state)) for key in keys])[:n]
        return modes(stacked_labels(triples), 1000)._asdict()

    return measure
