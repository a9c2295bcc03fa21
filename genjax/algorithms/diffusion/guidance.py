"""Guidance: two denoisers made into one, which leads away from the second."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.algorithms.diffusion.paths import Path, noise_level
from genjax.algorithms.diffusion.samplers.steps import Denoise


def guided(
    denoise: Denoise,
    reference: Denoise,
    path: Path,
    *,
    scale: float,
    interval: tuple[float, float] = (0.0, np.inf),
) -> Denoise:
    """The estimate of `denoise` and (scale - 1) times its difference to that of `reference`.

    Without labels as the reference it is classifier-free guidance (Ho and Salimans 2022,
    arXiv:2207.12598, whose w is scale - 1); with a weaker model it is autoguidance (Karras et al.
    2024, arXiv:2406.02507). Neither draws from the tilted density p(x) p(y | x)^scale, since the
    noisy densities of that are not the tilted noisy densities.

    Args:
      denoise: of the model.
      reference: what is led away from.
      path: of both.
      scale: 1 is no guidance, to the bit.
      interval: of sigma / alpha, outside which there is none (Kynkaanniemi et al. 2024,
        arXiv:2404.07724).
    """

    def estimate(x, t):
        if scale == 1:
            return denoise(x, t)
        return led_away(denoise(x, t), reference(x, t), noise_level(path, t), scale, interval)

    return estimate


def led_away(
    ours: Array, reference: Array, level: Array, scale: float, interval: tuple[float, float]
) -> Array:
    """Estimates led away from others, where the noise level of an example lies in the interval.

    Args:
      ours: [B, ...].
      reference: [B, ...].
      level: sigma / alpha, [B].
      scale, interval: see `guided`.
    """
    least, most = interval
    inside = (least <= level) & (level <= most)
    led = ours + (scale - 1) * (ours - reference)
    return jnp.where(inside.reshape(-1, *[1] * (ours.ndim - 1)), led, ours)
