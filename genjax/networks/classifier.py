"""A small convolutional classifier of images, for sets such as digits."""

from collections.abc import Sequence

import flax.linen as nn
import jax

from genjax.networks.conv import Conv


class Classifier(nn.Module):
    """3 x 3 convolutions, the first at full resolution and each other at half of the one before; a
    dense layer, whose rectified values are the features; and logits linear in these.

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
        """x [B, H, W, I] -> (features [B, D], logits [B, C]); a ValueError where a number is not
        positive."""
        if not all(
            isinstance(n, int) and n > 0 for n in (*self.widths, self.features, self.classes)
        ):
            sizes = (
                f'widths are {tuple(self.widths)}, features {self.features}, classes {self.classes}'
            )
            raise ValueError(f'{sizes}; all must be positive integers')
        for i, width in enumerate(self.widths):
            x = nn.relu(Conv(width, strides=1 if i == 0 else 2)(x))
        features = nn.relu(nn.Dense(self.features)(x.reshape(len(x), -1)))
        return features, nn.Dense(self.classes)(features)
