"""Losses of diffusion as curves over log-SNR.

Every loss is w(log_snr) |x_0 - D(x_t, t)|^2, whatever the network predicts, since an error of a
prediction is a multiple of that of x_0 (Kingma and Gao 2023, arXiv:2303.00848). Here is w; the
SNR is alpha^2 / sigma^2 = exp(log_snr). Curves take and give arrays of one shape.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jax.nn import sigmoid

# log_snr -> w
Weight = Callable[[Array], Array]


def simple(log_snr: Array) -> Array:
    """The error of the noise, |eps - .|^2 (Ho et al. 2020, arXiv:2006.11239, equation 14)."""
    return jnp.exp(log_snr)


def v_error(log_snr: Array) -> Array:
    """The error of v = alpha eps - sigma x_0 where alpha^2 + sigma^2 = 1: SNR + 1.

    Source: Salimans and Ho 2022, arXiv:2202.00512, section 4.
    """
    return jnp.exp(log_snr) + 1


def flow(log_snr: Array) -> Array:
    """The error of the velocity eps - x_0 of a straight line, (sqrt(SNR) + 1)^2.

    Source: Lipman et al. 2023, arXiv:2210.02747, equation 23.
    """
    return (jnp.exp(log_snr / 2) + 1) ** 2


def edm_error(data_deviation: float = 0.5) -> Weight:
    """(s^2 + s_d^2) / (s s_d)^2 with s^2 = 1 / SNR: SNR + 1 / s_d^2.

    Source: Karras et al. 2022, arXiv:2206.00364, table 1.

    Raises:
      ValueError: data_deviation is not positive.
    """
    if not data_deviation > 0:
        raise ValueError(f'data_deviation is {data_deviation}; it must be positive')

    def weight(log_snr):
        return jnp.exp(log_snr) + 1 / data_deviation**2

    return weight


def min_snr(gamma: float = 5.0) -> Weight:
    """min(SNR, gamma): Hang et al. 2023, arXiv:2303.09556, section 3.4."""

    def weight(log_snr):
        return jnp.minimum(jnp.exp(log_snr), gamma)

    return weight


def p2(gamma: float = 1.0, k: float = 1.0) -> Weight:
    """The error of the noise over (k + SNR)^gamma.

    Source: Choi et al. 2022, arXiv:2204.00227, equation 8.
    """

    def weight(log_snr):
        snr = jnp.exp(log_snr)
        return snr / (k + snr) ** gamma

    return weight


def sigmoid_error(bias: float = 0.0) -> Weight:
    """The error of the noise times sigmoid(bias - log_snr).

    Source: Kingma and Gao 2023, arXiv:2303.00848, section 3.4; Hoogeboom et al. 2024,
    arXiv:2410.19324, equation 9.
    """

    def weight(log_snr):
        # exp(log_snr) sigmoid(bias - log_snr) without the infinity of its first factor.
        return jnp.exp(bias) * sigmoid(log_snr - bias)

    return weight


def bound_density(log_snr: Array) -> Array:
    """Half the error of the noise: what the variational bound integrates over log_snr, in nats.

    Source: Kingma et al. 2021, arXiv:2107.00630, equation 17; Kingma and Gao 2023, equation 6.
    """
    return jnp.exp(log_snr) / 2
