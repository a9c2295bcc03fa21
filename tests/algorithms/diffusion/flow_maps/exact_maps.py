"""Flow maps of normal data N(m, v), which are known: the exact ones, and points to try them at.

With mu and s the mean and the deviation of x_t, X(x, t, r) = mu_r + (x - mu_t) s_r / s_t. Written
without the division by r - t, so that r = t is a time like all others.
"""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.algorithms.diffusion import straight, trigonometric, variance_exploding
from genjax.algorithms.diffusion.flow_maps import Point
from genjax.algorithms.diffusion.flow_maps.maps import scaled
from genjax.algorithms.diffusion.paths import slopes

MEAN = 0.4
VARIANCE = 0.49
PATHS = {
    'straight': straight(),
    'variance_exploding': variance_exploding(end=3.0),
    'trigonometric': trigonometric(),
}


def mean_of(path, t):
    return path.alpha(t) * MEAN


def deviation_of(path, t):
    return jnp.sqrt(path.alpha(t) ** 2 * VARIANCE + path.sigma(t) ** 2)


def sinc(x):
    return jnp.sinc(x / np.pi)


# (mu_r - mu_t) / (r - t), and (s_r^2 - s_t^2) / (r - t)
QUOTIENTS = {
    'straight': (
        lambda t, r: jnp.full_like(t, -MEAN),
        lambda t, r: VARIANCE * (r + t - 2) + r + t,
    ),
    'variance_exploding': (
        lambda t, r: jnp.zeros_like(t),
        lambda t, r: r + t,
    ),
    'trigonometric': (
        lambda t, r: -MEAN * jnp.sin((r + t) / 2) * sinc((r - t) / 2),
        lambda t, r: (1 - VARIANCE) * jnp.sin(r + t) * sinc(r - t),
    ),
}


def exact_velocity(name, shift=0.0, tilt=0.0):
    """u of the exact map on a path, and beside it shift + tilt x."""
    path = PATHS[name]
    mean_quotient, variance_quotient = QUOTIENTS[name]

    def velocity(x, t, r):
        s_t, s_r = deviation_of(path, t), deviation_of(path, r)
        stretch = variance_quotient(t, r) / (s_r + s_t) / s_t
        centred = x - mean_of(path, t)[:, None]
        return mean_quotient(t, r)[:, None] + scaled(stretch, centred) + shift + tilt * x

    return velocity


def ode_velocity(name, x, t):
    """E[d x_t / dt | x_t] by Bayes' rule, with no flow map in it."""
    path = PATHS[name]
    alpha, sigma = path.alpha(t), path.sigma(t)
    alpha_slope, sigma_slope = slopes(path, t)
    total = deviation_of(path, t) ** 2
    centred = x - mean_of(path, t)[:, None]
    x0 = MEAN + scaled(alpha * VARIANCE / total, centred)
    noise = scaled(sigma / total, centred)
    return scaled(alpha_slope, x0) + scaled(sigma_slope, noise)


def exact_jump(name, x, t, r):
    path = PATHS[name]
    stretch = deviation_of(path, r) / deviation_of(path, t)
    return mean_of(path, r)[:, None] + scaled(stretch, x - mean_of(path, t)[:, None])


def draw_at(name, n, t, r, *, seed=0, dtype=jnp.float64):
    """Points of n draws at one t, to one r."""
    path = PATHS[name]
    rng = np.random.default_rng(seed)
    x0 = jnp.asarray(MEAN + np.sqrt(VARIANCE) * rng.normal(size=(n, 1)), dtype)
    noise = jnp.asarray(rng.normal(size=(n, 1)), dtype)
    t = jnp.full(n, t, dtype)
    r = jnp.full(n, r, dtype)
    alpha_slope, sigma_slope = slopes(path, t)
    x = scaled(path.alpha(t), x0) + scaled(path.sigma(t), noise)
    slope = scaled(alpha_slope, x0) + scaled(sigma_slope, noise)
    return Point(x, t, r, slope, x0, noise, jnp.zeros(n, jnp.int32))


def with_exact_slope(name, point):
    """The point, its slope's mean given x_t in the slope's place."""
    return point._replace(slope=ode_velocity(name, point.x, point.t))


def gradients(objective, name, point, shift=0.0, tilt=0.0):
    """The gradient of each example's squared error by (shift, tilt), [n, 2]."""

    def error(params, one):
        one = jax.tree.map(lambda leaf: leaf[None], one)
        estimate, target = objective(exact_velocity(name, *params), one)
        return jnp.sum((estimate - target) ** 2)

    params = (jnp.float64(shift), jnp.float64(tilt))
    found = jax.jit(jax.vmap(jax.grad(error), (None, 0)))(params, point)
    return np.stack(found, -1)
