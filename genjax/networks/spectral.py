"""Spectral normalisation: Miyato, Kataoka, Koyama, Yoshida 2018 (arXiv:1802.05957), section 2.1 and
algorithm 1.

A kernel is read as the matrix W [N, O] from all that goes into one output to the O outputs.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient


def unit(x: Array) -> Array:
    """x [D] with length 1; a zero stays zero."""
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(x)), 1e-24))


def spectral_norm(W: Array, u: Array, steps: int) -> tuple[Array, Array]:
    """The largest singular value of W [N, O] as u [O], a right vector, sees it, and u after `steps`
    power iterations.

    Both vectors count as constants, so that the gradient of the norm is v u^T (equation 12).
    """
    fixed = stop_gradient(W)
    for _ in range(steps):
        u = unit(unit(fixed @ u) @ fixed)
    v = unit(fixed @ u)
    return stop_gradient(v) @ W @ stop_gradient(u), u


class Spectral(nn.Module):
    """A layer whose kernel is divided by the largest singular value of W.

    The power iteration's vector is `u` [O] of the collection 'spectral'. It takes a step where that
    collection is mutable and stays where it is elsewhere. It begins as a random direction, whatever
    the data. W is what the paper normalises; a convolution with K x L places may stretch an image
    by up to sqrt(K L) times its norm.

    Args:
      layer: of one input, without state, with a parameter `kernel` [..., O]; its parameters stand
        under `weights`.
    """

    layer: nn.Module

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, ...] -> what the layer gives for it."""
        layer = self.layer.clone(parent=None)  # a description: its parameters are held here
        params = self.param(
            'weights', lambda key: layer.init(key, jnp.zeros(x.shape, jnp.float32))['params']
        )
        kernel = params['kernel']
        W = kernel.reshape(-1, kernel.shape[-1])
        u = self.variable(
            'spectral', 'u', lambda: unit(jax.random.normal(self.make_rng('params'), W.shape[1:]))
        )
        learning = self.is_mutable_collection('spectral') and not self.is_initializing()
        sigma, new = spectral_norm(W, u.value, steps=int(learning))
        if learning:
            u.value = new
        return layer.apply({'params': params | {'kernel': kernel / sigma}}, x)
