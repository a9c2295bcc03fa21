"""Continuous consistency training on CIFAR-10, after Lu and Song 2024: FID 2.06 in two steps.

Run     python -m launch --exp sct_cifar --init_from runs/edm_cifar-00000000
        --config.unet.dtype=bfloat16
        of a run of edm_cifar by the angle and without augmentation (--config.angle=True
        --config.augment=0);
        and --config.inception=FILE for FID, KID and the Inception Score, see gan_cifar
Smoke   python -m launch --exp sct_cifar --config.steps=4 --config.batch=8 --config.unet.width=8
        --config.unet.blocks=1 --config.unet.multipliers='(1,2)' --config.samples=20
        --config.classifier=2 --config.warmup=2
Source  Lu and Song 2024, arXiv:2410.11081, algorithm 1, who report 2.85 in one step and 2.06 in
        two: the trigonometric path, whose t the network is told as it is; log(tan(t) / 2) normal of
        mean -1 and deviation 1.4; the tangent over its norm + 0.1, its second part from nothing to
        all in 10,000 updates; the weight of the times learnt; weights of a denoiser at the
        beginning. RAdam with b2 of 0.99 and dropout 0.2 are those of NVIDIA's FastGen for the same.
        Their batch, learning rate, length, average and the t between two steps we could not read;
        these are ours
Ours    not trained yet: an accelerator is wanted
"""

import numpy as np
import optax
from ml_collections import ConfigDict

from experiments._cifar import (
    DDPM_PLUS_PLUS,
    SCORED,
    SHAPE,
    UNET_RULES,
    edm_path,
    edm_prediction,
    few_step_probes,
)
from genjax.algorithms.diffusion import log_normal
from genjax.algorithms.diffusion.flow_maps import (
    Model,
    consistency_form,
    continuous_consistency,
    draw_samples,
    flow_maps,
    to_data,
    with_noise,
)
from genjax.averages import half_life
from genjax.data.images.sets import images
from genjax.networks.log_weight import LogWeight
from genjax.networks.song_unet import ddpm_plus_plus
from genjax.training import Experiment

RULES = UNET_RULES


def get_config():
    config = dict(
        seed=0,
        steps=400_000,
        batch=512,
        microbatches=1,  # equal parts of a batch, where it does not fit
        unet=DDPM_PLUS_PLUS | dict(dropout=0.2),
        radam=dict(learning_rate=1e-4, b1=0.9, b2=0.99),
        half_life=500_000,  # of the average, in images
        noise=dict(mean=-1.0, deviation=1.4),  # of log(sigma_data tan(t)) in training
        warmup=10_000,  # updates, of the tangent
        c=0.1,  # beside the tangent's norm
        data_deviation=0.5,
        sampler=dict(between=(1.1,)),  # t between the steps; () for one step
        **SCORED,
        every=dict(log=100, evaluate=5000, save=2500),
    )
    return ConfigDict(config)


def build(config):
    path = edm_path(config.data_deviation, angle=True)
    form = consistency_form(path, edm_prediction(config.data_deviation, angle=True))
    model = Model(ddpm_plus_plus(**config.unet), path, form)
    decay = half_life(config.half_life, config.batch)
    algorithm = flow_maps(
        model,
        optax.radam(**config.radam),
        shape=SHAPE,
        objective=continuous_consistency(config.warmup, config.c, config.data_deviation),
        pairs=to_data(log_normal(path, **config.noise)),
        jumps=with_noise(path, np.array([path.end, *config.sampler.between, 0.0])),
        log_weight=LogWeight(),
        decay=decay,
        microbatches=config.microbatches,
    )
    data = images('cifar10', batch=config.batch, seed=config.seed, data_dir=config.data_dir)
    one = draw_samples(model, with_noise(path, np.array([path.end, 0.0])), SHAPE)
    by_steps = {'one step': one, 'as sampled': algorithm.sample}
    return Experiment(algorithm, data, few_step_probes(config, algorithm, by_steps, decay))
