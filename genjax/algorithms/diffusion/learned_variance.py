"""DDPM with learned reverse variances: Nichol and Dhariwal 2021, arXiv:2102.09672.

Equation numbers are theirs. The network gives the noise and, entry by entry, how far the logarithm
of the variance lies on the way from the smaller to the larger of DDPM's two fixed ones. Where the
mean is exact, so is the best variance known (Bao et al. 2022, arXiv:2201.06503, theorem 1).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from genjax.algorithms.diffusion.ddpm import checked_images, predictor, random_xt
from genjax.algorithms.diffusion.likelihood import prior_term, step_term
from genjax.algorithms.diffusion.paths import discrete
from genjax.algorithms.diffusion.process import (
    Process,
    at,
    fixed_small,
    last_step,
    linear_schedule,
    make_process,
    predict_x0,
)
from genjax.algorithms.diffusion.samplers.single_step import ddim_coefficients
from genjax.algorithms.diffusion.samplers.steps import (
    Sampler,
    checked,
    run_steps,
    step_noise,
    time_of_all,
)
from genjax.algorithms.diffusion.samplers.steps import at as at_step
from genjax.averages import Decay
from genjax.base import Algorithm, Key, Metrics
from genjax.descent import Fit, descend
from genjax.parallel import shard_batch


class Reverse(NamedTuple):
    """What a network says of x_t, each of its shape.

    Attributes:
      noise: in x_t.
      share: v of equation 15: the variance is the smaller one at 0, the larger at 1.
    """

    noise: Array
    share: Array


# (x_t [B, ...], t int32 [B] in 1..T) -> Reverse
PredictReverse = Callable[[Array, Array], Reverse]
# (x_t [B, ...], t int32 [B]) -> the estimate of x_0, and the share v, [B, ...] each
Estimate = Callable[[Array, Array], tuple[Array, Array]]
# (key, estimate, x_T [B, ...]) -> x_0 [B, ...]; or of frames, [F, B, ...]
Chain = Callable[[Key, Estimate, Array], Array]


def reverse_predictor(
    network: nn.Module, params: Any, rngs: dict[str, Key] | None = None
) -> PredictReverse:
    """The noise and the share of a network, in float32.

    Args:
      network: (x [B, ..., C], int32 [B] in 0..T-1) -> [B, ..., 2 C]: the noise, and then 2 v - 1,
        which nothing keeps in [-1, 1] (section 3.1).
      params: the network's.
      rngs: of its dropout; None for no dropout.

    Raises:
      ValueError: when traced, a network that gives another shape.
    """
    predict_both = predictor(network, params, rngs)

    def predict(xt, t):
        both = predict_both(xt, t)
        needed = (*xt.shape[:-1], 2 * xt.shape[-1])
        if both.shape != needed:
            raise ValueError(
                f'the network gives {both.shape}; the noise and its variance need {needed}'
            )
        noise, signed_share = jnp.split(both, 2, axis=-1)
        return Reverse(noise, (signed_share + 1) / 2)

    return predict


def log_variance(process: Process, t: Array | int, share: Array) -> Array:
    """v log beta_t + (1 - v) log posterior_variance_t, of the shape of the share v (eq. 15).

    At t = 1, where the posterior variance is 0, that of t = 2 stands for it, as in DDPM.
    """
    small = fixed_small(process.beta, process.posterior_variance)
    log_larger = np.append(0.0, np.log(process.beta[1:]))
    log_smaller = np.append(0.0, np.log(small[1:]))
    return share * at(log_larger, t) + (1 - share) * at(log_smaller, t)


def learned_step_term(
    process: Process, t: Array | int, x0: Array, xt: Array, reverse: Reverse, clip: float = 1.0
) -> Array:
    """L_{t-1} with the learned variance, bits/dim [], which teaches the variance alone.

    The mean has no gradient (section 3.1). Args: as of `step_term`, with a `Reverse` for the noise.
    """
    variance = jnp.exp(log_variance(process, t, reverse.share))
    noise = jax.lax.stop_gradient(reverse.noise)
    return step_term(process, t, x0, xt, noise, clip, variance)


def hybrid_losses(
    key: Key,
    process: Process,
    predict: PredictReverse,
    x0: Array,
    clip: float = 1.0,
    bound_weight: float = 0.001,
) -> Metrics:
    """L_hybrid of x0 [B, ...], each example at one random t; [B] each.

    Args:
      key: of t and the noise.
      process: the diffusion.
      predict: the noise and the share.
      x0: data in [-1, 1].
      clip: of the predicted x_0, in the bound.
      bound_weight: lambda, the weight of the bound, whose unit is bits/dim.

    Returns:
      'loss' = 'noise_error' + lambda 'bits_per_dim' (eq. 16): the mean squared error of the noise,
      and an unbiased estimate of the bound, the sum of all its terms.
    """
    t, noise, xt = random_xt(key, process, x0)
    predicted = predict(xt, t)
    error = jax.vmap(jnp.mean)((noise - predicted.noise) ** 2)
    terms = jax.vmap(partial(learned_step_term, process, clip=clip))(t, x0, xt, predicted)
    bits = last_step(process) * terms + jax.vmap(partial(prior_term, process))(x0)
    return {'loss': error + bound_weight * bits, 'noise_error': error, 'bits_per_dim': bits}


def learned_chain(
    process: Process, times: np.ndarray | None = None, *, frames: int | None = None
) -> Chain:
    """Draws of p(x_s | x_t) with the learned variance, from time to time.

    Between times that are further apart the two fixed variances are those of that wider step, and
    the share is kept (section 4). A step to the data has no noise.

    Args:
      process: the diffusion.
      times: of the process, decreasing, [S + 1]; by default all of them, T, ..., 0.
      frames: None for x_0 alone; or how many x of the chain are given, see `run_steps`.

    Raises:
      ValueError: what `checked` refuses.
    """
    path = discrete(process)
    times = checked(path, np.arange(last_step(process), -1, -1) if times is None else times)
    x0_coef, xt_coef, smaller = ddim_coefficients(path, times, eta=1.0)
    larger = 1 - process.alpha_bar[times[:-1]] / process.alpha_bar[times[1:]]
    steps = len(times) - 1
    is_noisy = smaller > 0
    log_larger = np.log(larger)
    log_smaller = np.log(np.where(is_noisy, smaller, larger))

    def sample(key, estimate, x_T):
        def step(i, carry):
            (x,) = carry
            x0, share = estimate(x, time_of_all(times, i, x))
            mean = at_step(x0_coef, i, x) * x0 + at_step(xt_coef, i, x) * x
            most = at_step(log_larger, i, x)
            least = at_step(log_smaller, i, x)
            deviation = jnp.exp((share * most + (1 - share) * least) / 2)
            noise = at_step(is_noisy, i, x) * step_noise(key, steps - i, x)
            return (mean + deviation * noise,)

        return run_steps(step, (x_T,), np.arange(1, steps + 1), frames)

    return sample


def without_variance(sampler: Sampler) -> Chain:
    """A sampler that uses the estimate of x_0 alone, such as `ddim`, as a `Chain`."""

    def sample(key, estimate, x_T):
        def denoise(x, t):
            return estimate(x, t)[0]

        return sampler(key, denoise, x_T)

    return sample


def sample_by_chain(
    chain: Chain, network: nn.Module, process: Process, shape: tuple[int, ...], clip: float = 1.0
) -> Callable[[Key, Fit, int], Array]:
    """(key, state, n) -> what a chain makes of n draws of x_T, by the average of the parameters.

    Args:
      chain: a `Chain`, also one of frames.
      network: as in `reverse_predictor`.
      process: the diffusion.
      shape: of an example.
      clip: the estimate of x_0 is clipped to [-clip, clip].
    """

    def sample(key, state, n):
        start_key, chain_key = jax.random.split(key)
        predict = reverse_predictor(network, state.average)

        def estimate(xt, t):
            predicted = predict(xt, t)
            x0 = jax.vmap(partial(predict_x0, process, clip=clip))(t, xt, predicted.noise)
            return x0, predicted.share

        return chain(chain_key, estimate, shard_batch(jax.random.normal(start_key, (n, *shape))))

    return sample


def improved_ddpm(
    network: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    shape: tuple[int, ...],
    steps: int = 1000,
    process: Process | None = None,
    chain: Chain | None = None,
    clip: float = 1.0,
    bound_weight: float = 0.001,
    decay: Decay | float = 0.9999,
    others: Mapping[str, Decay | float] = {},
    microbatches: int = 1,
) -> Algorithm:
    """DDPM with learned variances: batches are {'image': [B, *shape] in [-1, 1]}.

    The state is a `Fit`, the metrics are those of `hybrid_losses`. `evaluate` and `sample` use the
    average of the parameters.

    Args:
      network: as in `reverse_predictor`. It drops out where it is given the rng 'dropout', in
        training.
      optimizer: of the parameters.
      shape: of an example.
      steps: T of the default process; not used where a process is given.
      process: by default the linear schedule; its model_variance is not used.
      chain: that `sample` uses; by default `learned_chain(process)`.
      clip: of the predicted x_0, in samples and in the bound.
      bound_weight: lambda of equation 16.
      decay: of the average, as in `descend`.
      others: further averages, as in `descend`.
      microbatches: parts of a batch, one after the other, as in `descend`.

    Raises:
      ValueError: shape is no tuple of positive integers, bound_weight is negative, or what
        `linear_schedule` and `descend` refuse; when traced, images of another shape, or no floats,
        or a network that gives another shape than `reverse_predictor` needs.
    """
    if not (isinstance(shape, tuple) and all(isinstance(n, int) and n > 0 for n in shape)):
        raise ValueError(f'shape is {shape!r}; improved_ddpm needs a tuple of positive integers')
    if bound_weight < 0:
        raise ValueError(f'bound_weight is {bound_weight}; it must be at least 0')
    if process is None:
        process = make_process(linear_schedule(steps))
    if chain is None:
        chain = learned_chain(process)

    def losses(key, predict, batch):
        x0 = checked_images(batch, shape)
        return hybrid_losses(key, process, predict, x0, clip, bound_weight)

    def training_losses(key, params, batch):
        losses_key, dropout_key = jax.random.split(key)
        predict = reverse_predictor(network, params, {'dropout': dropout_key})
        return losses(losses_key, predict, batch)

    descent = descend(
        training_losses, optimizer, decay=decay, others=others, microbatches=microbatches
    )

    def init(key, batch):
        del batch
        x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        t = jax.ShapeDtypeStruct((1,), jnp.int32)
        # The forward pass is not needed: no run computes it, older flax not even by hand.
        return descent.init(network.lazy_init(key, x, t)['params'])

    def evaluate(key, state, batch):
        return losses(key, reverse_predictor(network, state.average), batch)

    sample = sample_by_chain(chain, network, process, shape, clip)
    return Algorithm(init, descent.update, evaluate, sample)
