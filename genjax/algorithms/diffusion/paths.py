"""Gaussian paths from data to noise, x_t = alpha(t) x_0 + sigma(t) eps.

t = 0 is the data. What tells paths apart, beside their clocks, is the scale alpha alone: all of
them pass through the same signal-to-noise ratios, alpha^2 / sigma^2, whose logarithm is `log_snr`
(Kingma et al. 2021, arXiv:2107.00630, section 3.1).

The functions of a path take numbers of the host, and then give float64, or arrays of jax, which may
be traced.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from genjax.algorithms.diffusion.process import Process
from genjax.numerics.namespace import namespace

# t, of any shape -> a number for each
Curve = Callable[[ArrayLike], Array]


class Path(NamedTuple):
    """How much of the data and of the noise there is in x_t.

    Attributes:
      alpha: the share of the data, 1 at t = 0.
      sigma: the standard deviation of the noise, 0 at t = 0; sigma / alpha increases.
      time: the inverse of `log_snr`.
      start: the t > 0 at which data are taken to be where sigma has to be positive.
      end: the t at which x_t is taken for noise of the deviation sigma.
    """

    alpha: Curve
    sigma: Curve
    time: Curve
    start: float
    end: float


def log_snr(path: Path, t: ArrayLike) -> Array:
    """log(alpha^2 / sigma^2), of the shape of t; it decreases."""
    log = namespace(t).log
    return 2 * (log(path.alpha(t)) - log(path.sigma(t)))


def noise_level(path: Path, t: ArrayLike) -> Array:
    """sigma / alpha: the deviation of the noise in x_t / alpha."""
    return path.sigma(t) / path.alpha(t)


def time_of_noise_level(path: Path, level: ArrayLike) -> Array:
    """The inverse of `noise_level`."""
    return path.time(-2 * namespace(level).log(level))


def slopes(path: Path, t: ArrayLike) -> tuple[Array, Array]:
    """d alpha / dt and d sigma / dt, of the shape of t.

    For numbers of the host in float64, also where this is called while jax traces.
    """
    if isinstance(t, jax.Array):
        return _derivative(path.alpha, t), _derivative(path.sigma, t)
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        t = jnp.asarray(np.asarray(t, np.float64))
        return (
            np.asarray(_derivative(path.alpha, t)),
            np.asarray(_derivative(path.sigma, t)),
        )


def _derivative(curve, t):
    return jax.jvp(curve, (t,), (jnp.ones_like(t),))[1]


def variance_exploding(start: float = 0.002, end: float = 80.0) -> Path:
    """x_t = x_0 + t eps, the path of EDM.

    Source: Karras et al. 2022, arXiv:2206.00364, table 1.
    """

    def alpha(t):
        return namespace(t).ones_like(t)

    def sigma(t):
        return t

    def time(log_snr):
        return namespace(log_snr).exp(-log_snr / 2)

    return Path(alpha, sigma, time, start, end)


def variance_preserving(
    beta_min: float = 0.1, beta_max: float = 20.0, start: float = 1e-3, end: float = 1.0
) -> Path:
    """alpha^2 + sigma^2 = 1 with -2 log alpha = beta_min t + (beta_max - beta_min) t^2 / 2.

    DDPM's linear schedule of T steps for T without end, t being the step over T.

    Source: Song et al. 2021, arXiv:2011.13456, equation 33.
    """

    def decay(t):
        return beta_min * t + (beta_max - beta_min) * t**2 / 2

    def alpha(t):
        return namespace(t).exp(-decay(t) / 2)

    def sigma(t):
        xp = namespace(t)
        return xp.sqrt(-xp.expm1(-decay(t)))

    def time(log_snr):
        total = namespace(log_snr).logaddexp(0.0, -log_snr)  # the decay, by its definition
        root = namespace(log_snr).sqrt(beta_min**2 + 2 * (beta_max - beta_min) * total)
        return 2 * total / (beta_min + root)

    return Path(alpha, sigma, time, start, end)


def cosine(offset: float = 0.008, start: float = 1e-3, end: float = 0.9957) -> Path:
    """alpha^2 + sigma^2 = 1, alpha a quarter of a cosine from 1 down to 0 at t = 1.

    Source: Nichol and Dhariwal 2021, arXiv:2102.09672, equation 17, for T without end.

    Args:
      offset: keeps the first steps from being too small.
      start: see `Path`.
      end: see `Path`; by default where the log-SNR is -10, as at the end of DDPM's linear schedule.
    """
    quarter = np.pi / 2 / (1 + offset)
    first = offset * quarter

    def alpha(t):
        return namespace(t).cos(first + quarter * t) / np.cos(first)

    def sigma(t):
        # 1 - alpha^2 without the difference.
        xp = namespace(t)
        return xp.sqrt(xp.sin(quarter * t) * xp.sin(2 * first + quarter * t)) / np.cos(first)

    def time(log_snr):
        xp = namespace(log_snr)
        alpha = xp.sqrt(1 / (1 + xp.exp(-log_snr)))
        angle = xp.arccos(alpha * np.cos(first))
        return (angle - first) / quarter

    return Path(alpha, sigma, time, start, end)


def trigonometric(start: float = 1e-3, end: float = np.pi / 2, data_deviation: float = 1.0) -> Path:
    """x_t = cos(t) x_0 + s_d sin(t) eps, t in [0, pi / 2], which keeps the deviation s_d of data.

    Source: Lu and Song 2024, arXiv:2410.11081, section 3; the angle of Salimans and Ho 2022,
    arXiv:2202.00512, appendix D.

    Args:
      start: see `Path`.
      end: see `Path`.
      data_deviation: s_d.

    Raises:
      ValueError: data_deviation is not positive.
    """
    if not data_deviation > 0:
        raise ValueError(f'data_deviation is {data_deviation}; it must be positive')

    def alpha(t):
        return namespace(t).cos(t)

    def sigma(t):
        return data_deviation * namespace(t).sin(t)

    def time(log_snr):
        xp = namespace(log_snr)
        return xp.arctan(xp.exp(-log_snr / 2) / data_deviation)

    return Path(alpha, sigma, time, start, end)


def straight(start: float = 1e-3, end: float = 1.0) -> Path:
    """x_t = (1 - t) x_0 + t eps, the line of flow matching, with the data at t = 0.

    Source: Lipman et al. 2023, arXiv:2210.02747, section 4.1, example II with sigma_min = 0; Liu et
    al. 2023, arXiv:2209.03003.
    """

    def alpha(t):
        return 1 - t

    def sigma(t):
        return t

    def time(log_snr):
        xp = namespace(log_snr)
        return 1 / (1 + xp.exp(log_snr / 2))

    return Path(alpha, sigma, time, start, end)


def discrete(process: Process) -> Path:
    """The T steps of a `Process`, t = 0, 1, ..., T in whole numbers; `time` gives the nearest."""
    T = len(process.beta) - 1
    tables = {
        'alpha': np.sqrt(process.alpha_bar),
        'sigma': np.sqrt(1 - process.alpha_bar),
    }
    # Increasing, as interpolation wants it, for t = T, ..., 1.
    log_snrs = np.log(process.alpha_bar[:0:-1]) - np.log1p(-process.alpha_bar[:0:-1])
    steps = np.arange(T, 0, -1, dtype=np.float64)

    def look_up(name):
        def curve(t):
            table = tables[name]
            return jnp.asarray(table)[t] if isinstance(t, jax.Array) else table[t]

        return curve

    def time(log_snr):
        xp = namespace(log_snr)
        nearest = xp.rint(xp.interp(log_snr, xp.asarray(log_snrs), xp.asarray(steps)))
        return nearest.astype(np.int32)

    return Path(look_up('alpha'), look_up('sigma'), time, 1, T)
