"""The density of a continuous path's model by its probability-flow ODE.

log p(x_start) = log N(x_end; 0, prior) + the integral of the divergence along the way from the data
to the noise (Song et al. 2021, arXiv:2011.13456, equation 39). It is solved over log_snr, in which
the flow of data of unit variance is smooth on every path.

B examples of D entries, S steps.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.algorithms.diffusion.continuous_bound import decoder_nats
from genjax.algorithms.diffusion.paths import Path, log_snr
from genjax.algorithms.diffusion.samplers.single_step import ode_coefficients
from genjax.algorithms.diffusion.samplers.steps import Denoise, at, time_of_all
from genjax.algorithms.diffusion.times import least_log_snr, log_snr_slope
from genjax.base import Key
from genjax.numerics.normals import example_normals
from genjax.parallel import example_keys

# Runge and Kutta's method of fourth order: how many half steps ahead of x each slope is taken, by
# the slope before it, and its weight in the step, in sixths.
HALF_STEPS = np.array([0, 1, 1, 2], np.int32)
WEIGHTS = np.array([1, 2, 2, 1])

# (key, function [B, ...] -> [B, ...] example by example, x) -> its value, and its trace [B]
Trace = Callable[[Key, Callable[[Array], Array], Array], tuple[Array, Array]]


def exact_trace(key: Key, function: Callable[[Array], Array], x: Array) -> tuple[Array, Array]:
    """The trace of the Jacobian of each example, by D derivatives.

    Args:
      key: not used.
      function: [B, ...] -> [B, ...], each example by itself.
      x: [B, ...].
    """
    del key
    # Backwards, since networks may define their gradients themselves.
    value, pull_back = jax.vjp(function, x)
    size = math.prod(x.shape[1:])

    def diagonal(i):
        direction = jnp.zeros((size,), x.dtype).at[i].set(1).reshape(x.shape[1:])
        (gradient,) = pull_back(jnp.broadcast_to(direction, x.shape))
        return gradient.reshape(len(x), size)[:, i]

    return value, jnp.sum(jax.lax.map(diagonal, jnp.arange(size)), 0)


def hutchinson(samples: int = 1) -> Trace:
    """An unbiased estimate of the trace: the mean of e^T J e over random signs e.

    Source: Grathwohl et al. 2019, arXiv:1810.01367, equation 7, with Rademacher noise.

    Args:
      samples: of e for each example.
    """

    def estimate(key, function, x):
        value, pull_back = jax.vjp(function, x)

        def one(key):
            def signs(key):
                return jax.random.rademacher(key, x.shape[1:], x.dtype)

            direction = jax.vmap(signs)(example_keys(key, len(x)))
            (gradient,) = pull_back(direction)
            return jax.vmap(jnp.vdot)(direction, gradient)

        traces = jax.lax.map(one, jax.random.split(key, samples))
        return value, jnp.mean(traces, 0)

    return estimate


def flow_slopes(
    denoised: Callable[[Array], Array],
    trace: Trace,
    key: Key,
    x: Array,
    x_coef: Array,
    x0_coef: Array,
) -> tuple[Array, Array]:
    """The flow x_coef x + x0_coef D(x) of x [B, ...], and its divergence [B].

    Args:
      denoised: D, of one time.
      trace: of the Jacobian of D.
      key: of the trace.
      x: [B, ...].
      x_coef: [].
      x0_coef: [].
    """
    x0, x0_trace = trace(key, denoised, x)
    size = math.prod(x.shape[1:])
    return x_coef * x + x0_coef * x0, x_coef * size + x0_coef * x0_trace


def log_density(
    key: Key,
    path: Path,
    denoise: Denoise,
    x: Array,
    *,
    steps: int,
    trace: Trace = exact_trace,
    prior_deviation: float | None = None,
) -> Array:
    """log p(x) of x_t at the start of the path, nats [B].

    The ODE is solved by S steps of Runge and Kutta's method of fourth order, even in log_snr.
    `adaptive_log_density` chooses them instead.

    Args:
      key: of the trace; one draw serves the whole way, so that what is solved is one ODE.
      path: of x_t.
      denoise: of the model.
      x: data, or dequantised data, [B, ...], taken for x_t at the start.
      steps: S.
      trace: of the Jacobian of the flow.
      prior_deviation: of the normal law at the end; None is sigma there. What the data add to that
        is missing: of EDM's path and data of variance 1/4 some 1e-5 nats a dimension.

    Raises:
      ValueError: steps is below 1.
    """
    if steps < 1:
        raise ValueError(f'steps is {steps}; needed: 1 or more')
    highest, lowest = log_snr_ends(path)
    times = path.time(np.linspace(highest, lowest, 2 * steps + 1))
    clock = 1 / log_snr_slope(path, times)  # dt / d log_snr
    x_slope, x0_slope = ode_coefficients(path, times)
    width = (lowest - highest) / steps

    def slopes(i, x):
        """By log_snr, at half step i."""

        def denoised(x):
            return denoise(x, time_of_all(times, i, x))

        x_coef = at(clock * x_slope, i, x)
        x0_coef = at(clock * x0_slope, i, x)
        return flow_slopes(denoised, trace, key, x, x_coef, x0_coef)

    def step(i, carry):
        x, integral = carry

        def stage(j, carry):
            slope, total, total_trace = carry
            there = x + at(width / 2 * HALF_STEPS, j, x) * slope
            slope, slope_trace = slopes(2 * i + jnp.asarray(HALF_STEPS)[j], there)
            weight = at(WEIGHTS, j, x)
            return slope, total + weight * slope, total_trace + weight * slope_trace

        # One after the other by a loop, so that the network is compiled once and not four times.
        zeros = (jnp.zeros_like(x), jnp.zeros_like(x), jnp.zeros_like(integral))
        _, total, total_trace = jax.lax.fori_loop(0, len(WEIGHTS), stage, zeros)
        return x + width / 6 * total, integral + width / 6 * total_trace

    x, integral = jax.lax.fori_loop(0, steps, step, (x, jnp.zeros(len(x), x.dtype)))
    return integral + normal_log_density(x, deviation_of_prior(path, prior_deviation))


def ode_bits_per_dim(
    key: Key, path: Path, density: Callable[[Key, Array], Array], x0: Array
) -> Array:
    """A bound on -log2 p(x_0) a dimension of data on 256 levels, by the density of x_t, [B].

    x_0 is dequantised by the noise that x_t has at the start of the path, and decoded as in
    `continuous_bound`: E[log q(x_t | x_0) - log p(x_t) - log p(x_0 | x_t)], of which this is an
    unbiased estimate. Noise of another law, as the uniform one of a level's width, would ask of the
    model what it was not trained on (Zheng et al. 2023, arXiv:2305.03935, section 4.2).

    Args:
      key: of the noise, the decoder and the density.
      path: whose sigma / alpha at the start is at most a quarter of 2 / 255.
      density: (key, x_t [B, ...] at the start) -> its log p, nats [B], as `log_density`.
      x0: data [B, ...] on the 256 levels -1, -1 + 2/255, ..., 1.
    """
    noise_key, decoder_key, density_key = jax.random.split(key, 3)
    start = np.float64(path.start)
    alpha = float(path.alpha(start))
    sigma = float(path.sigma(start))
    noise = example_normals(noise_key, len(x0), x0.shape[1:])
    log_p = density(density_key, alpha * x0 + sigma * noise) / math.prod(x0.shape[1:])
    log_q = -math.log(2 * math.pi * math.e * sigma**2) / 2
    decoder_noise = example_normals(decoder_key, len(x0), x0.shape[1:])
    decoder = jax.vmap(jnp.mean)(decoder_nats(x0, decoder_noise, sigma / alpha))
    return (log_q - log_p + decoder) / math.log(2)


def log_snr_ends(path: Path) -> tuple[float, float]:
    """log_snr at the start of a path, and at its end or where it is `least_log_snr`."""
    return float(log_snr(path, np.float64(path.start))), least_log_snr(path)


def deviation_of_prior(path: Path, given: float | None) -> float:
    """The one that is given, or sigma at the end that `log_snr_ends` has."""
    if given is not None:
        return given
    return float(path.sigma(path.time(np.float64(least_log_snr(path)))))


def normal_log_density(x: Array, deviation: float) -> Array:
    """log N(x; 0, deviation^2) of each example, nats [B]."""
    size = math.prod(x.shape[1:])
    squares = jax.vmap(jnp.vdot)(x, x) / deviation**2
    return -(squares + size * math.log(2 * math.pi * deviation**2)) / 2
