"""Flow matching on the 8 x 8 digits of scikit-learn, by label, within minutes on two CPU cores.

Run     python -m launch --exp flow_digits
        and then, without training again, python -m launch --exp flow_digits --mode sample
        --config.sampler.name=ddim --config.sampler.steps=5 --config.sampler.guidance=2.0
Smoke   python -m launch --exp flow_digits --config.steps=4 --config.unet.width=8
        --config.samples=20 --config.classifier=2 --config.sampler.steps=2
Small   python -m launch --exp flow_digits --config.steps=200 --config.unet.width=16
        --config.samples=100 --config.classifier=100 --config.sampler.steps=4
Source  Lipman et al. 2023, arXiv:2210.02747: the straight line of their example II, with noise and
        images that are independent; guidance after Ho and Salimans 2022, arXiv:2207.12598
Ours    (not yet)
"""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments._extractor import digits_comparison
from experiments._samplers import guidance_of, sampler_of, sampler_times
from genjax.algorithms.diffusion import (
    Guidance,
    Model,
    denoise_with,
    denoiser,
    draw_samples,
    labels_by_row,
    labels_in_turn,
    predictions,
    straight,
    uniform,
    weights,
)
from genjax.algorithms.diffusion.samplers import frame_times
from genjax.data.images.sets import images
from genjax.networks.unet import UNet
from genjax.probes.conditional import guidance_table, label_accuracy
from genjax.probes.decoded import great_circle, interpolations
from genjax.probes.fidelity import fidelity_pictures, fidelity_scores
from genjax.probes.figures import film, grid, side_by_side
from genjax.training import Experiment, Probe

CLASSES = 10
SHAPE = (8, 8, 1)
SCALES = (1.0, 2.0, 4.0)
FRAMES = 8


def get_config():
    config = dict(
        seed=0,
        steps=2000,
        batch=64,
        unet=dict(
            width=32,
            multipliers=(1, 2),
            attend_at=(4,),
            dropout=0.1,
            blocks=1,
            channels_per_group=4,
        ),
        learning_rate=2e-3,  # in the beginning
        decay=0.995,
        label_dropout=0.1,
        sampler=dict(name='heun', steps=10, times='even', guidance=1.0, interval=(0.0, 1e9)),
        samples=1500,  # that are scored
        classifier=1000,  # steps of the classifier whose features score them
        every=dict(log=50, evaluate=500, save=500),
    )
    return ConfigDict(config)


def sweep():
    """How often training hides the label, with three seeds each."""
    for dropout in (0.0, 0.1, 0.3):
        for seed in range(3):
            yield {'label_dropout': dropout, 'seed': seed}


def model_of(config):
    path = straight()
    network = UNet(**config.unet, classes=CLASSES)
    return Model(network, path, predictions.velocity(), CLASSES)


def compared(config, sampler, guidance, n):
    """n samples with labels in turn, beside the digits."""
    sample = draw_samples(
        model_of(config), sampler, SHAPE, guidance=guidance, label=labels_in_turn(CLASSES)
    )

    def clipped(key, state, n):
        return jnp.clip(sample(key, state, n), -1, 1)

    return digits_comparison(
        clipped, n=n, seed=config.seed, steps=config.classifier, decay=config.decay
    )


def build(config):
    model = model_of(config)
    path = model.path
    sampler = sampler_of(path, config.sampler)
    guidance = guidance_of(config.sampler)
    algorithm = denoiser(
        model,
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        shape=SHAPE,
        weight=weights.flow,
        law=uniform(path),
        sampler=sampler,
        guidance=guidance,
        label_dropout=config.label_dropout,
        decay=config.decay,
    )
    data = images('digits', batch=config.batch, size=8, seed=config.seed)
    draw = partial(draw_samples, model, shape=SHAPE)

    def by_label(scale):
        return draw(sampler, guidance=Guidance(scale), label=labels_by_row(6))

    def of_steps(steps):
        settings = ConfigDict(config.sampler.to_dict() | {'steps': steps})
        return draw(sampler_of(path, settings), guidance=guidance, label=labels_by_row(6))

    chain = draw(sampler_of(path, config.sampler, FRAMES), guidance=guidance)
    moments = frame_times(sampler_times(path, config.sampler), FRAMES)

    def estimates(key, state, n):
        """What the network takes x_0 for on the way, without labels, [FRAMES, n, H, W, C]."""
        denoise = denoise_with(model, state.average, jnp.full(n, CLASSES))
        frames = chain(key, state, n)
        times = jnp.asarray(moments, frames.dtype).at[-1].set(path.start)
        return jax.lax.map(lambda at: denoise(at[0], jnp.full(n, at[1])), (frames, times))

    def encode(key, state, batch):
        """The noise of images, without their labels."""
        unlabelled = {'image': batch['x'], 'label': jnp.full(len(batch['x']), CLASSES)}
        return algorithm.encode(key, state, unlabelled)['noise']

    def decode(key, state, noise):
        code = {'noise': noise, 'label': jnp.full(len(noise), CLASSES)}
        return algorithm.decode(key, state, code)

    fidelity = compared(config, sampler, guidance, config.samples)
    few = min(500, config.samples)
    scales = {
        scale: compared(config, sampler, guidance._replace(scale=scale), few) for scale in SCALES
    }
    pairs = {'x': data.test[0]['image'][:16]}
    between = interpolations(encode, decode, pairs, view=lambda x: x, mix=great_circle)
    rows = draw(sampler, guidance=guidance, label=labels_by_row(10))
    guided = {f'guidance {scale:g}': by_label(scale) for scale in SCALES}
    by_steps = {f'{steps} steps': of_steps(steps) for steps in (2, 5, 20)}
    probes = {
        'samples': Probe(500, grid(rows, n=100)),
        'chain': Probe(config.steps, film(chain, n=16)),
        'estimates': Probe(config.steps, film(estimates, n=16)),
        'between': Probe(config.steps, between),
        'guidance': Probe(config.steps, side_by_side(guided, n=60, columns=6)),
        'steps': Probe(config.steps, side_by_side(by_steps, n=60, columns=6)),
        'scales': Probe(config.steps, guidance_table(scales, CLASSES)),
        'labels': Probe(config.steps, label_accuracy(fidelity, CLASSES), scores=True),
        'fidelity': Probe(config.steps, fidelity_scores(fidelity), scores=True),
        'shown': Probe(config.steps, fidelity_pictures(fidelity)),
    }
    return Experiment(algorithm, data, probes)
