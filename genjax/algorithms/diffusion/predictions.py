"""What a network is trained to give: one row (a, b) for each prediction, y = a x_0 + b eps.

With x_t = alpha x_0 + sigma eps that is two equations for x_0 and eps, so one solution converts any
prediction to any other, at one t:

    x_0 = (b x_t - sigma y) / (alpha b - sigma a)
    eps = (alpha y - a x_t) / (alpha b - sigma a)

An error of y becomes one of x_0 times sigma / |alpha b - sigma a|, and of eps times alpha over the
same. So x_0 from `eps` or `score` is lost where alpha is near 0, and eps from `x0` where sigma
is; `velocity` and `v` lose neither, nor does `edm`, whose y also has the variance 1.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from genjax.algorithms.diffusion.paths import Path, log_snr, noise_level, slopes
from genjax.numerics.namespace import namespace

# (path, t) -> a number for each t
Factor = Callable[[Path, Array], Array]


class Prediction(NamedTuple):
    """What a network gives, and in which form it is given x_t and t.

    Attributes:
      row: (path, t) -> (a, b) of y = a x_0 + b eps, each of the shape of t.
      scale: what x_t is multiplied by before the network has it.
      condition: what the network is given for t, as a number that is embedded by its sines.
    """

    row: Callable[[Path, Array], tuple[Array, Array]]
    scale: Factor
    condition: Factor


def solve(
    alpha: Array, sigma: Array, row: tuple[Array, Array], x: Array, y: Array
) -> tuple[Array, Array]:
    """(x_0, eps) from x = alpha x_0 + sigma eps and y = a x_0 + b eps, row being (a, b)."""
    a, b = row
    determinant = alpha * b - sigma * a
    return (b * x - sigma * y) / determinant, (alpha * y - a * x) / determinant


def determinant(path: Path, prediction: Prediction, t: Array) -> Array:
    """alpha b - sigma a, of the shape of t."""
    a, b = prediction.row(path, t)
    return path.alpha(t) * b - path.sigma(t) * a


def target(path: Path, prediction: Prediction, t: Array, x0: Array, noise: Array) -> Array:
    """y = a x_0 + b eps at one t."""
    a, b = prediction.row(path, t)
    return a * x0 + b * noise


def convert(path: Path, source: Prediction, to: Prediction, t: Array, x: Array, y: Array) -> Array:
    """What another prediction is, from x_t and a prediction y, at one t.

    Args:
      path: of x_t.
      source: of y.
      to: the prediction that is wanted.
      t: where x is.
      x: x_t.
      y: of the shape of x.
    """
    x0, noise = solve(path.alpha(t), path.sigma(t), source.row(path, t), x, y)
    return target(path, to, t, x0, noise)


def predicted_x0(path: Path, prediction: Prediction, t: Array, x: Array, y: Array) -> Array:
    """x_0 from x_t and a prediction y, at one t."""
    return solve(path.alpha(t), path.sigma(t), prediction.row(path, t), x, y)[0]


def _ones(path, t):
    del path
    return jnp.ones_like(t)


def _thousandths(path, t):
    """1000 at the end of the path, as for the last step of DDPM, which embeddings are made for."""
    return 1000 * t / path.end


def _constant_row(a, b):
    def row(path, t):
        del path
        ones = namespace(t).ones_like(t)
        return a * ones, b * ones

    return row


def x0() -> Prediction:
    """x_0 itself, (1, 0)."""
    return Prediction(_constant_row(1.0, 0.0), _ones, _thousandths)


def eps() -> Prediction:
    """eps, (0, 1): Ho et al. 2020, arXiv:2006.11239, equation 14."""
    return Prediction(_constant_row(0.0, 1.0), _ones, _thousandths)


def score() -> Prediction:
    """The gradient of log p(x_t), (0, -1 / sigma): Song et al. 2021, arXiv:2011.13456."""

    def row(path, t):
        inverse = 1 / path.sigma(t)
        return 0 * inverse, -inverse

    return Prediction(row, _ones, _thousandths)


def v() -> Prediction:
    """v = alpha eps - sigma x_0, (-sigma, alpha).

    Source: Salimans and Ho 2022, arXiv:2202.00512, appendix D.
    """

    def row(path, t):
        return -path.sigma(t), path.alpha(t)

    return Prediction(row, _ones, _thousandths)


def velocity() -> Prediction:
    """d x_t / dt = alpha' x_0 + sigma' eps: Lipman et al. 2023, arXiv:2210.02747, equation 23."""
    return Prediction(slopes, _ones, _thousandths)


def edm(data_deviation: float = 0.5) -> Prediction:
    """EDM's F, of variance 1 at every t for data of variance s_d^2, on any path.

    With s = sigma / alpha the row is (s / s_d, -s_d) / sqrt(s^2 + s_d^2), the input of the network
    has the variance 1 too, and t is given as log(s) / 4.

    Source: Karras et al. 2022, arXiv:2206.00364, table 1 and appendix B.6.

    Args:
      data_deviation: s_d.

    Raises:
      ValueError: data_deviation is not positive.
    """
    if not data_deviation > 0:
        raise ValueError(f'data_deviation is {data_deviation}; it must be positive')

    def total(path, t):
        return namespace(t).hypot(noise_level(path, t), data_deviation)

    def row(path, t):
        deviation = total(path, t)
        return noise_level(path, t) / data_deviation / deviation, -data_deviation / deviation

    def scale(path, t):
        return 1 / (path.alpha(t) * total(path, t))

    def condition(path, t):
        return -log_snr(path, t) / 8

    return Prediction(row, scale, condition)


def preconditioning(path: Path, prediction: Prediction, t: Array) -> tuple[Array, Array]:
    """(c_skip, c_out) of x_0 = c_skip x_t + c_out y, each of the shape of t.

    Source: Karras et al. 2022, arXiv:2206.00364, equation 7.
    """
    solution = partial(predicted_x0, path, prediction, t)
    return solution(1.0, 0.0), solution(0.0, 1.0)
