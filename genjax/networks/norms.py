"""Batch normalisation: Ioffe and Szegedy 2015, arXiv:1502.03167.

Letters: B examples, C channels.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.parallel import device_mean


class BatchNorm(nn.Module):
    """Normalises each channel over a batch, then gives it a learned scale and bias.

    In training, where the collection 'batch_stats' is mutable, the statistics are those of the
    whole batch, however many devices share it. They are also accumulated: decaying sums of the
    batch means and variances, and of their weights. Elsewhere the accumulated ones are used, sum /
    weight, as in Adam; before the first batch, mean 0 and variance 1. So a pass that starts from
    zeros leaves exactly its own batch's statistics.

    Args:
      momentum: the decay of the sums at each batch, in [0, 1).
      eps: added to the variance.
      classes: labels 0 .. classes - 1 each have a scale and a bias of their own (Dumoulin et al.
        2017, arXiv:1610.07629); None: all examples share them.
      scale_init: of the scale.
    """

    momentum: float = 0.9
    eps: float = 1e-5
    classes: int | None = None
    scale_init: nn.initializers.Initializer = nn.initializers.ones

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None) -> jax.Array:
        """Normalises x [B, ..., C].

        Args:
          x: [B, ..., C].
          label: int [B], where there are classes.

        Returns:
          [B, ..., C].

        Raises:
          ValueError: momentum lies outside [0, 1), or there are labels without classes or the
            reverse.
        """
        if not 0 <= self.momentum < 1:
            raise ValueError(f'momentum is {self.momentum}; batch norm needs 0 <= momentum < 1')
        if (label is None) != (self.classes is None):
            raise ValueError(
                f'classes is {self.classes}; '
                'batch norm needs labels exactly where there are classes'
            )
        shape = x.shape[-1:] if self.classes is None else (self.classes, x.shape[-1])
        gain = self.param('scale', self.scale_init, shape)
        bias = self.param('bias', nn.initializers.zeros, shape)
        if label is not None:
            gain = gain[label]  # [B, C]
            bias = bias[label]

        mean, variance = self._statistics(x)
        scale = gain * jnp.broadcast_to(jax.lax.rsqrt(variance + self.eps), gain.shape)
        shift = bias - jnp.broadcast_to(mean, gain.shape) * scale
        return x * _expand_dims(scale, x) + _expand_dims(shift, x)

    def _statistics(self, x):
        """Mean and variance of each channel, [C] each."""
        channels = x.shape[-1:]
        mean_sum = self.variable('batch_stats', 'mean', jnp.zeros, channels)
        variance_sum = self.variable('batch_stats', 'variance', jnp.zeros, channels)
        weight_sum = self.variable('batch_stats', 'weight', jnp.zeros, ())
        if not self.is_mutable_collection('batch_stats'):
            return _running_statistics(mean_sum.value, variance_sum.value, weight_sum.value)

        axes = range(x.ndim - 1)
        mean, square = device_mean((jnp.mean(x, axes), jnp.mean(jnp.square(x), axes)))
        variance = jnp.maximum(square - jnp.square(mean), 0)
        if not self.is_initializing():
            self._accumulate(mean_sum, mean)
            self._accumulate(variance_sum, variance)
            self._accumulate(weight_sum, 1.0)
        return mean, variance

    def _accumulate(self, total, value):
        constant = jax.lax.stop_gradient(value)
        total.value = self.momentum * total.value + (1 - self.momentum) * constant


def _running_statistics(mean_sum, variance_sum, weight_sum):
    """Mean and variance [C] from their decaying sums; 0 and 1 where the weight is zero."""
    mean = mean_sum / jnp.where(weight_sum > 0, weight_sum, 1)
    variance = variance_sum / jnp.where(weight_sum > 0, weight_sum, 1)
    return mean, jnp.where(weight_sum > 0, variance, 1)


def _expand_dims(rows, x):
    """[C] or [B, C] with axes of length 1 in between, to broadcast with x [B, ..., C]."""
    return rows.reshape(*rows.shape[:-1], *[1] * (x.ndim - rows.ndim), rows.shape[-1])
