"""The states of a hidden Markov model given what they emit: filtering, smoothing, the best path.

Rabiner 1989, "A tutorial on hidden Markov models and selected applications in speech recognition",
whose equation numbers these are.

B sequences of L places, t a place; K states, i and j. Places stand first in what goes from place to
place, [L, B, K].
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import logsumexp

from genjax.algorithms.hmm.chain import Chain, Parameters
from genjax.algorithms.hmm.emissions import Emission, Sums
from genjax.algorithms.hmm.scans import (
    Product,
    Scan,
    finite_or_zero,
    log_product,
    max_product,
    sequential,
)
from genjax.base import Batch


class StateLikelihoods(NamedTuple):
    """What a batch says about the states."""

    log_prob: Array  # [L, B, K], log b_j(x_t), and 0 at padding
    mask: Array  # [L, B], False at padding


def mask_padding(batch: Batch) -> tuple[Array, Array]:
    """x [B, L, ...] with 0 at padding, and the mask [B, L], False there."""
    x = batch['x']
    b, length = x.shape[:2]
    mask = jnp.arange(length)[None] < batch.get('length', jnp.full(b, length))[:, None]
    return jnp.where(jnp.expand_dims(mask, tuple(range(2, x.ndim))), x, 0), mask


def state_likelihoods(
    chain: Chain[Parameters], emission: Emission[Parameters, Sums], batch: Batch
) -> StateLikelihoods:
    """The likelihood of every state at every place of a batch; padding has no effect."""
    x, mask = mask_padding(batch)
    log_prob = jnp.where(mask[..., None], emission.log_prob(chain.emission, x), 0.0)
    return StateLikelihoods(log_prob.swapaxes(0, 1), mask.T)


def forward(
    chain: Chain,
    likelihoods: StateLikelihoods,
    scan: Scan = sequential,
    product: Product = log_product,
) -> tuple[Array, Array]:
    """The forward pass (eqs. 18-21, scaled as in 91 and 103).

    Returns:
      log P(q_t = j | x_1 .. x_{t-1}), [L, B, K], and -log p(x_t | x_1 .. x_{t-1}) in nats, 0 at
      padding, [L, B]. The latter's sum over the places is -log p(x).
    """
    log_b = likelihoods.log_prob
    start = jnp.broadcast_to(jnp.log(chain.initial), log_b.shape[1:])
    log_predicted = scan(product, start, jnp.log(chain.transition), log_b)
    log_predicted -= finite_or_zero(logsumexp(log_predicted, -1, keepdims=True))
    nats = jnp.where(likelihoods.mask, -logsumexp(log_predicted + log_b, -1), 0.0)
    return log_predicted, nats


def posterior(
    chain: Chain,
    likelihoods: StateLikelihoods,
    scan: Scan = sequential,
    product: Product = log_product,
) -> tuple[Array, Array, Array]:
    """The forward and the backward pass.

    Returns:
      Nats as of `forward`, [L, B]; P(q_t = i | x), 0 at padding, [L, B, K] (eq. 27); and expected
      transitions, the sum over t of P(q_t = i, q_{t+1} = j | x), [B, K, K] (eq. 37).
    """
    log_predicted, nats = forward(chain, likelihoods, scan, product)
    log_a = jnp.log(chain.transition)
    log_b = likelihoods.log_prob

    # log p(x_{t+1} .. x_L | q_t), eq. 25
    log_backward = scan(product, jnp.zeros_like(log_predicted[0]), log_a.T, log_b[::-1])[::-1]
    log_joint = log_predicted + log_b + log_backward
    log_evidence = logsumexp(log_joint, -1, keepdims=True)
    mask = likelihoods.mask
    states = jnp.where(mask[..., None], jnp.exp(log_joint - log_evidence), 0.0)

    # The place before, and the place after it; the first place has none before it.
    before = jnp.roll(log_predicted + log_b + nats[..., None], 1, 0)
    has_before = mask.at[0].set(False)[..., None]
    after = jnp.where(has_before, log_b + log_backward - log_evidence, -jnp.inf)
    log_pairs = log_a[None] + product(before.transpose(1, 2, 0), after.swapaxes(0, 1))
    return nats, states, jnp.exp(log_pairs)


def viterbi(chain: Chain, likelihoods: StateLikelihoods, scan: Scan = sequential) -> Array:
    """The most probable path of states, int32 [L, B] (eqs. 32-35); it does not move at padding."""
    log_a = jnp.log(chain.transition)
    log_b = likelihoods.log_prob
    mask = likelihoods.mask
    states = jnp.arange(len(chain.initial))[None, None, None]

    start = jnp.broadcast_to(jnp.log(chain.initial), log_b.shape[1:])
    best = scan(max_product, start, log_a, log_b) + log_b
    previous = jnp.argmax(best[:-1, :, :, None] + log_a[None, None], -2)  # the state before each
    previous = jnp.where(mask[1:, :, None], previous, states[0])

    end = jnp.maximum(jnp.sum(mask, 0) - 1, 0)
    last = jnp.argmax(jnp.take_along_axis(best, end[None, :, None], 0), -1)  # [1, B]

    # From state to state before is a map, and maps compose: all are followed at once. The values of
    # a map are found by comparing: XLA takes minutes to compile gathers of gathers of gathers.
    def compose(late, early):
        return jnp.sum(jnp.where(late[..., None] == states, early[..., None, :], 0), -1)

    maps = jax.lax.associative_scan(compose, previous, reverse=True)
    path = jnp.take_along_axis(maps, last[..., None], -1)[..., 0]
    return jnp.concatenate([path, last])
