"""A GAN on images of your own, without their labels.

The networks are DCGAN's, without batch norm in the discriminator, which gradient penalties do not
go with; the game is the relativistic one with R1 and R2.

Run     python -m launch --exp gan_folder --config.images=folder:PATH
        where PATH is a folder or a zip file of PNG, JPEG or WebP files. npz:FILE and the name of a
        prepared set are taken too, see docs/running.md
Smoke   python -m launch --exp gan_folder --config.images=digits --config.size=8 --config.steps=4
        --config.batch=8 --config.width=2 --config.samples=20 --config.classifier=2
Source  Huang et al. 2024, arXiv:2501.05441, for the game. Fewer than 1,000 images are augmented
        before the discriminator, after Zhao et al. 2020, arXiv:2006.10738, which keeps it from
        knowing them by heart
Ours    1,797 digits of scikit-learn as PNG files, --config.size=16, 6,000 steps, seed 0: Frechet
        distance (classifier of the labels) of 500 samples 34.6, precision 0.57, recall 0.90; 45.7
        by the non-saturating game with R1 alone, and 65.8 where images are augmented. Images of 32
        pixels and more are not trained to the end yet
"""

import optax
from ml_collections import ConfigDict, FieldReference

from experiments._own import (
    Size,
    by_number,
    computed,
    count,
    open_images,
    own_comparison,
    own_extractor,
)
from genjax.algorithms.gan import Model, gan, r1, r2, relativistic
from genjax.data.derived import pictures
from genjax.data.images.augment import (
    brightness,
    compose,
    contrast,
    cutout,
    saturation,
    translation,
)
from genjax.networks.dcgan import Discriminator, Generator
from genjax.probes.fidelity import fidelity_pictures, fidelity_scores
from genjax.probes.figures import grid
from genjax.training import Experiment, Probe

# By the number of images. They are a first guess, and none of them was tuned.
SIZES = (
    Size(100, steps=2_000, batch=8, width=32),
    Size(2_000, steps=10_000, batch=32, width=32),
    Size(20_000, steps=30_000, batch=64, width=32),
    Size(float('inf'), steps=100_000, batch=64, width=64),
)
AUGMENTED = 1_000  # images, below which they are


def is_augmented(name: str) -> bool:
    """Whether the images of a set are so few that they are augmented."""
    return count(name) < AUGMENTED


def get_config():
    images = FieldReference('')
    config = dict(
        seed=0,
        steps=by_number(images, SIZES, 'steps'),
        batch=by_number(images, SIZES, 'batch'),
        images=images,  # folder:PATH, npz:FILE, or the name of a set
        size=32,  # pixels that images are brought to: 8, 16, 32, 64, 128
        held_out=0.1,  # the share of images to test on, unless folders say it
        skip_unreadable=False,
        flip=False,  # whether images are mirrored by the toss of a coin
        augment=computed(is_augmented, images),
        width=by_number(images, SIZES, 'width'),
        latent=64,
        gamma=1.0,  # of R1 and R2
        learning_rate=1e-3,  # in the beginning
        decay=0.999,
        samples=5_000,  # that are scored, or as many as there are images
        inception='',
        classifier=2_000,  # steps of the classifier whose features score them without
        data_dir='',
        every=dict(log=100, evaluate=1_000, save=1_000),
    )
    return ConfigDict(config)


def build(config):
    opened = open_images(config, batch=config.batch, seed=config.seed, flip=config.flip)
    size, _, channels = opened.test[0]['image'].shape[1:]
    model = Model(
        Generator(size, channels, config.width),
        Discriminator(config.width, norm=False),
        config.latent,
    )
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    adam = optax.adam(rate, b1=0.0, b2=0.99)
    change = compose(brightness, saturation, contrast, translation, cutout)
    algorithm = gan(
        model,
        adam,
        adam,
        game=relativistic,
        penalties=(r1(config.gamma), r2(config.gamma)),
        decay=config.decay,
        augment=change if config.augment else None,
    )
    probes = {'samples': Probe(500, grid(algorithm.sample, n=64))}
    extractor = own_extractor(config, opened)
    if extractor is not None:
        compare = own_comparison(config, opened, extractor)
        fidelity = compare(
            algorithm.sample,
            n=config.samples,
            seed=config.seed,
            steps=config.classifier,
            decay=config.decay,
        )
        probes['scores'] = Probe(config.steps, fidelity_scores(fidelity), scores=True)
        probes['fidelity'] = Probe(config.steps, fidelity_pictures(fidelity))
    return Experiment(algorithm, pictures(opened), probes)
