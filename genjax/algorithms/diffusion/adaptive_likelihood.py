"""The density by the probability-flow ODE, in steps that an error estimate chooses.

What is solved is said in `ode_likelihood`; here diffrax solves it. B examples.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.diffusion.ode_likelihood import (
    Trace,
    deviation_of_prior,
    exact_trace,
    flow_slopes,
    log_snr_ends,
    normal_log_density,
)
from genjax.algorithms.diffusion.paths import Path
from genjax.algorithms.diffusion.samplers.single_step import ode_coefficients
from genjax.algorithms.diffusion.samplers.steps import Denoise
from genjax.algorithms.diffusion.times import log_snr_slope
from genjax.base import Key
from genjax.parallel import example_keys


def adaptive_log_density(
    key: Key,
    path: Path,
    denoise: Denoise,
    x: Array,
    *,
    tolerance: float = 1e-5,
    most_steps: int = 4096,
    trace: Trace = exact_trace,
    prior_deviation: float | None = None,
) -> tuple[Array, Array]:
    """log p(x) of x_t at the start of the path, nats [B], and how often the flow was asked for [B].

    Each example has steps of its own, so that its density does not depend on those beside it. The
    method is Dormand and Prince's of fifth order, which Song et al. 2021, arXiv:2011.13456, use at
    a tolerance of 1e-5 too.

    Args:
      key: as of `log_density`.
      path: of x_t; not one of whole steps.
      denoise: of the model.
      x: data, or dequantised data, [B, ...], taken for x_t at the start.
      tolerance: of the error of a step, relative and absolute.
      most_steps: of an example, accepted or not; one that needs more has the density NaN.
      trace: of the Jacobian of the flow.
      prior_deviation: as of `log_density`.

    Raises:
      ValueError: tolerance is not positive.
    """
    if not tolerance > 0:
        raise ValueError(f'tolerance is {tolerance}; it must be positive')
    one = partial(
        _solve,
        path=path,
        denoise=denoise,
        trace=trace,
        tolerance=tolerance,
        most_steps=most_steps,
        deviation=deviation_of_prior(path, prior_deviation),
    )
    # diffrax leaves dtypes and ranks to jax.
    with jax.numpy_dtype_promotion('standard'), jax.numpy_rank_promotion('allow'):
        return jax.vmap(one)(example_keys(key, len(x)), x)


def _solve(key, x, *, path, denoise, trace, tolerance, most_steps, deviation):
    """(log p(x), how often the flow was asked for) of one example [...]."""
    # Takes seconds to import, for which nothing else of the package has to wait.
    import diffrax

    highest, lowest = log_snr_ends(path)

    def slopes(log_snr, state, arguments):
        del arguments
        x, _ = state
        t = path.time(log_snr.astype(x.dtype))

        def denoised(batch):
            return denoise(batch, t[None])

        clock = 1 / log_snr_slope(path, t)
        x_slope, x0_slope = ode_coefficients(path, t)
        flow, divergence = flow_slopes(
            denoised, trace, key, x[None], clock * x_slope, clock * x0_slope
        )
        return flow[0], divergence[0]

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(slopes),
        diffrax.Dopri5(),
        t0=highest,
        t1=lowest,
        dt0=None,
        y0=(x, jnp.zeros((), x.dtype)),
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
        max_steps=most_steps,
        adjoint=diffrax.ForwardMode(),
        throw=False,
    )
    end, integral = jax.tree.map(lambda values: values[0], solution.ys)
    density = integral + normal_log_density(end[None], deviation)[0]
    done = solution.result == diffrax.RESULTS.successful
    return jnp.where(done, density, jnp.nan), solution.stats['num_steps']
