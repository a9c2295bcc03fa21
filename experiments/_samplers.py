"""Samplers by name, for the settings `sampler.*` of the diffusion pages.

They are settings of what is drawn, not of what is trained: `--mode sample` and `--mode evaluate`
take others than those of the run.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from experiments._choose import choose
from genjax.algorithms.diffusion import (
    Guidance,
    Model,
    Path,
    Process,
    Sampler,
    ancestral,
    churn,
    ddim,
    discrete,
    dpm_solver,
    draw_labelled,
    draw_samples,
    euler,
    euler_maruyama,
    even_times,
    heun,
    karras_times,
    leading_times,
    log_snr_times,
    rescaled,
    reverse_chain,
    trailing_times,
    unipc,
)
from genjax.training import Labelled

# (path, times, frames=...) -> Sampler
SAMPLERS: dict[str, Callable[..., Sampler]] = {
    'ancestral': ancestral,
    'churn': churn,
    'ddim': ddim,
    'dpm2': partial(dpm_solver, order=2),
    'dpm3': partial(dpm_solver, order=3),
    'euler': euler,
    'heun': heun,
    'sde': euler_maruyama,
    'unipc2': partial(unipc, order=2),
    'unipc3': partial(unipc, order=3),
}
TIMES = {'even': even_times, 'karras': karras_times, 'log_snr': log_snr_times}
SPACINGS = {'leading': leading_times, 'trailing': trailing_times}
# Those that follow a clock, of which the steps of a process have none between them.
OF_A_CLOCK = ('churn', 'euler', 'heun', 'sde')
MOST_STEPS = 1_000_000  # whose coefficients a host can hold


def sampler_of(path: Path, settings: Mapping[str, Any], frames: int | None = None) -> Sampler:
    """The sampler of a continuous path.

    Args:
      path: of the model.
      settings: `name`, one of SAMPLERS; `steps`; `times`, one of TIMES.
      frames: see `sampler_of`.

    Raises:
      ValueError: a name that is none, or what the sampler refuses.
    """
    make = choose(SAMPLERS, 'sampler.name', settings.name)
    return make(path, sampler_times(path, settings), frames=frames)


def sampler_times(path: Path, settings: Mapping[str, Any]) -> np.ndarray:
    """The times of the sampler of a continuous path.

    Raises:
      ValueError: a name that is none, or a number of steps that is out of reach.
    """
    if settings.steps > MOST_STEPS:
        raise ValueError(f'sampler.steps is {settings.steps}; it takes 1 to {MOST_STEPS}')
    return choose(TIMES, 'sampler.times', settings.times)(path, settings.steps)


def process_sampler(
    process: Process, settings: Mapping[str, Any], frames: int | None = None
) -> Sampler:
    """The sampler of the steps of a process.

    Args:
      process: of the model.
      settings: `name`, 'reverse_chain' or one of SAMPLERS; `steps`, 0 for all of the process;
        `times`, one of SPACINGS.
      frames: see `sampler_of`.

    Raises:
      ValueError: a name that is none, a reverse chain of fewer steps than the process has, or what
        the sampler refuses.
    """
    total = len(process.beta) - 1
    steps = settings.steps or total
    times = choose(SPACINGS, 'sampler.times', settings.times)(process, steps)
    named = {'reverse_chain': reverse_chain} | SAMPLERS
    make = choose(named, 'sampler.name', settings.name)
    if make is reverse_chain:
        if steps != total:
            raise ValueError(
                f'sampler.steps is {steps}; a reverse_chain takes all {total}: 0, or another name'
            )
        return reverse_chain(process, frames=frames)
    path = discrete(process)
    if settings.name in OF_A_CLOCK:
        return rescaled(make, path, times, frames=frames)
    return make(path, times, frames=frames)


def guidance_of(settings: Mapping[str, Any]) -> Guidance:
    """The guidance `guidance` and `interval` of the settings.

    Raises:
      ValueError: an interval that is not two numbers in ascending order.
    """
    interval = tuple(settings.interval)
    if len(interval) != 2 or interval[0] > interval[1]:
        raise ValueError(f'sampler.interval is {interval}; it takes two noise levels, (low, high)')
    return Guidance(settings.guidance, interval)


def labelled_samples(
    model: Model, settings: Mapping[str, Any], shape: tuple[int, ...]
) -> Labelled | None:
    """Samples of labels that are asked for; None where the model has no classes.

    Args:
      model: see `Model`.
      settings: of the sampler and of guidance.
      shape: of an example.
    """
    if model.classes is None:
        return None
    sampler = sampler_of(model.path, settings)
    draw = partial(draw_samples, model, sampler, shape, guidance=guidance_of(settings))
    return Labelled(draw_labelled(draw), model.classes)
