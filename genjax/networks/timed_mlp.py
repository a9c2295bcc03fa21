"""A dense network that is told how noisy its input is."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.networks.mlp import MLP


def series(condition: jax.Array, size: int) -> jax.Array:
    """Sines, then cosines of 1, 2, ..., size / 2 times a condition [B]: [B, size].

    They tell numbers apart within an interval of 2 pi, and change slowly: a quarter of the
    logarithm of EDM's noise levels goes from -1.6 to 1.1.

    Raises:
      ValueError: size is not positive and even.
    """
    if size < 2 or size % 2:
        raise ValueError(f'size is {size}; it must be positive and even')
    frequencies = jnp.arange(1, size // 2 + 1, dtype=condition.dtype)
    angles = condition[:, None] * frequencies[None]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


class TimedMLP(nn.Module):
    """A multilayer perceptron of x and of the sines of a condition.

    Args:
      widths: of the hidden layers.
      shape: of one example's output.
      size: of the sines and cosines together.
    """

    widths: Sequence[int]
    shape: tuple[int, ...]
    size: int = 16

    @nn.compact
    def __call__(
        self, x: jax.Array, condition: jax.Array, duration: jax.Array | None = None
    ) -> jax.Array:
        """x [B, ...], condition [B] -> [B, *shape].

        Args:
          x: the examples.
          condition: of each.
          duration: [B], a second condition where it is given.

        Raises:
          ValueError: size is not positive and even, or what `MLP` refuses.
        """
        known = [x.reshape(len(x), -1), series(condition, self.size)]
        if duration is not None:
            known.append(series(duration, self.size))
        return MLP(self.widths, self.shape, nn.silu)(jnp.concatenate(known, -1))
