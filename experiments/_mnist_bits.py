"""What the models of MNIST's grey levels share that are compared by bits/dim."""

from genjax.base import Data
from genjax.data.derived import pictures
from genjax.data.images.sets import images

SHAPE = (28, 28, 1)
LEVEL = 2 / 255  # between two neighbouring levels of images in [-1, 1]


def grey_mnist(config) -> Data:
    """{'x': [B, 28, 28, 1] in [-1, 1]} on its 256 levels, without noise."""
    data = images('mnist', batch=config.batch, seed=config.seed, data_dir=config.data_dir)
    return pictures(data)
