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

from genjax.algorithms.diffusion.paths import Path, log_snr
from genjax.algorithms.diffusion.samplers.single_step import ode_coefficients
from genjax.algorithms.diffusion.samplers.steps import Denoise, at, time_of_all
from genjax.algorithms.diffusion.times import least_log_snr, log_snr_slope
from genjax.base import Key
from genjax.parallel import example_keys

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
    value, derivative = jax.linearize(function, x)
    size = math.prod(x.shape[1:])

    def diagonal(i):
        direction = jnp.zeros((size,), x.dtype).at[i].set(1).reshape(x.shape[1:])
        change = derivative(jnp.broadcast_to(direction, x.shape))
        return change.reshape(len(x), size)[:, i]

    return value, jnp.sum(jax.lax.map(diagonal, jnp.arange(size)), 0)


def hutchinson(samples: int = 1) -> Trace:
    """An unbiased estimate of the trace: the mean of e^T J e over random signs e.

    Source: Grathwohl et al. 2019, arXiv:1810.01367, equation 7, with Rademacher noise.

    Args:
      samples: of e for each example.
    """

    def estimate(key, function, x):
        value, derivative = jax.linearize(function, x)

        def one(key):
            def signs(key):
                return jax.random.rademacher(key, x.shape[1:], x.dtype)

            direction = jax.vmap(signs)(example_keys(key, len(x)))
            return jax.vmap(jnp.vdot)(direction, derivative(direction))

        traces = jax.lax.map(one, jax.random.split(key, samples))
        return value, jnp.mean(traces, 0)

    return estimate


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

    The ODE is solved by S steps of Runge and Kutta's method of fourth order.

    Args:
      key: of the trace; one draw serves the whole way, so that what is solved is one ODE.
      path: of x_t.
      denoise: of the model.
      x: data, or dequantised data, [B, ...], taken for x_t at the start.
      steps: S, even in log_snr.
      trace: of the Jacobian of the flow.
      prior_deviation: of the normal law at the end; None is sigma there. What the data add to that
        is missing: of EDM's path and data of variance 1/4 some 1e-5 nats a dimension.

    Raises:
      ValueError: steps is below 1.
    """
    if steps < 1:
        raise ValueError(f'steps is {steps}; needed: 1 or more')
    highest = float(log_snr(path, np.float64(path.start)))
    lowest = least_log_snr(path)
    half_steps = np.linspace(highest, lowest, 2 * steps + 1)
    times = path.time(half_steps)
    clock = 1 / log_snr_slope(path, times)  # dt / d log_snr
    x_slope, x0_slope = ode_coefficients(path, times)
    width = (lowest - highest) / steps
    size = math.prod(x.shape[1:])

    def slope(i, x):
        """d x and d (log p of what is left) / d log_snr, at half step i."""

        def denoise_here(x):
            return denoise(x, time_of_all(times, i, x))

        x0, x0_trace = trace(key, denoise_here, x)
        x_coef = at(clock * x_slope, i, x)
        x0_coef = at(clock * x0_slope, i, x)
        return x_coef * x + x0_coef * x0, x_coef * size + x0_coef * x0_trace

    def step(i, carry):
        x, integral = carry
        first, first_trace = slope(2 * i, x)
        second, second_trace = slope(2 * i + 1, x + width / 2 * first)
        third, third_trace = slope(2 * i + 1, x + width / 2 * second)
        fourth, fourth_trace = slope(2 * i + 2, x + width * third)
        x = x + width / 6 * (first + 2 * second + 2 * third + fourth)
        total = first_trace + 2 * second_trace + 2 * third_trace + fourth_trace
        return x, integral + width / 6 * total

    x, integral = jax.lax.fori_loop(0, steps, step, (x, jnp.zeros(len(x), x.dtype)))
    if prior_deviation is None:
        prior_deviation = float(path.sigma(times[-1]))
    return integral + normal_log_density(x, prior_deviation)


def normal_log_density(x: Array, deviation: float) -> Array:
    """log N(x; 0, deviation^2) of each example, nats [B]."""
    size = math.prod(x.shape[1:])
    squares = jax.vmap(jnp.vdot)(x, x) / deviation**2
    return -(squares + size * math.log(2 * math.pi * deviation**2)) / 2
