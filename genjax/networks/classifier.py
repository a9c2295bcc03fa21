"""A small convolutional classifier of images, for sets such as digits.

Shapes: B examples, H rows, W columns, I channels of an image, D features, C classes.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax

from genjax.networks.conv import Conv


class Classifier(nn.Module):
    """Convolutions, a dense layer of features, and logits that are linear in the features.

    The convolutions are 3 x 3 and rectified. The first works at full resolution, each other halves
    it. The features are rectified too.

    Args:
      widths: channels of the convolutions.
      features: D.
      classes: C.
    """

    widths: Sequence[int]
    features: int
    classes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Features and logits of images.

        Args:
          x: [B, H, W, I].

        Returns:
          Features [B, D] and logits [B, C].

        Raises:
          ValueError: a width, the features or the classes are not a positive integer.
        """
        self._check()
        for i, width in enumerate(self.widths):
            x = nn.relu(Conv(width, strides=1 if i == 0 else 2)(x))
        features = nn.relu(nn.Dense(self.features)(x.reshape(len(x), -1)))
        return features, nn.Dense(self.classes)(features)

    def _check(self):
        sizes = (*self.widths, self.features, self.classes)
        if not all(isinstance(n, int) and n > 0 for n in sizes):
            raise ValueError(
                f'widths are {tuple(self.widths)}, features {self.features}, '
                f'classes {self.classes}; all must be positive integers'
            )
