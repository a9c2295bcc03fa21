"""Batch normalisation: Ioffe and Szegedy 2015, arXiv:1502.03167.

Letters: B examples, C channels.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.parallel import device_mean


class BatchNorm(nn.Module):
    """Gives each channel of a batch a mean and a deviation that are learned.

    In training, where the collection 'batch_stats' is mutable, the statistics are those of the
    whole batch, however many devices share it, and they are written down: sums of past means and
    variances that decay, and the sum of their weights. Elsewhere those are used, sum / weight, as
    in Adam; without any, mean 0 and variance 1. So a pass that begins with zeros leaves exactly its
    own batch's statistics.

    Args:
      momentum: what remains of a weight after a step, in [0, 1).
      eps: is added to the variance.
      classes: labels 0 .. classes - 1 each have a scale and a bias of their own (Dumoulin et al.
        2017, arXiv:1610.07629); None, all examples share them.
      scale_init: of the scale.
    """

    momentum: float = 0.9
    eps: float = 1e-5
    classes: int | None = None
    scale_init: nn.initializers.Initializer = nn.initializers.ones

    @nn.compact
    def __call__(self, x: jax.Array, label: jax.Array | None = None) -> jax.Array:
        """x [B, ..., C], label int [B] where there are classes -> [B, ..., C]; a ValueError where
        they do not fit."""
        if not 0 <= self.momentum < 1:
            raise ValueError(f'momentum is {self.momentum}; batch norm needs 0 <= momentum < 1')
        if (label is None) != (self.classes is None):
            raise ValueError(
                f'classes is {self.classes}; batch norm needs labels exactly where there are classes'
            )
        rows = () if label is None else (self.classes,)
        gain = self.param('scale', self.scale_init, (*rows, x.shape[-1]))
        bias = self.param('bias', nn.initializers.zeros, (*rows, x.shape[-1]))
        if label is not None:
            gain, bias = gain[label], bias[label]  # [B, C]
        mean, variance = self._statistics(x)
        scale = gain * _like(jax.lax.rsqrt(variance + self.eps), gain)
        shift = bias - _like(mean, gain) * scale
        return x * _over_places(scale, x) + _over_places(shift, x)

    def _statistics(self, x):
        """Mean and variance of each channel, [C] each."""
        carried = lambda name, shape: self.variable('batch_stats', name, jnp.zeros, shape)
        sums, weight = (
            [carried(name, x.shape[-1:]) for name in ('mean', 'variance')],
            carried('weight', ()),
        )
        if not self.is_mutable_collection('batch_stats'):
            mean, variance = (
                total.value / jnp.where(weight.value > 0, weight.value, 1) for total in sums
            )
            return mean, jnp.where(weight.value > 0, variance, 1)
        axes = range(x.ndim - 1)
        mean, square = device_mean((jnp.mean(x, axes), jnp.mean(jnp.square(x), axes)))
        found = mean, jnp.maximum(square - jnp.square(mean), 0)
        if not self.is_initializing():
            for total, new in zip((*sums, weight), (*found, 1.0), strict=True):
                total.value = self.momentum * total.value + (
                    1 - self.momentum
                ) * jax.lax.stop_gradient(new)
        return found


def _like(statistic, gain):
    return jnp.broadcast_to(statistic, gain.shape)


def _over_places(rows, x):
    """[C] or [B, C] with axes of length 1 in between, for x [B, ..., C]."""
    return rows.reshape(*rows.shape[:-1], *[1] * (x.ndim - rows.ndim), rows.shape[-1])
