"""Samplers whose steps ask for one estimate each and look back on none.

`ddim` and `ancestral` solve for constant estimates exactly and so are the same on every path but
for its scale; `euler` and `euler_maruyama` follow the path's own clock.
"""

import numpy as np

from genjax.algorithms.diffusion.paths import Path, slopes
from genjax.algorithms.diffusion.samplers.steps import (
    Sampler,
    checked,
    one_row_steps,
    sampler_of,
)


def ddim_coefficients(
    path: Path, times: np.ndarray, eta: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x0_coef, xt_coef, variance) of the steps between times [S + 1], [S] each.

    x_next is x0_coef x_0 + xt_coef x_t and noise of the variance, which keeps the law of x_t given
    x_0 whatever eta is.

    Source: Song et al. 2021, arXiv:2010.02502, equations 12 and 16.
    """
    alpha = path.alpha(times)
    sigma = path.sigma(times)
    level_ratio = sigma[1:] * alpha[:-1] / (alpha[1:] * sigma[:-1])
    variance = (eta * sigma[1:]) ** 2 * (1 - level_ratio**2)
    xt_coef = np.sqrt(sigma[1:] ** 2 - variance) / sigma[:-1]
    x0_coef = alpha[1:] - xt_coef * alpha[:-1]
    return x0_coef, xt_coef, variance


def ddim(path: Path, times: np.ndarray, eta: float = 0.0, *, frames: int | None = None) -> Sampler:
    """S steps that are exact where the estimate of x_0 does not change.

    At eta = 0 it is the probability-flow ODE by Euler's method in sigma / alpha: an exponential
    integrator of first order.

    Source: Song et al. 2021, arXiv:2010.02502, equation 12.

    Args:
      path: of x_t.
      times: decreasing, [S + 1]; where x_T is comes first, and 0 last for data.
      eta: scales the deviation of the noise, up to the posterior's at 1.
      frames: see `sampler_of`.

    Raises:
      ValueError: eta lies outside [0, 1], or what `checked` refuses.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f'ddim of eta {eta}; needed: eta in [0, 1]')
    times = checked(path, times)
    x0_coef, xt_coef, variance = ddim_coefficients(path, times, eta)
    noise = np.sqrt(variance) if eta > 0 else None
    return sampler_of(one_row_steps(times[:-1], xt_coef, x0_coef[:, None], noise), frames)


def ancestral(path: Path, times: np.ndarray, *, frames: int | None = None) -> Sampler:
    """Draws x_s of q(x_s | x_t, x_0) with the estimate of x_0: `ddim` of eta 1.

    With steps without end it is the reverse SDE. Source: Ho et al. 2020, arXiv:2006.11239,
    algorithm 2 with the smaller variance, of any path and times.

    Args: as of `ddim`.
    """
    return ddim(path, times, 1.0, frames=frames)


def euler(path: Path, times: np.ndarray, *, frames: int | None = None) -> Sampler:
    """Euler's method on the probability-flow ODE, d x / d t = alpha' x_0 + sigma' eps.

    On straight lines and on EDM's path it is `ddim`.

    Args: as of `ddim`.
    """
    times = checked(path, times)
    width = np.diff(times)
    x_slope, x0_slope = ode_coefficients(path, times[:-1])
    table = one_row_steps(times[:-1], 1 + width * x_slope, (width * x0_slope)[:, None])
    return sampler_of(table, frames)


def ode_coefficients(path: Path, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(a, b) of the ODE d x / d t = a x + b x_0, at times where sigma > 0.

    Source: Song et al. 2021, arXiv:2011.13456, equation 13, with the score in terms of x_0.
    """
    alpha_slope, sigma_slope = slopes(path, times)
    x_slope = sigma_slope / path.sigma(times)
    return x_slope, alpha_slope - path.alpha(times) * x_slope


def euler_maruyama(path: Path, times: np.ndarray, *, frames: int | None = None) -> Sampler:
    """The reverse SDE by the method of Euler and Maruyama, the last step without noise.

    d x = (f x - g^2 score) d t + g d w with f = alpha' / alpha and g^2 = 2 sigma^2 (sigma' / sigma
    - f).

    Source: Song et al. 2021, arXiv:2011.13456, equation 6 and appendix D.

    Args: as of `ddim`.

    Raises:
      ValueError: alpha is 0 at the first of the times, where g is infinite; or what `checked`
        refuses.
    """
    times = checked(path, times)
    width = np.diff(times)
    start = times[:-1]
    alpha = path.alpha(start)
    if alpha[0] <= 0:
        raise ValueError(
            f'euler_maruyama begins at {times[0]}, where alpha is {alpha[0]}; it must be positive'
        )
    x_slope, x0_slope = ode_coefficients(path, start)
    alpha_slope, _ = slopes(path, start)
    # g^2 / sigma^2; the score is (alpha x_0 - x) / sigma^2.
    rate = 2 * (x_slope - alpha_slope / alpha)
    base = 1 + width * (x_slope + rate / 2)
    estimates = width * (x0_slope - rate / 2 * alpha)
    noise = path.sigma(start) * np.sqrt(-width * rate)
    noise[-1] = 0.0
    return sampler_of(one_row_steps(start, base, estimates[:, None], noise), frames)
