"""EDM on CIFAR-10, after Karras et al. 2022, who report FID 1.97, and 1.79 with labels.

Run     python -m launch --exp edm_cifar --config.unet.dtype=bfloat16
        and --config.labels=True for a model of each class; --config.ncsn=True for NCSN++ (1.98 and
        1.79); --config.inception=FILE for FID, KID and the Inception Score, see gan_cifar
        and --config.angle=True for the trigonometric path, from which sct_cifar begins
Smoke   python -m launch --exp edm_cifar --config.steps=4 --config.batch=8 --config.unet.width=8
        --config.unet.blocks=1 --config.unet.multipliers='(1,2)' --config.sampler.steps=2
        --config.samples=20 --config.classifier=2
Source  Karras et al. 2022, arXiv:2206.00364, table 1 and appendix F, and the authors' code where
        the paper is silent: DDPM++ of 55,733,891 parameters, batch 512, Adam at 1e-3 after 10
        million images of linear ramp, log(sigma) normal of mean -1.2 and deviation 1.2, sigma_data
        0.5, dropout 0.13, geometric augmentation with probability 0.12 and its label, 200 million
        images; Heun's method through 18 steps of rho 7 from 80 to 0.002, 35 evaluations. Their FID
        is the least of three draws of 50,000. No labels are hidden; classifier-free guidance wants
        some that are, --config.label_dropout=0.1
Ours    not trained yet: an accelerator is wanted
"""

from functools import partial

import optax
from ml_collections import ConfigDict

from experiments._cifar import (
    CLASSES,
    DDPM_PLUS_PLUS,
    SCORED,
    SHAPE,
    UNET_RULES,
    edm_path,
    edm_prediction,
    sample_probes,
)
from experiments._samplers import guidance_of, labelled_samples, sampler_of
from genjax.algorithms.diffusion import (
    Model,
    denoiser,
    independent,
    log_normal,
    weights,
)
from genjax.averages import half_life
from genjax.data.images.geometry import LABELS, augment_geometry
from genjax.data.images.sets import images
from genjax.networks.song_unet import ddpm_plus_plus, ncsn_plus_plus
from genjax.training import Experiment

RULES = UNET_RULES


def get_config():
    config = dict(
        seed=0,
        steps=390_625,  # of 512 images each, 200 million in all
        batch=512,
        microbatches=1,  # equal parts of a batch, where it does not fit
        labels=False,  # whether the network is told the class
        label_dropout=0.0,  # the share of labels that training hides
        ncsn=False,  # NCSN++ in the place of DDPM++
        unet=DDPM_PLUS_PLUS | dict(dropout=0.13),
        # Their loss is the sum over the 3,072 numbers of an image and ours the mean, so that their
        # eps of 1e-8 is this one. Nothing else of Adam depends on the scale.
        adam=dict(learning_rate=1e-3, b1=0.9, b2=0.999, eps=1e-8 / 3072),
        ramp=10_000_000,  # images
        half_life=500_000,  # of the average, in images
        noise=dict(mean=-1.2, deviation=1.2),  # of log(sigma) in training
        data_deviation=0.5,
        angle=False,  # the trigonometric path, whose t the network is told as it is
        augment=0.12,  # the probability of each kind; 0 for none
        sampler=dict(name='heun', steps=18, times='karras', guidance=1.0, interval=(0.0, 1e9)),
        **SCORED,
        every=dict(log=100, evaluate=5000, save=2500),
    )
    return ConfigDict(config)


def build(config):
    adam = dict(config.adam)
    if config.ramp < 0:
        raise ValueError(f'ramp is {config.ramp}; it takes 0 or more images')
    ramp = max(1, config.ramp // config.batch)
    rate = optax.linear_schedule(0.0, adam.pop('learning_rate'), ramp)
    optimizer = optax.adam(rate, **adam)

    classes = CLASSES if config.labels else None
    augment = partial(augment_geometry, p=config.augment) if config.augment else None
    make_network = ncsn_plus_plus if config.ncsn else ddpm_plus_plus
    network = make_network(
        **config.unet, classes=classes, augmentation_labels=LABELS if augment else 0
    )
    path = edm_path(config.data_deviation, config.angle)
    prediction = edm_prediction(config.data_deviation, config.angle)
    model = Model(network, path, prediction, classes)
    decay = half_life(config.half_life, config.batch)
    algorithm = denoiser(
        model,
        optimizer,
        shape=SHAPE,
        weight=weights.edm_error(config.data_deviation),
        law=log_normal(path, **config.noise),
        draw=independent,
        sampler=sampler_of(path, config.sampler),
        guidance=guidance_of(config.sampler),
        label_dropout=config.label_dropout,
        augment=augment,
        decay=decay,
        microbatches=config.microbatches,
    )
    # Images are flipped by the augmentation, which says so to the network.
    data = images('cifar10', batch=config.batch, seed=config.seed, data_dir=config.data_dir)
    probes = sample_probes(config, model, algorithm, decay, every=5000)
    labelled = labelled_samples(model, config.sampler, SHAPE)
    return Experiment(algorithm, data, probes, labelled=labelled)
