"""RealNVP on CIFAR-10, whose authors report 3.49 bits/dim.

Run     python -m launch --exp realnvp_cifar
Smoke   python -m launch --exp realnvp_cifar --config.steps=2 --config.batch=4
        --config.network.width=4 --config.network.blocks=1
Source  Dinh et al. 2017, arXiv:1605.08803, sections 3 and 4.1: two scales, the first of three
        couplings of a chessboard, a squeeze and three of channels, after which half of it leaves,
        the last of four of a chessboard; networks of 8 residual blocks of 64 channels with weight
        normalisation, twice as wide on the second scale; logits with alpha of 0.05, random flips,
        Adam at 1e-3, batch 64, 5e-5 of the squares of the weights' scales. Unlike theirs there is
        actnorm (arXiv:1807.03039) in the place of batch normalisation, since with that the density
        of an example would depend on others, and the number of steps is ours
Ours    not trained yet: an accelerator is wanted. A small one (--config.network.width=16
        --config.network.blocks=2 --config.batch=32 --config.steps=1600) comes from 8 to 3.83
        bits/dim of test images, of a copy by way of JPEG, in 11 minutes of one core
"""

import jax
import optax
from ml_collections import ConfigDict

from genjax.algorithms.flow import (
    actnorm,
    chain,
    checkerboard,
    coupling,
    factor_out,
    first_half,
    inverted,
    logit,
    normalizing_flow,
    squeeze,
    uniform_noise,
)
from genjax.data.derived import pictures
from genjax.data.images.sets import images
from genjax.networks.residual import ResidualNetwork
from genjax.probes.figures import grid
from genjax.training import Experiment, Probe

SHAPE = (32, 32, 3)
LEVEL = 2 / 255  # between two neighbouring levels of images in [-1, 1]


def get_config():
    config = dict(
        seed=0,
        steps=400_000,
        batch=64,
        microbatches=1,  # equal parts of a batch, where it does not fit
        network=dict(width=64, blocks=8),
        alpha=0.05,
        adam=dict(learning_rate=1e-3),
        weight_decay=5e-5,  # of the scales of weight normalisation
        decay=0.999,
        data_dir='',
        every=dict(log=100, evaluate=10_000, save=5000),
    )
    return ConfigDict(config)


def build(config):
    data = pictures(
        images('cifar10', batch=config.batch, flip=True, seed=config.seed, data_dir=config.data_dir)
    )
    algorithm = normalizing_flow(
        realnvp(config.alpha, config.network),
        optax.chain(
            # In front of Adam, so that it is the gradient of a penalty.
            optax.add_decayed_weights(config.weight_decay, scales),
            optax.adam(config.adam.learning_rate),
        ),
        shape=SHAPE,
        noise=uniform_noise(LEVEL),
        decay=config.decay,
        microbatches=config.microbatches,
    )
    probes = {'samples': Probe(10_000, grid(algorithm.sample, n=64))}
    return Experiment(algorithm, data, probes)


def realnvp(alpha, network):
    """Two scales, see the head of this page."""
    wider = network.to_dict() | {'width': 2 * network.width}

    def couplings(mask, count, settings):
        parts = []
        for i in range(count):
            own = inverted(mask) if i % 2 else mask
            parts += [coupling(ResidualNetwork(**settings), own), actnorm()]
        return parts

    first = couplings(checkerboard, 3, network)
    squeezed = couplings(first_half, 3, wider)
    last = couplings(checkerboard, 4, wider)
    return chain(logit(alpha), *first, squeeze(), *squeezed, factor_out(chain(*last)))


def scales(params):
    """Which leaves are scales of weight normalisation, as a tree of bool."""

    def is_scale(path, leaf):
        del leaf
        return getattr(path[-1], 'key', None) == 'scale'

    return jax.tree.map_with_path(is_scale, params)
