"""The variational bound on -log p(x_0) of any continuous path, in bits a dimension.

Half the error of the noise, integrated over log_snr (Kingma et al. 2021, arXiv:2107.00630, equation
15, as T grows without end), between two ends: data on 256 levels decoded from where sigma / alpha
is a thousandth, and noise of the deviation sigma where the path ends (or log_snr is -12). It is the
same on every path, since paths differ in scale and clock alone.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.diffusion.paths import Path, log_snr
from genjax.algorithms.diffusion.samplers.steps import Denoise
from genjax.algorithms.diffusion.times import least_log_snr
from genjax.algorithms.diffusion.weights import bound_density
from genjax.base import Key
from genjax.numerics.normals import example_normals
from genjax.numerics.uniforms import Draw, stratified

LEAST_NOISE_LEVEL = 1e-3  # an eighth of a grey level


def bits_per_dim(
    key: Key, path: Path, denoise: Denoise, x0: Array, *, draw: Draw = stratified
) -> Array:
    """An unbiased estimate of the bound for each example, by one call of `denoise`, [B].

    Args:
      key: of t, and of the noise there and at the decoder.
      path: of x_t.
      denoise: of the model.
      x0: data [B, ...] on the 256 levels -1, -1 + 2/255, ..., 1.
      draw: how the log_snr of a batch are drawn, which is uniform.
    """
    times_key, noise_key, decoder_key = jax.random.split(key, 3)
    lowest = least_log_snr(path)
    highest = -2 * math.log(LEAST_NOISE_LEVEL)
    t = path.time(lowest + (highest - lowest) * draw(times_key, len(x0)))
    noise = example_normals(noise_key, len(x0), x0.shape[1:])

    def corrupt(t, x0, noise):
        return path.alpha(t) * x0 + path.sigma(t) * noise

    denoised = denoise(jax.vmap(corrupt)(t, x0, noise), t)
    error = jax.vmap(jnp.mean)((x0 - denoised) ** 2)
    diffusion = (highest - lowest) * bound_density(log_snr(path, t)) * error

    decoder_noise = example_normals(decoder_key, len(x0), x0.shape[1:])
    decoder = jax.vmap(jnp.mean)(decoder_nats(x0, decoder_noise, LEAST_NOISE_LEVEL))
    prior = bound_density(jnp.asarray(lowest)) * jax.vmap(jnp.mean)(x0**2)
    return (diffusion + decoder + prior) / math.log(2)


def decoder_nats(x0: Array, noise: Array, deviation: float) -> Array:
    """-log p(x_0 | x_t) entry by entry.

    p(x_0 | x_t) is q(x_t | x_0) normalised over the levels (Kingma et al. 2021, equation 12), of
    which those more than three away hold less than float32 resolves.

    Args:
      x0: on the levels.
      noise: that x_t has, of the same shape.
      deviation: of the noise in x_t / alpha, at most a quarter of a level's width.
    """
    spacing = 2 / 255
    total = jnp.zeros_like(x0)
    for offset in range(-3, 4):
        other = x0 + offset * spacing
        exists = (other >= -1 - spacing / 2) & (other <= 1 + spacing / 2)
        # log q(x_t | other) - log q(x_t | x_0), x_t / alpha being x_0 + deviation noise.
        shift = offset * spacing / deviation
        total = total + jnp.where(exists, jnp.exp(shift * noise - shift**2 / 2), 0.0)
    return jnp.log(total)
