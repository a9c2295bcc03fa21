"""One small experiment for each algorithm, for the contracts that all must keep."""

import jax.numpy as jnp
import numpy as np
import optax

from genjax.algorithms.ddpm import ddpm
from genjax.base import Data, Resident
from genjax.networks.unet import UNet
from genjax.train import Experiment

BATCH = 16


def ddpm_case() -> Experiment:
    """A U-Net with every part, attention and dropout too, on 40 images of noise: an epoch is 2.5 batches."""
    images = np.random.default_rng(1).uniform(-1, 1, (40, 8, 8, 1)).astype(np.float32)
    batch = lambda held, step: {'image': held[(step * BATCH + jnp.arange(BATCH)) % 40]}
    network = UNet(width=8, multipliers=(1, 2), attend_at=(4,), dropout=0.1, blocks=1)
    algorithm = ddpm(network, optax.adam(1e-3), shape=(8, 8, 1), steps=20, decay=0.9)
    tests = [{'image': images[:BATCH]}, {'image': images[BATCH:21]}]
    return Experiment(algorithm, Data(Resident(jnp.asarray(images), batch), tests), {})


ALGORITHMS = {'ddpm': ddpm_case}
