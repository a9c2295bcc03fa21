"""What the pages of diffusion on CIFAR-10 share."""

import math
from collections.abc import Mapping

import optax
from jax.sharding import PartitionSpec
from ml_collections import ConfigDict

from experiments._extractor import cifar_comparison
from experiments._samplers import guidance_of, sampler_of
from genjax.algorithms.diffusion import (
    Model,
    Path,
    draw_samples,
    predictions,
    trigonometric,
    variance_exploding,
)
from genjax.algorithms.diffusion.predictions import Prediction
from genjax.averages import Decay
from genjax.base import Algorithm
from genjax.probes.fidelity import Comparison, fidelity_pictures, fidelity_scores
from genjax.probes.figures import Sample, film, grid, side_by_side
from genjax.training import Probe

CLASSES = 10
SHAPE = (32, 32, 3)

# EDM's network, but for its dropout.
DDPM_PLUS_PLUS = dict(width=128, multipliers=(2, 2, 2), attend_at=(16,), blocks=4, dtype='float32')
SCORED = dict(
    samples=10_000,  # that are scored
    inception='',  # weights, see gan_cifar
    classifier=5_000,  # steps
    data_dir='',
)

UNET_RULES = (
    ('leave/kernel', PartitionSpec()),  # three output channels, which few meshes divide
    ('conv1/kernel', PartitionSpec(None, None, None, 'model')),
    ('conv2/kernel', PartitionSpec(None, None, None, 'model')),
)


def warmed_up_adam(config: ConfigDict) -> optax.GradientTransformation:
    """Adam with a linear warm-up, on gradients that are clipped.

    Args:
      config: with `adam`, `warmup` in steps, and the norm `clip`.

    Raises:
      ValueError: warmup is below 1.
    """
    if config.warmup < 1:  # optax would stay at 0 for ever
        raise ValueError(f'warmup is {config.warmup}; at least 1 step is needed')
    rate = optax.linear_schedule(0.0, config.adam.learning_rate, config.warmup)
    return optax.chain(optax.clip_by_global_norm(config.clip), optax.adam(rate))


def edm_path(data_deviation: float, angle: bool = False) -> Path:
    """From a noise of 80 down to 0.002, by the noise or by an angle.

    Args:
      data_deviation: of the data, which the trigonometric path keeps.
      angle: whether it is the trigonometric one.
    """
    start, end = (0.002, 80.0)
    if not angle:
        return variance_exploding(start, end)
    angles = (math.atan(level / data_deviation) for level in (start, end))
    return trigonometric(*angles, data_deviation)


def edm_prediction(data_deviation: float, angle: bool = False) -> Prediction:
    """EDM's F; told the angle as it is where it goes by one.

    Source: Lu and Song 2024, arXiv:2410.11081, section 4.1: with the logarithm of the noise in its
    place the derivative in time would have no bound at either end.
    """
    prediction = predictions.edm(data_deviation)
    return prediction._replace(condition=lambda path, t: t) if angle else prediction


def fidelity_of(config: ConfigDict, sample: Sample, decay: Decay | float) -> Comparison:
    """Samples beside CIFAR-10.

    Args:
      config: of the page, with SCORED and `seed`.
      sample: (key, state, n) -> images.
      decay: of the average that samples use.
    """
    return cifar_comparison(
        sample,
        weights=config.inception,
        n=config.samples,
        seed=config.seed,
        steps=config.classifier,
        decay=decay,
        data_dir=config.data_dir,
    )


def few_step_probes(
    config: ConfigDict, algorithm: Algorithm, by_steps: Mapping[str, Sample], decay: Decay | float
) -> dict[str, Probe]:
    """Samples, those of other numbers of steps beside them, and scores.

    Args:
      config: of the page.
      algorithm: a flow map.
      by_steps: what the steps are called -> samples.
      decay: of the average that samples use.
    """
    every = config.every.evaluate
    fidelity = fidelity_of(config, algorithm.sample, decay)
    return {
        'samples': Probe(every, grid(algorithm.sample, n=64)),
        'steps': Probe(every, side_by_side(by_steps, n=36, columns=6)),
        'scores': Probe(config.steps // 10 or 1, fidelity_scores(fidelity), scores=True),
        'fidelity': Probe(config.steps, fidelity_pictures(fidelity)),
    }


def sample_probes(
    config: ConfigDict, model: Model, algorithm: Algorithm, decay: Decay | float, *, every: int
) -> dict[str, Probe]:
    """Samples, how they come about, and scores of them.

    Args:
      config: of the page.
      model: of the algorithm.
      algorithm: a `denoiser`.
      decay: of the average that samples use.
      every: how many steps lie between pictures of samples.
    """
    fidelity = fidelity_of(config, algorithm.sample, decay)
    frames = min(40, config.sampler.steps)
    sampler = sampler_of(model.path, config.sampler, frames)
    chain = draw_samples(model, sampler, SHAPE, guidance=guidance_of(config.sampler))
    return {
        'samples': Probe(every, grid(algorithm.sample, n=64)),
        'chain': Probe(config.steps, film(chain, n=16)),
        'scores': Probe(config.steps // 10 or 1, fidelity_scores(fidelity), scores=True),
        'fidelity': Probe(config.steps, fidelity_pictures(fidelity)),
    }
