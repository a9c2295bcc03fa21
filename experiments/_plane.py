"""What the pages of points in the plane share: batches of them, their modes, and what is exact."""

import numpy as np
from ml_collections import ConfigDict

from genjax.algorithms.diffusion import Denoise, Path, mixture_denoiser
from genjax.base import Data
from genjax.data.toys import Gaussians, gaussian_mixture, sampled
from genjax.probes.fields import covered_modes
from genjax.probes.figures import Measure, Sample

SHAPE = (2,)


def points(config: ConfigDict, gaussians: Gaussians, test: int) -> Data:
    """Batches {'image': [B, 2]} of Gaussians, as diffusion has them, and as many points to test.

    Args:
      config: with `batch` and `seed`.
      gaussians: of the points.
      test: points of the test set.
    """
    draw = gaussian_mixture(gaussians)

    def draw_point(key):
        return {'image': draw(key)['x']}

    return sampled(draw_point, batch=config.batch, seed=config.seed, test=test)


def best_denoiser(path: Path, gaussians: Gaussians) -> Denoise:
    """E[x_0 | x_t] of Gaussians that are as likely and of one deviation."""
    components = len(gaussians.centres)
    shares = np.full(components, 1 / components)
    variances = np.full(components, gaussians.deviation**2)
    return mixture_denoiser(path, shares, gaussians.centres, variances)


def modes(sample: Sample, gaussians: Gaussians) -> Measure:
    """How many modes samples cover, and how many samples lie within three deviations of one."""
    return covered_modes(sample, gaussians.centres, 3 * gaussians.deviation)


def extent(gaussians: Gaussians) -> float:
    """Half the side of a square that the points leave free at its border."""
    return 1.5 * abs(gaussians.centres).max()
