"""A weight of a loss that is learnt, for each pair of times."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.networks.timed_mlp import series


class LogWeight(nn.Module):
    """w(t, r), linear in the sines of t and of t - r, and 0 everywhere at its beginning.

    Trained on e^w loss - w it comes to -log E[loss | t, r], by which every pair of times has the
    weighted loss 1 and gradients of one size.

    Source: Karras et al. 2024, arXiv:2312.02696, appendix B.2, of u = -w; Lu and Song 2024,
    arXiv:2410.11081, section 4.2.

    Args:
      size: of the sines and cosines of a time together.
    """

    size: int = 16

    @nn.compact
    def __call__(self, t: jax.Array, r: jax.Array) -> jax.Array:
        """t and r [B] -> [B]."""
        known = jnp.concatenate([series(t, self.size), series(t - r, self.size)], -1)
        return nn.Dense(1, kernel_init=nn.initializers.zeros)(known)[:, 0]
