"""Flow matching on CIFAR-10, after torchcfm's recipe, which reports FID 3.5.

Run     python -m launch --exp flow_cifar --config.unet.dtype=bfloat16
        and --config.labels=True for a model of each class; --config.inception=FILE for FID, KID
        and the Inception Score, see gan_cifar
Smoke   python -m launch --exp flow_cifar --config.steps=4 --config.batch=8 --config.warmup=2
        --config.unet.width=8 --config.unet.blocks=1 --config.unet.multipliers='(1,2)'
        --config.sampler.steps=2 --config.samples=20 --config.classifier=2
Source  Lipman et al. 2023, arXiv:2210.02747, and Tong et al. 2024, arXiv:2302.00482, with the
        settings of the authors' torchcfm: Ho et al.'s U-Net with four heads of 64 channels, batch
        128, Adam at 2e-4 after 5,000 steps of linear warm-up, gradients clipped at norm 1, dropout
        0.1, random flips, EMA of 0.9999, 400,000 steps. Their 3.5 is of noise that is coupled to
        the images by optimal transport and of an adaptive solver; here noise and images are
        independent (their I-CFM), and Euler's method takes 100 steps
Ours    not trained yet: an accelerator is wanted
"""

from ml_collections import ConfigDict

from experiments._cifar import CLASSES, SCORED, SHAPE, UNET_RULES, sample_probes, warmed_up_adam
from experiments._samplers import guidance_of, labelled_samples, sampler_of
from genjax.algorithms.diffusion import (
    Model,
    denoiser,
    independent,
    predictions,
    straight,
    uniform,
    weights,
)
from genjax.data.images.sets import images
from genjax.networks.unet import UNet
from genjax.training import Experiment

RULES = UNET_RULES


def get_config():
    config = dict(
        seed=0,
        steps=400_000,
        batch=128,
        microbatches=1,  # equal parts of a batch, where it does not fit
        labels=False,  # whether the network is told the class
        label_dropout=0.1,  # the share of labels that training hides, for guidance
        unet=dict(
            width=128,
            multipliers=(1, 2, 2, 2),
            attend_at=(16,),
            heads=4,
            dropout=0.1,
            dtype='float32',
            blocks=2,
        ),
        adam=dict(learning_rate=2e-4),
        warmup=5000,
        clip=1.0,
        decay=0.9999,
        sampler=dict(name='euler', steps=100, times='even', guidance=1.0, interval=(0.0, 1e9)),
        **SCORED,
        every=dict(log=100, evaluate=10_000, save=5000),
    )
    return ConfigDict(config)


def build(config):
    optimizer = warmed_up_adam(config)

    classes = CLASSES if config.labels else None
    path = straight()
    model = Model(UNet(**config.unet, classes=classes), path, predictions.velocity(), classes)
    algorithm = denoiser(
        model,
        optimizer,
        shape=SHAPE,
        weight=weights.flow,
        law=uniform(path),
        draw=independent,
        sampler=sampler_of(path, config.sampler),
        guidance=guidance_of(config.sampler),
        label_dropout=config.label_dropout,
        decay=config.decay,
        microbatches=config.microbatches,
    )
    data = images(
        'cifar10', batch=config.batch, flip=True, seed=config.seed, data_dir=config.data_dir
    )
    probes = sample_probes(config, model, algorithm, config.decay, every=10_000)
    labelled = labelled_samples(model, config.sampler, SHAPE)
    return Experiment(algorithm, data, probes, labelled=labelled)
