"""Spectral normalisation: Miyato, Kataoka, Koyama, Yoshida 2018 (arXiv:1802.05957).

Section 2.1 and algorithm 1. A kernel is read as a matrix W [N, O]: N inputs of each of O outputs.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient


def unit_vector(x: Array) -> Array:
    """x [D] scaled to length 1; a zero vector stays zero."""
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(x)), 1e-24))


def spectral_norm(W: Array, u: Array, steps: int) -> tuple[Array, Array]:
    """An estimate of the largest singular value of W by power iteration.

    Both singular vectors count as constants, so that the gradient of the norm is v u^T (equation
    12).

    Args:
      W: [N, O].
      u: [O], the estimate of the right singular vector.
      steps: power iterations.

    Returns:
      The norm, a scalar, and u [O] after the iterations.
    """
    constant_W = stop_gradient(W)
    for _ in range(steps):
        u = unit_vector(unit_vector(constant_W @ u) @ constant_W)
    v = unit_vector(constant_W @ u)
    return stop_gradient(v) @ W @ stop_gradient(u), u


class Spectral(nn.Module):
    """A layer whose kernel is divided by the largest singular value of W.

    The power iteration's vector is `u` [O] of the collection 'spectral'. Each pass takes one step
    where that collection is mutable and none elsewhere. Its initial direction is random and does
    not depend on the data. W is what the paper normalises; a convolution over K x L pixels may
    stretch an image by up to sqrt(K L) times its norm.

    Args:
      layer: a layer of one input, without state, with a parameter `kernel` [..., O]; its
        parameters lie under `weights`.
    """

    layer: nn.Module

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """The layer with its normalised kernel, applied to x [B, ...]."""
        layer = self.layer.clone(parent=None)  # unbound: this module owns the parameters

        def init_params(key):
            return layer.init(key, jnp.zeros(x.shape, jnp.float32))['params']

        params = self.param('weights', init_params)
        kernel = params['kernel']
        W = kernel.reshape(-1, kernel.shape[-1])

        def init_u():
            return unit_vector(jax.random.normal(self.make_rng('params'), W.shape[1:]))

        u = self.variable('spectral', 'u', init_u)
        is_training = self.is_mutable_collection('spectral') and not self.is_initializing()
        sigma, new_u = spectral_norm(W, u.value, steps=int(is_training))
        if is_training:
            u.value = new_u
        return layer.apply({'params': params | {'kernel': kernel / sigma}}, x)
