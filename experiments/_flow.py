"""What the pages of flow matching by label share: straight lines, a U-Net, guidance, scores."""

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
    draw_labelled,
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
from genjax.probes.fidelity import Comparison, fidelity_pictures, fidelity_scores
from genjax.probes.figures import film, grid, side_by_side
from genjax.probes.likelihood import mean_bits
from genjax.training import Experiment, Labelled, Probe

CLASSES = 10
SCALES = (1.0, 2.0, 4.0)
FRAMES = 8
DENSITIES = 64  # test images whose density is taken by the ODE
ODE_STEPS = 20
ODE_BITS = 'bits_per_dim_normal_dequantisation_prior_1'
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
    rows = draw_samples(model, sampler, shape, guidance=guidance, label=labels_by_row(10))
    pairs = {'x': data.test[0]['image'][:16]}
    between = interpolations(
        *unlabelled_codes(algorithm), pairs, view=lambda x: x, mix=great_circle
    )
    first = {name: x[:DENSITIES] for name, x in data.test[0].items()}
    probes = {
        'samples': Probe(500, grid(rows, n=100)),
        'between': Probe(config.steps, between),
        'ode': Probe(config.steps, mean_bits(ODE_BITS, ode_bits(model), [first]), scores=True),
        **sampling_probes(config, shape, model),
        **score_probes(config, partial(compared, config, shape, compare, sampler), guidance),
    }
    by_label = draw_labelled(model, sampler, shape, guidance=guidance)
    return Experiment(algorithm, data, probes, labelled=Labelled(by_label, CLASSES))


def sampling_probes(config: ConfigDict, shape: tuple[int, ...], model: Model) -> dict[str, Probe]:
    """Pictures of how samples come about, and of what guidance and the number of steps do."""
    path = model.path
    guidance = guidance_of(config.sampler)
    draw = partial(draw_samples, model, shape=shape)

    def by_label(scale):
        sampler = sampler_of(path, config.sampler)
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

    guided = {f'guidance {scale:g}': by_label(scale) for scale in SCALES}
    by_steps = {f'{steps} steps': of_steps(steps) for steps in (2, 5, 20)}
    return {
        'chain': Probe(config.steps, film(chain, n=16)),
        'estimates': Probe(config.steps, film(estimates, n=16)),
        'guidance': Probe(config.steps, side_by_side(guided, n=60, columns=6)),
        'steps': Probe(config.steps, side_by_side(by_steps, n=60, columns=6)),
    }


def score_probes(
    config: ConfigDict, compared_to: Callable[[Guidance, int], Comparison], guidance: Guidance
) -> dict[str, Probe]:
    """How near samples come to the data and to their labels, and what guidance costs.

    Args:
      config: of the page.
      compared_to: (guidance, n) -> n samples beside the data.
      guidance: of the page.
    """
    fidelity = compared_to(guidance, config.samples)
    few = min(500, config.samples)
    scales = {scale: compared_to(guidance._replace(scale=scale), few) for scale in SCALES}
    return {
        'scales': Probe(config.steps, guidance_table(scales, CLASSES)),
        'labels': Probe(config.steps, label_accuracy(fidelity, CLASSES), scores=True),
        'fidelity': Probe(config.steps, fidelity_scores(fidelity), scores=True),
        'shown': Probe(config.steps, fidelity_pictures(fidelity)),
    }


def unlabelled_codes(algorithm: Algorithm) -> tuple[Callable, Callable]:
    """`encode` of {'x': images} to noise, and `decode`, without labels."""

    def encode(key, state, batch):
        batch = {'image': batch['x'], 'label': jnp.full(len(batch['x']), CLASSES)}
        return algorithm.encode(key, state, batch)['noise']

    def decode(key, state, noise):
        code = {'noise': noise, 'label': jnp.full(len(noise), CLASSES)}
        return algorithm.decode(key, state, code)

    return encode, decode


def ode_bits(model: Model) -> Callable[[Key, State, Batch], Array]:
    """(key, state, batch) -> bits a dimension by the ODE, given the labels, [B]."""

    def bits(key, state, batch):
        denoise = denoise_with(model, state.average, batch['label'])

        def density(key, x):
            return log_density(key, model.path, denoise, x, steps=ODE_STEPS, trace=hutchinson())

        return ode_bits_per_dim(key, model.path, density, batch['image'])

    return bits
