"""The reverse process of DDPM, step by step: the sampler of a `Process`."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.algorithms.diffusion.process import Process, last_step, noise_like, posterior_mean
from genjax.algorithms.diffusion.process import at as at_step
from genjax.algorithms.diffusion.samplers.steps import Sampler, run_steps
from genjax.algorithms.diffusion.times import checked_start


def reverse_chain(
    process: Process, *, start: int | None = None, frames: int | None = None
) -> Sampler:
    """Every step of p(x_{t-1} | x_t), the last without noise (Ho et al. 2020, algorithm 2).

    With `fixed_small` it is `ancestral` through all steps.

    Args:
      process: the diffusion, whose model_variance is that of the steps.
      start: the t of the given x_T; by default T.
      frames: None for x_0 alone; or how many x_t of the chain are given, see `run_steps`.

    Raises:
      ValueError: start lies outside 1..T.
    """
    first = checked_start(process, start)
    noise_scale = np.sqrt(process.model_variance) * (np.arange(last_step(process) + 1) > 1)

    def sample(key, denoise, x_T):
        def step(i, carry):
            (x,) = carry
            t = first - i
            mean = posterior_mean(process, t, denoise(x, jnp.full(len(x), t)), x)
            noise = noise_like(jax.random.fold_in(key, t), x)
            return (mean + at_step(noise_scale, t) * noise,)

        return run_steps(step, (x_T,), np.arange(1, first + 1), frames)

    return sample
