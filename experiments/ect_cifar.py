"""Consistency training on CIFAR-10 from a trained EDM, after Geng et al. 2024: FID 2.11 in 2 steps.

Run     python -m launch --exp ect_cifar --init_from runs/edm_cifar-00000000
        --config.unet.dtype=bfloat16
        of a run of edm_cifar without augmentation (--config.augment=0);
        and --config.inception=FILE for FID, KID and the Inception Score, see gan_cifar
Smoke   python -m launch --exp ect_cifar --config.steps=4 --config.batch=8 --config.unet.width=8
        --config.unet.blocks=1 --config.unet.multipliers='(1,2)' --config.samples=20
        --config.classifier=2
Source  Geng et al. 2024, arXiv:2406.14548, and the settings of their code for CIFAR-10, which
        reports 3.60 in one step and 2.11 in two: EDM's DDPM++ and weights, batch 128, RAdam at
        1e-4, dropout 0.2, no augmentation, EMA of 0.9999, 25.6 million images; log(t) normal of
        mean -1.1 and deviation 2, q 2 and k 8 with stages of 3.2 million images; the error's norm
        over t - r; the second of two steps from a noise of 0.821
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
    adaptive,
    consistency,
    consistency_form,
    draw_samples,
    flow_maps,
    per_duration,
    tightening_pairs,
    with_noise,
)
from genjax.data.images.sets import images
from genjax.networks.song_unet import ddpm_plus_plus
from genjax.training import Experiment

RULES = UNET_RULES


def get_config():
    config = dict(
        seed=0,
        steps=200_000,  # of 128 images each, 25.6 million in all
        batch=128,
        microbatches=1,  # equal parts of a batch, where it does not fit
        unet=DDPM_PLUS_PLUS | dict(dropout=0.2),
        learning_rate=1e-4,
        decay=0.9999,
        noise=dict(mean=-1.1, deviation=2.0),  # of log(t) in training
        stage=3_200_000,  # images
        q=2.0,
        k=8.0,
        c=1e-8,  # beside the squared error, under its root; theirs is 0
        data_deviation=0.5,
        sampler=dict(between=(0.821,)),  # noise between the steps; () for one step
        **SCORED,
        every=dict(log=100, evaluate=5000, save=2500),
    )
    return ConfigDict(config)


def build(config):
    path = edm_path(config.data_deviation)
    form = consistency_form(path, edm_prediction(config.data_deviation))
    model = Model(ddpm_plus_plus(**config.unet), path, form)
    jumps = with_noise(path, np.array([path.end, *config.sampler.between, 0.0]))
    algorithm = flow_maps(
        model,
        optax.radam(config.learning_rate),
        shape=SHAPE,
        objective=consistency(path),
        pairs=tightening_pairs(
            log_normal(path, **config.noise),
            max(1, config.stage // config.batch),
            q=config.q,
            k=config.k,
        ),
        jumps=jumps,
        weight=per_duration(adaptive(0.5, config.c)),
        decay=config.decay,
        microbatches=config.microbatches,
    )
    data = images('cifar10', batch=config.batch, seed=config.seed, data_dir=config.data_dir)
    one = draw_samples(model, with_noise(path, np.array([path.end, 0.0])), SHAPE)
    by_steps = {'one step': one, 'as sampled': algorithm.sample}
    return Experiment(algorithm, data, few_step_probes(config, algorithm, by_steps, config.decay))
