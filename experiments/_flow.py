"""What the pages of flow matching share: straight lines, a U-Net, labels and guidance, scores."""

from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
import optax
from jax import Array
from ml_collections import ConfigDict

from experiments._samplers import guidance_of, labelled_samples, sampler_of, sampler_times
from genjax.algorithms.diffusion import (
    Guidance,
    Model,
    Sampler,
    denoise_with,
    denoiser,
    draw_samples,
    hutchinson,
    labels_by_row,
    labels_in_turn,
    log_density,
    ode_bits_per_dim,
    predictions,
    straight,
    uniform,
    weights,
)
from genjax.algorithms.diffusion.samplers import frame_times
from genjax.base import Algorithm, Batch, Data, Key, State
from genjax.networks.unet import UNet
from genjax.probes.conditional import guidance_table, label_accuracy
from genjax.probes.decoded import great_circle, interpolations
from genjax.probes.fidelity import CHUNK, Comparison, fidelity_pictures, fidelity_scores
from genjax.probes.figures import film, grid, side_by_side
from genjax.probes.likelihood import mean_bits
from genjax.training import Experiment, Probe

CLASSES = 10
SCALES = (1.0, 2.0, 4.0)
FRAMES = 8
DENSITIES = 64  # test images whose density is taken by the ODE
ODE_STEPS = 20
ODE_BITS = 'bits_per_dim_normal_dequantisation_prior_1'
Compare = Callable[..., Comparison]
Label = Callable[[Key, int], Array]  # (key, n) -> int32 [n]


def flow_model(config: ConfigDict, classes: int | None = CLASSES) -> Model:
    """The velocity along a straight line, by a U-Net that is told the class if there are any."""
    network = UNet(**config.unet, classes=classes)
    return Model(network, straight(), predictions.velocity(), classes)


def in_rows(columns: int, classes: int | None) -> Label | None:
    """Labels as of `labels_by_row`, which begin again after the last class; None without any."""
    if classes is None:
        return None
    by_row = labels_by_row(columns)

    def label(key, n):
        return by_row(key, n) % classes

    return label


def no_labels(n: int, classes: int | None) -> Array | None:
    """The label of none, [n]; None where the model takes no label."""
    return None if classes is None else jnp.full(n, classes)


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
    pictures: int = 500,
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
      pictures: steps between two pictures of samples.
    """
    model = flow_model(config, classes)
    guidance = guidance_of(config.sampler)
    sampler = sampler_of(model.path, config.sampler)
    algorithm = denoiser(
        model,
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        shape=shape,
        weight=weights.flow,
        law=uniform(model.path),
        sampler=sampler,
        guidance=guidance,
        label_dropout=config.label_dropout,
        decay=config.decay,
    )
    rows = draw_samples(model, sampler, shape, guidance=guidance, label=in_rows(10, classes))
    first = {name: x[:DENSITIES] for name, x in data.test[0].items()}
    probes = {
        'samples': Probe(pictures, grid(rows, n=100)),
        'ode': Probe(config.steps, mean_bits(ODE_BITS, ode_bits(model), [first]), scores=True),
        **sampling_probes(config, shape, model),
    }
    pairs = {'x': first['image'][:16]}
    if len(pairs['x']) > 1:
        encode, decode = unlabelled_codes(algorithm, classes)
        between = interpolations(encode, decode, pairs, view=lambda x: x, mix=great_circle)
        probes['between'] = Probe(config.steps, between)
    if compare is not None:
        compared_to = partial(compared, config, shape, compare, sampler, classes=classes)
        probes |= score_probes(config, compared_to, guidance, classes, label)
    labelled = labelled_samples(model, config.sampler, shape)
    return Experiment(algorithm, data, probes, labelled=labelled)


def sampling_probes(config: ConfigDict, shape: tuple[int, ...], model: Model) -> dict[str, Probe]:
    """Pictures of how samples come about, and of what guidance and the number of steps do."""
    path = model.path
    guidance = guidance_of(config.sampler)
    draw = partial(draw_samples, model, shape=shape)
    rows = in_rows(6, model.classes)

    @cache  # one function is compiled once, whichever pictures show it
    def of(steps, guidance):
        settings = ConfigDict(config.sampler.to_dict() | {'steps': steps})
        return draw(sampler_of(path, settings), guidance=guidance, label=rows)

    chain = draw(sampler_of(path, config.sampler, FRAMES), guidance=guidance)
    moments = frame_times(sampler_times(path, config.sampler), FRAMES)

    def estimates(key, state, n):
        """What the network takes x_0 for on the way, without labels, [FRAMES, n, H, W, C]."""
        denoise = denoise_with(model, state.average, no_labels(n, model.classes))
        frames = chain(key, state, n)
        times = jnp.asarray(moments, frames.dtype).at[-1].set(path.start)
        return jax.lax.map(lambda at: denoise(at[0], jnp.full(n, at[1])), (frames, times))

    by_steps = {f'{steps} steps': of(steps, guidance) for steps in (2, 5, 20)}
    probes = {
        'chain': Probe(config.steps, film(chain, n=16)),
        'estimates': Probe(config.steps, film(estimates, n=16)),
        'steps': Probe(config.steps, side_by_side(by_steps, n=60, columns=6)),
    }
    if model.classes is not None:
        own_steps = config.sampler.steps
        guided = {
            f'guidance {scale:g}': of(own_steps, guidance._replace(scale=scale)) for scale in SCALES
        }
        probes['guidance'] = Probe(config.steps, side_by_side(guided, n=60, columns=6))
    return probes


def score_probes(
    config: ConfigDict,
    compared_to: Callable[..., Comparison],
    guidance: Guidance,
    classes: int | None,
    label: Label | None,
) -> dict[str, Probe]:
    """How near samples come to the data and to their labels, and what guidance costs.

    Args:
      config: of the page.
      compared_to: (guidance, n, label=) -> n samples beside the data.
      guidance: of the page.
      classes: see `flow_experiment`.
      label: see `flow_experiment`.
    """
    fidelity = compared_to(guidance, config.samples, label=label)
    probes = {
        'fidelity': Probe(config.steps, fidelity_scores(fidelity), scores=True),
        'shown': Probe(config.steps, fidelity_pictures(fidelity)),
    }
    if classes is not None and classes <= CHUNK:
        few = min(500, config.samples)
        in_turn = fidelity if label is None else compared_to(guidance, few)
        scales = {scale: compared_to(guidance._replace(scale=scale), few) for scale in SCALES}
        if guidance.scale in scales:
            scales[guidance.scale] = in_turn.of_first(few)  # those samples are drawn already
        probes['scales'] = Probe(config.steps, guidance_table(scales, classes))
        probes['labels'] = Probe(config.steps, label_accuracy(in_turn, classes), scores=True)
    return probes


def unlabelled_codes(algorithm: Algorithm, classes: int | None) -> tuple[Callable, Callable]:
    """`encode` of {'x': images} to noise, and `decode`, without labels."""

    def encode(key, state, batch):
        images = {'image': batch['x'], 'label': no_labels(len(batch['x']), classes)}
        code = algorithm.encode(key, state, images)
        return code if classes is None else code['noise']

    def decode(key, state, noise):
        labelled = {'noise': noise, 'label': no_labels(len(noise), classes)}
        return algorithm.decode(key, state, noise if classes is None else labelled)

    return encode, decode


def ode_bits(model: Model) -> Callable[[Key, State, Batch], Array]:
    """(key, state, batch) -> bits a dimension by the ODE, given the labels if any, [B]."""

    def bits(key, state, batch):
        label = None if model.classes is None else batch['label']
        denoise = denoise_with(model, state.average, label)

        def density(key, x):
            return log_density(key, model.path, denoise, x, steps=ODE_STEPS, trace=hutchinson())

        return ode_bits_per_dim(key, model.path, density, batch['image'])

    return bits
