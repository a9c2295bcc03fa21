"""Images between two images, by the noise that both become (Ho et al. 2020, section 4.3)."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.diffusion.process import Process, noise_like, q_sample
from genjax.algorithms.diffusion.samplers.steps import Denoise, Sampler
from genjax.base import Key


def interpolate(
    key: Key,
    process: Process,
    denoise: Denoise,
    sampler: Callable[..., Sampler],
    ends: tuple[Array, Array],
    weights: Sequence[float],
    t: int,
) -> Array:
    """Images between two ends: mixed at t, and denoised from there, [K, B, ...] (section 4.3).

    All weights have the same noise.

    Args:
      key: of the noise of both ends, and of the sampler.
      process: the diffusion.
      denoise: the model's.
      sampler: (process, start=t) -> Sampler, as `reverse_chain`.
      ends: two batches of images, [B, ...] each.
      weights: of the second end, [K].
      t: where the two are mixed, in 1..T.
    """
    first_key, second_key, chain_key = jax.random.split(key, 3)
    x0, y0 = ends
    x = q_sample(process, t, x0, noise_like(first_key, x0))
    y = q_sample(process, t, y0, noise_like(second_key, y0))
    sample = sampler(process, start=t)

    def between(weight):
        return sample(chain_key, denoise, (1 - weight) * x + weight * y)

    return jax.vmap(between)(jnp.asarray(weights))
