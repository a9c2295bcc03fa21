"""What the pages of flow matching by label share: straight lines, a U-Net, guidance, scores."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments._samplers import guidance_of, sampler_of, sampler_times
from genjax.algorithms.diffusion import (
    Guidance,
    Model,
    Sampler,
    denoise_with,
    denoiser,
    draw_labelled,
    draw_samples,
    labels_by_row,
    labels_in_turn,
    predictions,
    straight,
    uniform,
    weights,
)
from genjax.algorithms.diffusion.samplers import frame_times
from genjax.base import Data
from genjax.networks.unet import UNet
from genjax.probes.conditional import guidance_table, label_accuracy
from genjax.probes.decoded import great_circle, interpolations
from genjax.probes.fidelity import Comparison, fidelity_pictures, fidelity_scores
from genjax.probes.figures import film, grid, side_by_side
from genjax.training import Experiment, Labelled, Probe

CLASSES = 10
SCALES = (1.0, 2.0, 4.0)
FRAMES = 8
Compare = Callable[..., Comparison]


def flow_model(config: ConfigDict) -> Model:
    """The velocity along a straight line, by a U-Net that is told the class."""
    network = UNet(**config.unet, classes=CLASSES)
    return Model(network, straight(), predictions.velocity(), CLASSES)


def compared(
    config: ConfigDict,
    shape: tuple[int, ...],
    compare: Compare,
    sampler: Sampler,
    guidance: Guidance,
    n: int,
) -> Comparison:
    """n samples with labels in turn, clipped to [-1, 1], beside the data.

    Args:
      config: of the page.
      shape: of an image.
      compare: see `flow_experiment`.
      sampler: of the path of `flow_model`.
      guidance: away from the model without labels.
      n: how many samples.
    """
    sample = draw_samples(
        flow_model(config), sampler, shape, guidance=guidance, label=labels_in_turn(CLASSES)
    )

    def clipped(key, state, n):
        return jnp.clip(sample(key, state, n), -1, 1)

    return compare(clipped, n=n, seed=config.seed, steps=config.classifier, decay=config.decay)


def flow_experiment(
    config: ConfigDict, shape: tuple[int, ...], data: Data, compare: Compare
) -> Experiment:
    """Trains a flow of images to the class that is asked for, with guidance.

    Args:
      config: of the page.
      shape: of an image.
      data: of images with labels in 0..9.
      compare: (sample, n=, seed=, steps=, decay=) -> samples beside the data, as
        `digits_comparison`.
    """
    model = flow_model(config)
    path = model.path
    sampler = sampler_of(path, config.sampler)
    guidance = guidance_of(config.sampler)
    algorithm = denoiser(
        model,
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        shape=shape,
        weight=weights.flow,
        law=uniform(path),
        sampler=sampler,
        guidance=guidance,
        label_dropout=config.label_dropout,
        decay=config.decay,
    )
    draw = partial(draw_samples, model, shape=shape)

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

    compared_to = partial(compared, config, shape, compare, sampler)
    fidelity = compared_to(guidance, config.samples)
    few = min(500, config.samples)
    scales = {scale: compared_to(guidance._replace(scale=scale), few) for scale in SCALES}
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
    labelled = Labelled(draw_labelled(model, sampler, shape, guidance=guidance), CLASSES)
    return Experiment(algorithm, data, probes, labelled=labelled)
