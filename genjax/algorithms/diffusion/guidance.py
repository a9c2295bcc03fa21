"""Guidance: two denoisers made into one, which leads away from the second."""

import jax.numpy as jnp
import numpy as np

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
    least, most = interval

    def estimate(x, t):
        ours = denoise(x, t)
        if scale == 1:
            return ours
        led = ours + (scale - 1) * (ours - reference(x, t))
        level = noise_level(path, t)
        inside = (least <= level) & (level <= most)
        return jnp.where(inside.reshape(-1, *[1] * (x.ndim - 1)), led, ours)

    return estimate
