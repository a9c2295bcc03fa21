"""DDPM on CIFAR-10, after Ho et al. 2020, who report FID 3.17 and at most 3.75 bits/dim.

Run     python -m launch --exp ddpm_cifar --config.unet.dtype=bfloat16
Smoke   python -m launch --exp ddpm_cifar --config.steps=4 --config.batch=8 --config.ddpm.steps=4
        --config.unet.width=8 --config.unet.blocks=1 --config.unet.multipliers='(1,2)'
Source  Ho et al. 2020, arXiv:2006.11239, section 4 and appendix B, and the authors' code where the
        paper is silent: batch 128, Adam at 2e-4 after 5,000 steps of linear warm-up, gradients
        clipped at norm 1, dropout 0.1, random flips, EMA of 0.9999, T = 1000 linear, the larger
        variance, 800,000 steps; 35,746,307 parameters
Ours    not trained to the end yet: this setting wants an accelerator for half a day
"""

from ml_collections import ConfigDict

from experiments._cifar import SHAPE, UNET_RULES, warmed_up_adam
from experiments._samplers import process_sampler
from genjax.algorithms.diffusion import (
    bound,
    ddpm,
    forward_frames,
    linear_schedule,
    make_process,
    predictor,
    sample_with,
)
from genjax.data.images.sets import images
from genjax.networks.unet import UNet
from genjax.probes.figures import film, grid, strip
from genjax.probes.likelihood import bound_table
from genjax.training import Experiment, Probe

RULES = UNET_RULES


def get_config():
    config = dict(
        seed=0,
        steps=800_000,
        batch=128,
        data_dir='',
        unet=dict(
            width=128,
            multipliers=(1, 2, 2, 2),
            attend_at=(16,),
            dropout=0.1,
            dtype='float32',
            blocks=2,
        ),
        adam=dict(learning_rate=2e-4),
        warmup=5000,
        clip=1.0,
        ddpm=dict(steps=1000, decay=0.9999),
        sampler=dict(name='reverse_chain', steps=0, times='trailing'),  # 0: all of ddpm.steps
        every=dict(log=100, evaluate=10_000, save=5000),
    )
    return ConfigDict(config)


def build(config):
    optimizer = warmed_up_adam(config)

    network = UNet(**config.unet)
    process = make_process(linear_schedule(config.ddpm.steps))
    algorithm = ddpm(
        network,
        optimizer,
        shape=SHAPE,
        process=process,
        sampler=process_sampler(process, config.sampler),
        decay=config.ddpm.decay,
    )
    data = images(
        'cifar10', batch=config.batch, flip=True, seed=config.seed, data_dir=config.data_dir
    )
    held_out = data.test[0]['image']
    frames = min(40, config.sampler.steps or config.ddpm.steps)
    chain = sample_with(process_sampler(process, config.sampler, frames), network, process, SHAPE)

    def terms(key, state):
        return bound(key, process, predictor(network, state.average), held_out)

    probes = {
        'samples': Probe(10_000, grid(algorithm.sample, n=64)),
        'forward': Probe(config.steps, strip(forward_frames(process, frames=8), held_out[:8])),
        'reverse': Probe(config.steps, film(chain, n=16)),
        'bound': Probe(config.steps, bound_table(terms)),
    }
    return Experiment(algorithm, data, probes)
