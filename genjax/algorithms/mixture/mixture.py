"""Gaussian mixtures, p(x) = sum_k w_k N(x; m_k, S_k), by expectation-maximisation.

Sources are named in `em`.

B examples, C of them at a time, D columns, K components.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.mixture.chunks import map_chunks
from genjax.algorithms.mixture.covariances import Covariance
from genjax.algorithms.mixture.density import Mixture, draw
from genjax.algorithms.mixture.em import e_step, largest_losses, m_step, soft_assignment
from genjax.algorithms.mixture.starts import hard_start
from genjax.base import Algorithm
from genjax.parallel import device_mean, example_keys


class Estimate(NamedTuple):
    """A mixture in training."""

    mixture: Mixture
    step: Array  # [] int32, updates made


def full_rate(step: Array) -> float:
    """The rate of EM on all data, 1."""
    del step
    return 1.0


def mixture(
    components: int,
    *,
    covariance: Covariance,
    floor: float = 1e-6,
    rate: Callable[[Array], Array | float] = full_rate,
    start: Mixture | None = None,
    rows: int = 256,
) -> Algorithm:
    """A Gaussian mixture: batches are {'x': [B, D]}, the state is an `Estimate`.

    An update is one step of EM. Batches of all the data and a rate of 1 are EM proper, whose
    likelihood never falls; smaller ones want a rate that falls, such as (step + 2)^-0.6 (Cappe and
    Moulines, section 3).

    Metrics are 'loss', -log p(x) in nats before the step, and 'reseeded', the components that were
    empty, see `m_step`. A singular covariance (at a floor of 0) is NaN, and ends the run. Codes
    are responsibilities [B, K].

    Of any scale and any condition nothing else is NaN, up to squares that float32 cannot hold, of
    about 1e18. Under a positive floor of full and tied covariances lies what float32 resolves, and
    is added to it: (16 eps)^2 = 3.6e-12 of the variance that a column has in the whole data, and in
    full ones no more than 6e-8 of its own in the component. Where neither floor acts the likelihood
    is float64's to a hundredth of a nat; where one does, it may fall by as much as the added
    variance changes it, as scikit-learn's. Means are float32: where a direction varies no more than
    the spacing of floats at the mean, the covariance is the best one about the mean as it is
    rounded.

    Args:
      components: K.
      covariance: `full`, `tied` or `diagonal`.
      floor: added to every variance, as scikit-learn's reg_covar.
      rate: of a step, which comes as float32 []: the batch's share in the statistics, in (0, 1].
      start: by default `hard_start` on the example batch.
      rows: C; the work, not the result, depends on it: a CPU's cache wants few, an accelerator
        many.

    Raises:
      ValueError: components or rows below 1, a negative floor, or what `hard_start` refuses.
    """
    if not (components >= 1 and rows >= 1 and floor >= 0):
        raise ValueError(
            f'{components} components, rows {rows}, floor {floor}; needed: at least 1, 1 and 0'
        )

    def init(key, batch):
        first = start or hard_start(key, covariance, batch['x'], components, floor, rows)
        return Estimate(first, jnp.zeros((), jnp.int32))

    def update(key, state, batch):
        x = batch['x']
        old = state.mixture
        statistics, losses = e_step(soft_assignment(covariance, old), x, rows)
        share = jnp.asarray(rate(state.step.astype(jnp.float32)), x.dtype)
        seeds = largest_losses(losses, x, components)
        new, reseeded = m_step(covariance, old, statistics, seeds, share, floor)
        metrics = {'loss': device_mean(jnp.mean(losses)), 'reseeded': reseeded}
        return Estimate(new, state.step + 1), metrics

    def assign(state, x):
        """Responsibilities [B, K] and losses [B]."""

        def chunk(x, mask):
            del mask
            r, losses, _ = soft_assignment(covariance, state.mixture)(x)
            return (), (r, losses)

        _, values = map_chunks(chunk, x, rows)
        return values

    def evaluate(key, state, batch):
        _, losses = assign(state, batch['x'])
        return {'loss': losses}

    def sample(key, state, n):
        def draw_one(key):
            return draw(key, covariance, state.mixture)

        return jax.vmap(draw_one)(example_keys(key, n))

    def encode(key, state, batch):
        responsibilities, _ = assign(state, batch['x'])
        return responsibilities

    def decode(key, state, code):
        return code @ state.mixture.means

    return Algorithm(init, update, evaluate, sample, encode, decode)
