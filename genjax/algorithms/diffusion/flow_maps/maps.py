"""What a flow map is, what a network has to do with it, and samples by a few evaluations of it.

X(x, t, r) takes x at the time t along the probability-flow ODE to the time r. It is written as

    X(x, t, r) = x + (r - t) u(x, t, r)

with u the average velocity between the two; u(x, t, t) is the velocity itself, E[d x_t / dt | x_t]
at x_t = x (Boffi et al. 2025, arXiv:2505.18825, section 2; Geng et al. 2025, arXiv:2505.13447,
equation 3, for the average velocity).

B examples, S steps, F frames.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.algorithms.diffusion.paths import Path
from genjax.algorithms.diffusion.predictions import Prediction, preconditioning
from genjax.algorithms.diffusion.times import even_times
from genjax.base import Key
from genjax.numerics.normals import example_normals

# (x [B, ...], t [B], r [B]) -> u, the average velocity from t to r, [B, ...]
Velocity = Callable[[Array, Array, Array], Array]
# (x [B, ...], condition [B]) -> y [B, ...], and with `duration` [B] where the form has it
Network = Callable[..., Array]
# what makes an average velocity of a network
Form = Callable[[Network], Velocity]
# (key, velocity, x_T [B, ...]) -> x_0 [B, ...]; or of frames, [F, B, ...]
Jumps = Callable[[Key, Velocity, Array], Array]


def scaled(factor: Array, x: Array) -> Array:
    """Each example of x [B, ...] times its factor [B]."""
    return jax.vmap(jnp.multiply)(factor, x)


def flow_map(velocity: Velocity, x: Array, t: Array, r: Array) -> Array:
    """X(x, t, r) = x + (r - t) u(x, t, r), for x [B, ...], t and r [B]."""
    return x + scaled(r - t, velocity(x, t, r))


def average_velocity(scale: float = 1.0) -> Form:
    """The network gives u itself, and is told t and the duration t - r.

    Args:
      scale: what both times are multiplied by for the network, as its embedding of them needs it.
    """

    def form(network):
        def velocity(x, t, r):
            return network(x, scale * t, duration=scale * (t - r))

        return velocity

    return form


def consistency_form(path: Path, prediction: Prediction) -> Form:
    """The network gives f(x, t) = X(x, t, 0) as a denoiser gives x_0, and is not told r.

    u = (x - f(x, t)) / t, whatever r is. So the parameters of a trained denoiser are a consistency
    model's at its beginning: on the variance-exploding path u is then the velocity of the ODE. With
    `v` on the trigonometric path, f is the consistency function of Lu and Song 2024,
    arXiv:2410.11081, equation 5 for data of deviation 1.

    Args:
      path: of x_t.
      prediction: of the denoiser. That f(x, 0) = x it has to ensure: `edm` and `v` do.
    """

    def form(network):
        def velocity(x, t, r):
            del r  # of which f knows nothing
            condition = prediction.condition(path, t)
            y = network(scaled(prediction.scale(path, t), x), condition)
            skip, out = preconditioning(path, prediction, t)
            return scaled((1 - skip) / t, x) - scaled(out / t, y)

        return velocity

    return form


def jump_times(path: Path, steps: int) -> np.ndarray:
    """Even times from the end of the path to 0, the data: float64 [S + 1].

    Raises:
      ValueError: steps, which is S, is below 1.
    """
    return even_times(path, steps)


def by_maps(times: np.ndarray, *, frames: int | None = None) -> Jumps:
    """x <- X(x, t_i, t_{i+1}) through times [S + 1] that fall, by one evaluation each.

    Args:
      times: float64 [S + 1].
      frames: None for x_0 alone; or after how many steps x is given, evenly spaced in steps, and
        the last of them x_0.
    """

    def sample(key, velocity, x_T):
        del key

        def step(x, pair):
            t, r = pair
            return flow_map(velocity, x, jnp.full(len(x), t), jnp.full(len(x), r))

        return _follow(step, x_T, times, frames)

    return sample


def with_noise(path: Path, times: np.ndarray) -> Jumps:
    """x <- X(x, t_i, 0), and between the steps new noise: alpha x + sigma z at t_{i+1}.

    The only way where X is known to r = 0 alone.

    Source: Song et al. 2023, arXiv:2303.01469, algorithm 1.

    Args:
      path: of x_t.
      times: float64 [S + 1], which fall to 0.
    """
    times = np.asarray(times, np.float64)

    def sample(key, velocity, x_T):
        def jump(x, t):
            return flow_map(velocity, x, jnp.full(len(x), t), jnp.zeros(len(x), x.dtype))

        def step(x0, given):
            i, t, alpha, sigma = given
            noise = example_normals(jax.random.fold_in(key, i), len(x0), x0.shape[1:])
            return jump(alpha * x0 + sigma * noise.astype(x0.dtype), t), None

        x0 = jump(x_T, jnp.asarray(times[0], x_T.dtype))
        between = times[1:-1]
        given = (between, path.alpha(between), path.sigma(between))
        given = tuple(jnp.asarray(numbers, x_T.dtype) for numbers in given)
        return jax.lax.scan(step, x0, (jnp.arange(len(between)), *given))[0]

    return sample


def by_velocity(times: np.ndarray, *, frames: int | None = None) -> Jumps:
    """Heun's method for the ODE of the velocity u(x, t, t), through times [S + 1].

    What a flow map is to reach, where u is its own: two evaluations a step.

    Args:
      times: float64 [S + 1].
      frames: see `by_maps`.
    """

    def sample(key, velocity, x_T):
        del key

        def step(x, pair):
            t, r = (jnp.full(len(x), time) for time in pair)
            first = velocity(x, t, t)
            second = velocity(x + scaled(r - t, first), r, r)
            return x + scaled((r - t) / 2, first + second)

        return _follow(step, x_T, times, frames)

    return sample


def _follow(step, x_T, times, frames):
    """x after all steps between times [S + 1], or after every few of them."""
    times = jnp.asarray(np.asarray(times, np.float64), x_T.dtype)
    pairs = (times[:-1], times[1:])

    def keep_none(x, pair):
        return step(x, pair), None

    def keep_all(x, pair):
        x = step(x, pair)
        return x, x

    if frames is None:
        return jax.lax.scan(keep_none, x_T, pairs)[0]
    kept = np.arange(1, frames + 1) * (len(times) - 1) // frames - 1
    return jax.lax.scan(keep_all, x_T, pairs)[1][kept]
