"""What flow maps are trained by: an estimate by the network, and what it is drawn towards.

All are functions of the average velocity u alone, see `maps`. The target's gradient is stopped, so
that the gradient is that of |estimate - target|^2 with respect to the estimate. Where r = t the
estimate is u(x, t, t) and the target the slope, d x_t / dt of the data and noise that were drawn:
flow matching, by which u(x, t, t) becomes the velocity of the ODE. Everything else follows from
that.

B examples.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient

from genjax.algorithms.diffusion.flow_maps.maps import Velocity, flow_map, scaled
from genjax.algorithms.diffusion.paths import Path


class Point(NamedTuple):
    """A place on the path, and where it is to be taken.

    Attributes:
      x: alpha(t) x0 + sigma(t) noise, [B, ...].
      t: its time, [B].
      r: the time that it is taken to, [B].
      slope: d x_t / dt = alpha'(t) x0 + sigma'(t) noise, [B, ...]; its mean given x_t is the
        velocity of the ODE.
      x0: the data, [B, ...].
      noise: [B, ...].
      updates: that training has made so far, [B].
    """

    x: Array
    t: Array
    r: Array
    slope: Array
    x0: Array
    noise: Array
    updates: Array


# (velocity, point) -> estimate [B, ...], and its target [B, ...] with the gradient stopped
Objective = Callable[[Velocity, Point], tuple[Array, Array]]


def mean_flow(velocity: Velocity, point: Point) -> tuple[Array, Array]:
    """u(x, t, r) towards slope + (r - t) du/dt, where du/dt is along (slope, 1, 0).

    Derived from t -> X(x_t, t, r) being constant along the ODE. The derivative is linear in the
    slope, so the mean of the target is that with the ODE's velocity in the slope's place.

    Source: Geng et al. 2025, arXiv:2505.13447, equations 6 and 10.
    """
    x, t, r, slope, *_ = point
    u, derivative = jax.jvp(velocity, (x, t, r), (slope, jnp.ones_like(t), jnp.zeros_like(r)))
    return u, stop_gradient(slope + scaled(r - t, derivative))


def eulerian(velocity: Velocity, point: Point) -> tuple[Array, Array]:
    """-dX(x, t, r)/dt towards dX/dx u(x, t, t), by which the ODE moves the end of the way.

    In terms of u that is u - (r - t) du/dt towards u(x, t, t) + (r - t) du/dx u(x, t, t). The error
    is `mean_flow`'s with the model's own velocity in the place of the slope, but its gradient goes
    through the derivative in time, without which training does not hold (see flow_maps_plane).

    Source: Boffi et al. 2025, arXiv:2505.18825, Eulerian self-distillation, with dX/dx u stopped,
    as their code has it.
    """
    x, t, r, *_ = point
    own = stop_gradient(velocity(x, t, t))

    def of_time(t):
        return velocity(x, t, r)

    def of_place(x):
        return velocity(x, t, r)

    u, in_time = jax.jvp(of_time, (t,), (jnp.ones_like(t),))
    _, in_place = jax.jvp(of_place, (x,), (own,))
    target = own + scaled(r - t, in_place)
    return u - scaled(r - t, in_time), _on_diagonal(point, target)


def lagrangian(velocity: Velocity, point: Point) -> tuple[Array, Array]:
    """d X(x, t, r) / dr towards the model's own velocity at the place that X gives.

    Source: Boffi et al. 2025, arXiv:2505.18825, Lagrangian self-distillation, with the velocity
    stopped.
    """
    x, t, r, *_ = point

    def end(r):
        return flow_map(velocity, x, t, r)

    reached, estimate = jax.jvp(end, (r,), (jnp.ones_like(r),))
    return estimate, _on_diagonal(point, velocity(stop_gradient(reached), r, r))


def semigroup(middle: float = 0.5) -> Objective:
    """u(x, t, r) towards the average velocity of two steps, over a time between t and r.

    Source: Boffi et al. 2025, arXiv:2505.18825, progressive self-distillation; Frans et al. 2024,
    arXiv:2410.12557, equation 5, for the middle.

    Args:
      middle: where the first step ends, as a share of the way.

    Raises:
      ValueError: middle does not lie in (0, 1).
    """
    if not 0 < middle < 1:
        raise ValueError(f'middle is {middle}; it must lie in (0, 1)')

    def objective(velocity, point):
        x, t, r, *_ = point
        between = t + middle * (r - t)
        first = stop_gradient(velocity(x, t, between))
        second = velocity(x + scaled(between - t, first), between, r)
        target = middle * first + (1 - middle) * second
        return velocity(x, t, r), _on_diagonal(point, target)

    return objective


def consistency(path: Path) -> Objective:
    """X(x_t, t, 0) towards X(x_r, r, 0), x_r of the same data and noise, x_0 itself for r = 0.

    A step of the ODE stands for the slope of one pair, which the mean over pairs makes up for but
    for a term that falls as (t - r)^2.

    Source: Song et al. 2023, arXiv:2303.01469, section 5; Geng et al. 2024, arXiv:2406.14548.

    Args:
      path: of x_t.
    """

    def objective(velocity, point):
        x, t, r, *_ = point
        at_data = r <= 0
        # In the place of 0, where a form may have no velocity.
        inside = jnp.where(at_data, t, r)
        earlier = scaled(path.alpha(inside), point.x0) + scaled(path.sigma(inside), point.noise)
        zero = jnp.zeros_like(t)
        reached = flow_map(velocity, earlier, inside, zero)
        target = jax.vmap(jnp.where)(at_data, point.x0, reached)
        return flow_map(velocity, x, t, zero), stop_gradient(target)

    return objective


def continuous_consistency(
    warmup: int = 10_000, c: float = 0.1, data_deviation: float = 1.0
) -> Objective:
    """Continuous consistency on the trigonometric path of data of deviation s_d (sCT).

    With X(x, t, 0) = cos(t) x - s_d sin(t) F(x, t), F is drawn towards F + g / (|g| + c), where

        g = cos(t) dX/dt = -cos(t)^2 (s_d F - slope) - k cos(t) sin(t) (x + s_d dF/dt)

    at k = 1, and |.| is over the entries of an example. k rises from 0 over the warm-up, since the
    second part is what makes training unstable. The weight of the times is learnt, see `LogWeight`.

    Source: Lu and Song 2024, arXiv:2410.11081, algorithm 1 and section 4.2.

    Args:
      warmup: updates until k is 1; 0 for none.
      c: what the norm of the tangent is compared with.
      data_deviation: s_d, as of the path.

    Raises:
      ValueError: warmup is negative, or c or data_deviation not positive.
    """
    if warmup < 0 or not c > 0 or not data_deviation > 0:
        raise ValueError(
            f'warmup is {warmup}, c {c}, data_deviation {data_deviation}; needed: >= 0, > 0, > 0'
        )

    def objective(velocity, point):
        x, t, _, slope, *_ = point

        def scaled_F(x, t):
            u = velocity(x, t, jnp.zeros_like(t))
            return scaled(t / jnp.sin(t), u) - scaled(jnp.tan(t / 2), x)

        F, derivative = jax.jvp(scaled_F, (x, t), (slope, jnp.ones_like(t)))
        updates = point.updates.astype(t.dtype)
        k = jnp.minimum(1.0, updates / warmup) if warmup else jnp.ones_like(t)
        towards_slope = scaled(-(jnp.cos(t) ** 2), F - slope)
        tangent = towards_slope - scaled(k * jnp.cos(t) * jnp.sin(t), x + derivative)
        norm = jnp.sqrt(jax.vmap(jnp.sum)(tangent**2))
        estimate = F / data_deviation
        return estimate, stop_gradient(estimate + scaled(1 / (norm + c), tangent))

    return objective


def _on_diagonal(point, target):
    """The slope where r = t, the target elsewhere, with the gradient stopped."""
    return stop_gradient(jax.vmap(jnp.where)(point.r == point.t, point.slope, target))
