"""What the models of MNIST's grey levels share that are compared by bits/dim."""

import numpy as np

from genjax.base import Data
from genjax.data.derived import pictures
from genjax.data.images.sets import images

SHAPE = (28, 28, 1)
LEVEL = 2 / 255  # between two neighbouring levels of images in [-1, 1]


def grey_mnist(config) -> Data:
    """{'x': [B, 28, 28, 1] in [-1, 1]} on its 256 levels, without noise."""
    data = images('mnist', batch=config.batch, seed=config.seed, data_dir=config.data_dir)
    return pictures(data)


def level_shares(data: Data) -> np.ndarray:
    """The share of each level in each pixel of the images to train on, [256, 28, 28, 1].

    As if one more image had each of the levels to the same part, so that none has no share.
    """
    images = np.asarray(data.train.arrays['image'])
    counts = np.stack([(images == level).sum(0) for level in range(256)])
    return (counts + 1 / 256) / (len(images) + 1)
