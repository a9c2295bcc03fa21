"""The discrete Gaussian process of denoising diffusion.

Ho et al. 2020, arXiv:2006.11239, whose equation numbers these are.

t runs over 0..T as in the paper, and t = 0 is the data, in [-1, 1]. Formulas take one t and arrays
x0, xt and noise of any one shape; `jax.vmap` gives each of B examples a t of its own.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.base import Key
from genjax.numerics.normals import example_normals

# The network's part, eps_theta: (x_t [B, ...], t int32 [B] in 1..T) -> the noise in x_t, [B, ...]
Predict = Callable[[Array, Array], Array]
# (beta [T + 1], posterior_variance [T + 1]) -> model_variance [T + 1]
Variance = Callable[[np.ndarray, np.ndarray], np.ndarray]

MAX_STEPS = 10**6


class Process(NamedTuple):
    """The forward process q and the variance of the reverse process p, as tables [T + 1] over t.

    They are float64, since 1 - alpha_bar needs it. What is not defined at t = 0 is 0 there.

    Attributes:
      beta: the variance of q(x_t | x_{t-1}); 0 at t = 0.
      alpha_bar: the product of 1 - beta up to t; 1 at t = 0.
      alpha_bar_prev: alpha_bar of t - 1; 1 at t = 0.
      posterior_x0_coef: the weight of x_0 in the mean of q(x_{t-1} | x_t, x_0) (eq. 7).
      posterior_xt_coef: the weight of x_t in that mean.
      posterior_variance: the variance of q(x_{t-1} | x_t, x_0) (eq. 7).
      model_variance: sigma_t^2, the variance of p(x_{t-1} | x_t).
    """

    beta: np.ndarray
    alpha_bar: np.ndarray
    alpha_bar_prev: np.ndarray
    posterior_x0_coef: np.ndarray
    posterior_xt_coef: np.ndarray
    posterior_variance: np.ndarray
    model_variance: np.ndarray


def linear_schedule(steps: int, first: float = 1e-4, last: float = 0.02) -> np.ndarray:
    """beta_1..beta_T [T], evenly spaced (section 4).

    Raises:
      ValueError: steps, which is T, lies outside 2 to 10^6.
    """
    _require_steps(steps)
    return np.linspace(first, last, steps)


def cosine_schedule(steps: int, offset: float = 0.008, largest: float = 0.999) -> np.ndarray:
    """beta_1..beta_T [T], with a squared cosine for alpha_bar.

    Source: Nichol and Dhariwal 2021, arXiv:2102.09672, equation 17.

    Args:
      steps: T.
      offset: keeps the first betas from being too small.
      largest: no beta exceeds it.

    Raises:
      ValueError: steps lies outside 2 to 10^6.
    """
    _require_steps(steps)
    angle = (np.arange(steps + 1) / steps + offset) / (1 + offset) * np.pi / 2
    alpha_bar = np.cos(angle) ** 2
    return np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], largest)


def _require_steps(steps):
    if not 2 <= steps <= MAX_STEPS:
        raise ValueError(f'steps is {steps}; a diffusion takes 2 to {MAX_STEPS}')


def fixed_large(beta: np.ndarray, posterior_variance: np.ndarray) -> np.ndarray:
    """sigma_t^2 = beta_t [T + 1] (section 3.2).

    At t = 1 it is the posterior variance of t = 2, as in the authors' code.
    """
    return np.concatenate([beta[:1], posterior_variance[2:3], beta[2:]])


def fixed_small(beta: np.ndarray, posterior_variance: np.ndarray) -> np.ndarray:
    """sigma_t^2 = the posterior variance [T + 1] (section 3.2).

    At t = 1, where that is 0, it is the posterior variance of t = 2.
    """
    del beta
    return fixed_large(posterior_variance, posterior_variance)


def make_process(betas: np.ndarray, variance: Variance = fixed_large) -> Process:
    """The process of a schedule.

    Args:
      betas: beta_1..beta_T [T].
      variance: (beta, posterior_variance) -> the model's variance, each [T + 1].

    Raises:
      ValueError: betas are not two or more numbers inside (0, 1).
    """
    if np.ndim(betas) != 1 or len(betas) < 2 or not 0 < np.min(betas) <= np.max(betas) < 1:
        shown = np.array2string(np.asarray(betas), threshold=6)
        raise ValueError(f'betas are {shown}; needed: T > 1 in (0, 1)')
    all_betas = np.append(0.0, betas)
    all_alpha_bars = np.cumprod(1 - all_betas)
    # Of t = 1..T.
    beta = all_betas[1:]
    alpha_bar = all_alpha_bars[1:]
    alpha_bar_prev = all_alpha_bars[:-1]
    x0_coef = np.sqrt(alpha_bar_prev) * beta / (1 - alpha_bar)
    xt_coef = np.sqrt(1 - beta) * (1 - alpha_bar_prev) / (1 - alpha_bar)
    posterior_variance = np.append(0.0, (1 - alpha_bar_prev) / (1 - alpha_bar) * beta)
    return Process(
        beta=all_betas,
        alpha_bar=all_alpha_bars,
        alpha_bar_prev=np.append(1.0, alpha_bar_prev),
        posterior_x0_coef=np.append(0.0, x0_coef),
        posterior_xt_coef=np.append(0.0, xt_coef),
        posterior_variance=posterior_variance,
        model_variance=variance(all_betas, posterior_variance),
    )


def last_step(process: Process) -> int:
    """T."""
    return len(process.beta) - 1


def at(table: np.ndarray, t: Array | int) -> Array:
    """The entry t, which may be traced, of a float64 table, in jax's own precision."""
    return jnp.asarray(table)[t]


def noise_like(key: Key, x: Array) -> Array:
    """Standard normal noise, drawn example by example, [B, ...] as x."""
    return example_normals(key, len(x), x.shape[1:])


def q_sample(process: Process, t: Array | int, x0: Array, noise: Array) -> Array:
    """x_t of q(x_t | x_0), from standard normal noise (eq. 4)."""
    x0_coef = at(np.sqrt(process.alpha_bar), t)
    noise_coef = at(np.sqrt(1 - process.alpha_bar), t)
    return x0_coef * x0 + noise_coef * noise


def forward_frames(process: Process, frames: int) -> Callable[[Key, Array], Array]:
    """(key, x0 [B, ...]) -> x_t at evenly spaced t from 0 to T, [frames, B, ...].

    All are made of one noise.
    """
    times = np.linspace(0, last_step(process), frames).round().astype(int)

    def forward(key, x0):
        noise = noise_like(key, x0)
        return jax.vmap(partial(q_sample, process), (0, None, None))(times, x0, noise)

    return forward


def predict_x0(
    process: Process, t: Array | int, xt: Array, noise: Array, clip: float = jnp.inf
) -> Array:
    """x_0 from x_t and the noise in it: `q_sample` solved for x0 (eq. 15).

    Args:
      process, t, xt: where the chain is.
      noise: as it is predicted.
      clip: the result is clipped to [-clip, clip]: 1 as in the authors' code, infinity for none.
    """
    noise_coef = at(np.sqrt(1 - process.alpha_bar), t)
    x0_coef = at(np.sqrt(process.alpha_bar), t)
    return jnp.clip((xt - noise_coef * noise) / x0_coef, -clip, clip)


def posterior_mean(process: Process, t: Array | int, x0: Array, xt: Array) -> Array:
    """The mean of q(x_{t-1} | x_t, x_0), t in 1..T (eq. 7).

    With the predicted x0 it is the mean of p(x_{t-1} | x_t) (eq. 11).
    """
    return at(process.posterior_x0_coef, t) * x0 + at(process.posterior_xt_coef, t) * xt
