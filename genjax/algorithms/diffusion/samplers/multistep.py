"""Multistep samplers: a polynomial through the last estimates of x_0, integrated exactly.

With l = log(alpha / sigma), half the log-SNR, the probability-flow ODE is

    d (x / sigma) = (alpha / sigma) D d l,    D the estimate of x_0,

so a step from l_s to l_t is x_t = (sigma_t / sigma_s) x_s + alpha_t sum_j c_j I_j, where sum_j c_j
(l - l_s)^j is the polynomial and I_j the integral of e^(l - l_t) (l - l_s)^j from l_s to l_t. The
weights of the estimates follow by solving with a Vandermonde matrix.
"""

import numpy as np

from genjax.algorithms.diffusion.paths import Path
from genjax.algorithms.diffusion.samplers.steps import (
    Sampler,
    Table,
    checked,
    one_row_steps,
    sampler_of,
)


def half_log_snr(path: Path, times: np.ndarray) -> np.ndarray:
    """log(alpha / sigma): -inf where there is no data, inf where there is no noise."""
    with np.errstate(divide='ignore'):
        return np.log(path.alpha(times)) - np.log(path.sigma(times))


def estimate_weights(nodes: np.ndarray, end: float) -> np.ndarray:
    """Weights of estimates at nodes in x_t / alpha_t, for a step that begins at the first node.

    Args:
      nodes: l of the estimates, finite and different, [K].
      end: l_t > nodes[0]; infinity is the last step, which gives the newest estimate.

    Returns:
      float64 [K]; they sum to 1 - e^(l_s - l_t).
    """
    start = nodes[0]
    if np.isinf(end):
        return np.eye(len(nodes))[0]
    width = end - start
    integrals = [-np.expm1(-width)]
    for j in range(1, len(nodes)):
        integrals.append(width**j - j * integrals[-1])
    powers = np.vander(nodes - start, increasing=True)
    return np.linalg.solve(powers.T, np.array(integrals))


def base_coefficients(path: Path, times: np.ndarray) -> np.ndarray:
    """sigma_t / sigma_s of the steps between times [S + 1], [S]."""
    sigma = path.sigma(times)
    return sigma[1:] / sigma[:-1]


def predictor_weights(path: Path, times: np.ndarray, order: int) -> np.ndarray:
    """Coefficients of the last `order` estimates in each step, the newest first, [S, order].

    The first steps take what there is. An estimate where there is no data at all lies at l = -inf,
    through which no polynomial goes: it serves its own step alone, as a constant.
    """
    clock = half_log_snr(path, times)
    alpha = path.alpha(times)
    weights = np.zeros((len(times) - 1, order))
    for i in range(len(times) - 1):
        if np.isinf(clock[i]):
            weights[i, 0] = alpha[i + 1]
            continue
        nodes = clock[max(0, i - order + 1) : i + 1][::-1]
        nodes = nodes[np.isfinite(nodes)]
        if np.isinf(clock[i + 1]):
            nodes = nodes[:1]
        weights[i, : len(nodes)] = alpha[i + 1] * estimate_weights(nodes, clock[i + 1])
    return weights


def dpm_solver(
    path: Path, times: np.ndarray, order: int = 2, *, frames: int | None = None
) -> Sampler:
    """DPM-Solver++ 2M and 3M: one estimate a step, and a polynomial through the last ones.

    The polynomial is integrated exactly, as in the authors' 2M of 'heun' type. Their code's 3M has
    half of its quadratic term, and with that is of second order. Order 1 is `ddim`.

    Source: Lu et al. 2022, arXiv:2211.01095, algorithm 2 and appendix B.

    Args:
      path: of x_t.
      times: decreasing, [S + 1]; where x_T is comes first, and 0 last for data.
      order: of convergence, 1 to 3: estimates that a step knows.
      frames: see `sampler_of`.

    Raises:
      ValueError: order is none of 1, 2 and 3, or what `checked` refuses.
    """
    _require_order(order)
    times = checked(path, times)
    weights = predictor_weights(path, times, order)
    table = one_row_steps(times[:-1], base_coefficients(path, times), weights)
    return sampler_of(table, frames)


def corrector_weights(path: Path, times: np.ndarray, order: int) -> np.ndarray:
    """Coefficients of the estimate at the end of a step and the `order` before, [S, order + 1].

    Where there is no noise at the end, or no data at the beginning, there is nothing to correct,
    and the weights are those of the predictor.
    """
    clock = half_log_snr(path, times)
    alpha = path.alpha(times)
    weights = np.zeros((len(times) - 1, order + 1))
    weights[:, 1:] = predictor_weights(path, times, order)
    for i in range(len(times) - 1):
        if np.isinf(clock[i]) or np.isinf(clock[i + 1]):
            continue
        nodes = clock[max(0, i - order + 1) : i + 1][::-1]
        nodes = nodes[np.isfinite(nodes)]
        known = np.insert(nodes, 1, clock[i + 1])
        values = alpha[i + 1] * estimate_weights(known, clock[i + 1])
        weights[i] = 0.0
        weights[i, : len(known)] = np.concatenate([values[1:2], values[:1], values[2:]])
    return weights


def unipc(path: Path, times: np.ndarray, order: int = 2, *, frames: int | None = None) -> Sampler:
    """UniPC: a multistep predictor, and its step once more with the estimate at the end included.

    That estimate is the next step's too, so a step asks for one. The order of convergence is one
    above that of the predictor.

    Source: Zhao et al. 2023, arXiv:2302.04867, algorithms 5 and 7, with both polynomials integrated
    exactly (their appendix C).

    Args:
      path: of x_t.
      times: decreasing, [S + 1]; where x_T is comes first, and 0 last for data.
      order: of the predictor, 1 to 3.
      frames: see `sampler_of`.

    Raises:
      ValueError: order is none of 1, 2 and 3, or what `checked` refuses.
    """
    _require_order(order)
    times = checked(path, times)
    base = base_coefficients(path, times)
    predictor = predictor_weights(path, times, order)
    corrector = corrector_weights(path, times, order)

    # Estimate i corrects step i - 1, which gives the anchor, from which step i is predicted.
    count = len(base)
    anchor = np.zeros((count, 3 + order))
    anchor[0, 1] = 1.0
    anchor[1:, 0] = base[:-1]
    anchor[1:, 2:] = corrector[:-1]
    point = base[:, None] * anchor
    point[:, 2 : 2 + order] += predictor
    table = Table(times[:-1], point, anchor, None, np.arange(1, count + 1))
    return sampler_of(table, frames)


def _require_order(order):
    if order not in (1, 2, 3):
        raise ValueError(f'order is {order}; it must be 1, 2 or 3')
