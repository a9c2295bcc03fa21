"""SNGAN on CIFAR-10: the residual pair with spectral normalisation, and the hinge loss.

Run     python -m launch --exp gan_cifar
        and --config.inception=FILE, InceptionV3's weights in the pytorch-fid format, for FID, KID
        and the Inception Score; without it the features are those of a classifier of CIFAR-10, and
        no score has these names
Smoke   python -m launch --exp gan_cifar --config.steps=4 --config.batch=10 --config.generator=4
        --config.discriminator=4 --config.samples=20 --config.classifier=2
Source  Miyato et al. 2018, arXiv:1802.05957, table 2: Inception Score 8.22, FID 21.7 of 5,000
        samples
Ours    not trained yet: an accelerator is wanted
"""

import optax
from ml_collections import ConfigDict

from experiments._extractor import cifar_comparison
from genjax.algorithms.gan import Model, gan, hinge
from genjax.data.derived import pictures
from genjax.data.images.sets import images
from genjax.networks.resnet import Discriminator, Generator
from genjax.probes.fidelity import fidelity_pictures, fidelity_scores
from genjax.probes.figures import grid
from genjax.training import Experiment, Probe

MOST_UPDATES = 2**31 - 1  # that a schedule counts


def get_config():
    config = dict(
        seed=0,
        steps=100_000,  # of the generator
        batch=320,  # of which each step of the discriminator takes a fifth
        critic_steps=5,
        generator=256,  # channels
        discriminator=128,
        latent=128,
        learning_rate=2e-4,  # in the beginning
        decay=0.999,
        samples=10_000,  # that are scored
        inception='',
        classifier=5_000,  # steps
        data_dir='',
        every=dict(log=100, evaluate=5000, save=5000),
    )
    return ConfigDict(config)


def build(config):
    critic_updates = config.steps * config.critic_steps
    if critic_updates > MOST_UPDATES:
        raise ValueError(
            f'steps are {config.steps} of {config.critic_steps} critic_steps each; '
            f'{MOST_UPDATES} updates of the critic are the most'
        )
    data = pictures(
        images('cifar10', batch=config.batch, flip=True, seed=config.seed, data_dir=config.data_dir)
    )
    model = Model(Generator(config.generator), Discriminator(config.discriminator), config.latent)

    def adam(steps):
        return optax.adam(optax.linear_schedule(config.learning_rate, 0.0, steps), b1=0.0, b2=0.9)

    algorithm = gan(
        model,
        adam(config.steps),
        adam(critic_updates),
        game=hinge,
        critic_steps=config.critic_steps,
        decay=config.decay,
    )
    fidelity = cifar_comparison(
        algorithm.sample,
        weights=config.inception,
        n=config.samples,
        seed=config.seed,
        steps=config.classifier,
        decay=config.decay,
        data_dir=config.data_dir,
    )
    probes = {
        'samples': Probe(1000, grid(algorithm.sample, n=64)),
        'scores': Probe(config.steps // 10 or 1, fidelity_scores(fidelity), scores=True),
        'fidelity': Probe(config.steps, fidelity_pictures(fidelity)),
    }
    return Experiment(algorithm, data, probes)
