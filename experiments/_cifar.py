"""What the pages of diffusion on CIFAR-10 share."""

import optax
from jax.sharding import PartitionSpec
from ml_collections import ConfigDict

from experiments._extractor import cifar_comparison
from experiments._samplers import guidance_of, sampler_of
from genjax.algorithms.diffusion import Model, draw_labelled, draw_samples
from genjax.averages import Decay
from genjax.base import Algorithm
from genjax.probes.fidelity import fidelity_pictures, fidelity_scores
from genjax.probes.figures import film, grid
from genjax.training import Labelled, Probe

CLASSES = 10
SHAPE = (32, 32, 3)

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
    fidelity = cifar_comparison(
        algorithm.sample,
        weights=config.inception,
        n=config.samples,
        seed=config.seed,
        steps=config.classifier,
        decay=decay,
        data_dir=config.data_dir,
    )
    frames = min(40, config.sampler.steps)
    sampler = sampler_of(model.path, config.sampler, frames)
    chain = draw_samples(model, sampler, SHAPE, guidance=guidance_of(config.sampler))
    return {
        'samples': Probe(every, grid(algorithm.sample, n=64)),
        'chain': Probe(config.steps, film(chain, n=16)),
        'scores': Probe(config.steps // 10 or 1, fidelity_scores(fidelity), scores=True),
        'fidelity': Probe(config.steps, fidelity_pictures(fidelity)),
    }


def samples_by_label(config: ConfigDict, model: Model) -> Labelled | None:
    """Samples of the classes that are asked for; None of a model without classes."""
    if model.classes is None:
        return None
    sampler = sampler_of(model.path, config.sampler)
    draw = draw_labelled(model, sampler, SHAPE, guidance=guidance_of(config.sampler))
    return Labelled(draw, model.classes)
