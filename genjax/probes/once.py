"""Compiling what is run a few times alone, as samplers are for pictures and scores."""

from collections.abc import Callable

import jax


def compiled(sample: Callable) -> Callable:
    """jax.jit of (key, state, n) -> samples, by a compiler that takes less time over it on a CPU.

    There a U-Net's sampler compiles in 0.8 of the time at the first level of optimisation, and runs
    no longer. The training step, which runs for hours, has all that the compiler can do.

    Args:
      sample: n is static.
    """
    options = {'xla_backend_optimization_level': 1} if jax.default_backend() == 'cpu' else None
    return jax.jit(sample, static_argnums=2, compiler_options=options)
