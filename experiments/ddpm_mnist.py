"""DDPM on MNIST, with a U-Net small enough for a CPU.

Run     python -m launch --exp ddpm_mnist
Smoke   python -m launch --exp ddpm_mnist --config.steps=4 --config.batch=8 --config.ddpm.steps=4
        --config.unet.width=8
Source  Ho et al. 2020, arXiv:2006.11239 (who trained on larger images); MNIST as TFDS has it
Ours    the first 3,500 of 20,000 steps, 42 min on 2 CPU cores that did other work too (commit
        034fbd0, jax 0.10.2): test loss 0.0420; the bound term by term on 64 test images 2.02
        bits/dim, its sampled estimate (one t an image, so some 0.25 uncertain) on all 10,000 1.67;
        most of 64 samples are legible digits
"""

import optax
from ml_collections import ConfigDict

from experiments._samplers import process_sampler
from genjax.algorithms.diffusion import (
    bound,
    cosine_schedule,
    ddpm,
    forward_frames,
    make_process,
    predictor,
    sample_with,
)
from genjax.data.images.sets import images
from genjax.networks.unet import UNet
from genjax.probes.figures import film, grid, strip
from genjax.probes.likelihood import bound_table
from genjax.training import Experiment, Probe
from genjax.weights.diffusers_unet import Pipeline


def get_config():
    config = dict(
        seed=0,
        steps=20_000,
        batch=64,
        data_dir='',
        unet=dict(
            width=32, multipliers=(1, 2, 2), attend_at=(7,), dropout=0.1, dtype='float32', blocks=1
        ),
        adam=dict(learning_rate=1e-3),
        ddpm=dict(steps=1000, decay=0.999),
        sampler=dict(name='reverse_chain', steps=0, times='trailing'),  # 0: all of ddpm.steps
        every=dict(log=100, evaluate=1000, save=500),
    )
    return ConfigDict(config)


def build(config):
    network = UNet(**config.unet)
    shape = (28, 28, 1)
    process = make_process(cosine_schedule(config.ddpm.steps))
    algorithm = ddpm(
        network,
        optax.adam(**config.adam),
        shape=shape,
        process=process,
        sampler=process_sampler(process, config.sampler),
        decay=config.ddpm.decay,
    )
    data = images('mnist', batch=config.batch, seed=config.seed, data_dir=config.data_dir)
    held_out = data.test[0]['image']
    frames = min(40, config.sampler.steps or config.ddpm.steps)
    chain = sample_with(process_sampler(process, config.sampler, frames), network, process, shape)

    def terms(key, state):
        return bound(key, process, predictor(network, state.average), held_out)

    probes = {
        'samples': Probe(1000, grid(algorithm.sample, n=64)),
        'forward': Probe(config.steps, strip(forward_frames(process, frames=8), held_out[:8])),
        'reverse': Probe(config.steps, film(chain, n=16)),
        'bound': Probe(config.steps, bound_table(terms)),
    }
    return Experiment(algorithm, data, probes)


def pipeline(config):
    """What a run is to diffusers, see `launch.export`."""
    process = make_process(cosine_schedule(config.ddpm.steps))
    return Pipeline(UNet(**config.unet), (28, 28, 1), process)
