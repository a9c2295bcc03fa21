"""What the pages of flow matching share: straight lines, a U-Net, labels and guidance, scores."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax import Array
from ml_collections import ConfigDict

from experiments._samplers import guidance_of, sampler_of, sampler_times
from genjax.algorithms.diffusion import (
    Guidance,
    Model,
    Sampler,
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
from genjax.base import Data, Key
from genjax.networks.unet import UNet
from genjax.probes.conditional import guidance_table, label_accuracy
from genjax.probes.decoded import great_circle, interpolations
from genjax.probes.fidelity import CHUNK, Comparison, fidelity_pictures, fidelity_scores
from genjax.probes.figures import film, grid, side_by_side
from genjax.training import Experiment, Probe

CLASSES = 10
SCALES = (1.0, 2.0, 4.0)
FRAMES = 8
Compare = Callable[..., Comparison]
Label = Callable[[Key, int], Array]  # (key, n) -> int32 [n]


def flow_model(config: ConfigDict, classes: int | None = CLASSES) -> Model:
    """The velocity along a straight line, by a U-Net that is told the class if there are any."""
    network = UNet(**config.unet, classes=classes)
    return Model(network, straight(), predictions.velocity(), classes)


def in_rows(columns: int, classes: int) -> Callable[[Key, int], Array]:
    """Labels as of `labels_by_row`, which begin again after the last class."""
    by_row = labels_by_row(columns)

    def label(key, n):
        return by_row(key, n) % classes

    return label


def compared(
    config: ConfigDict,
    shape: tuple[int, ...],
    compare: Compare,
    sampler: Sampler,
    guidance: Guidance,
    n: int,
    label: Label | None = None,
    classes: int | None = CLASSES,
) -> Comparison:
    """n samples, clipped to [-1, 1], beside the data.

    Args:
      config: of the page.
      shape: of an image.
      compare: see `flow_experiment`.
      sampler: of the path of `flow_model`.
      guidance: away from the model without labels.
      n: how many samples.
      label: (key, n) -> their labels; None: in turn.
      classes: how many there are; None: no labels.
    """
    if label is None and classes is not None:
        label = labels_in_turn(classes)
    model = flow_model(config, classes)
    sample = draw_samples(model, sampler, shape, guidance=guidance, label=label)

    def clipped(key, state, n):
        return jnp.clip(sample(key, state, n), -1, 1)

    return compare(clipped, n=n, seed=config.seed, steps=config.classifier, decay=config.decay)


def flow_experiment(
    config: ConfigDict,
    shape: tuple[int, ...],
    data: Data,
    compare: Compare | None,
    classes: int | None = CLASSES,
    label: Label | None = None,
) -> Experiment:
    """Trains a flow of images, to the class that is asked for and with guidance if there are any.

    Args:
      config: of the page.
      shape: of an image.
      data: of images, with labels below `classes` if there are any.
      compare: (sample, n=, seed=, steps=, decay=) -> samples beside the data, as
        `digits_comparison`; None: they are not scored.
      classes: how many there are; None: no labels.
      label: (key, n) -> the labels of the samples that are scored; None: in turn.
    """
    model = flow_model(config, classes)
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
    rows_of_6 = classes and in_rows(6, classes)

    def of_steps(steps):
        settings = ConfigDict(config.sampler.to_dict() | {'steps': steps})
        return draw(sampler_of(path, settings), guidance=guidance, label=rows_of_6)

    chain = draw(sampler_of(path, config.sampler, FRAMES), guidance=guidance)
    moments = frame_times(sampler_times(path, config.sampler), FRAMES)

    def estimates(key, state, n):
        """What the network takes x_0 for on the way, without labels, [FRAMES, n, H, W, C]."""
        denoise = denoise_with(model, state.average, without_labels(n))
        frames = chain(key, state, n)
        times = jnp.asarray(moments, frames.dtype).at[-1].set(path.start)
        return jax.lax.map(lambda at: denoise(at[0], jnp.full(n, at[1])), (frames, times))

    def without_labels(n):
        return classes and jnp.full(n, classes)

    def encode(key, state, batch):
        """The noise of images, without their labels."""
        unlabelled = {'image': batch['x'], 'label': without_labels(len(batch['x']))}
        code = algorithm.encode(key, state, unlabelled)
        return code['noise'] if classes else code

    def decode(key, state, noise):
        code = {'noise': noise, 'label': without_labels(len(noise))} if classes else noise
        return algorithm.decode(key, state, code)

    def by_label(scale):
        return draw(sampler, guidance=Guidance(scale), label=rows_of_6)

    pairs = {'x': data.test[0]['image'][:16]}
    between = interpolations(encode, decode, pairs, view=lambda x: x, mix=great_circle)
    rows = draw(sampler, guidance=guidance, label=classes and in_rows(10, classes))
    guided = {f'guidance {scale:g}': by_label(scale) for scale in SCALES}
    by_steps = {f'{steps} steps': of_steps(steps) for steps in (2, 5, 20)}
    probes = {
        'samples': Probe(500, grid(rows, n=100)),
        'chain': Probe(config.steps, film(chain, n=16)),
        'estimates': Probe(config.steps, film(estimates, n=16)),
    }
    if len(pairs['x']) > 1:
        probes['between'] = Probe(config.steps, between)
    if classes:
        probes['guidance'] = Probe(config.steps, side_by_side(guided, n=60, columns=6))
    probes['steps'] = Probe(config.steps, side_by_side(by_steps, n=60, columns=6))
    if compare is not None:
        probes |= _scores(config, shape, compare, sampler, guidance, label, classes)
    return Experiment(algorithm, data, probes)


def _scores(
    config: ConfigDict,
    shape: tuple[int, ...],
    compare: Compare,
    sampler: Sampler,
    guidance: Guidance,
    label: Label | None,
    classes: int | None,
) -> dict[str, Probe]:
    """Probes of the scores of samples."""
    compared_to = partial(compared, config, shape, compare, sampler, classes=classes)
    fidelity = compared_to(guidance, config.samples, label=label)
    few = min(500, config.samples)
    probes = {}
    if classes and classes <= CHUNK:
        scales = {scale: compared_to(guidance._replace(scale=scale), few) for scale in SCALES}
        in_turn = fidelity if label is None else compared_to(guidance, few)
        probes['scales'] = Probe(config.steps, guidance_table(scales, classes))
        probes['labels'] = Probe(config.steps, label_accuracy(in_turn, classes), scores=True)
    probes['fidelity'] = Probe(config.steps, fidelity_scores(fidelity), scores=True)
    probes['shown'] = Probe(config.steps, fidelity_pictures(fidelity))
    return probes
