"""Samples of a run as images to be scored; nothing is written in the run."""

import numpy as np

from experiments._images import Images
from launch.cli.refusal import Refused
from launch.run import saved


def images_of_run(run: str, *, average: str | None, n: int, seed: int, batch: int) -> Images:
    """The first n samples of a run, as levels: what `--mode sample` would write as files.

    Args:
      run: RUN, RUN:STEP, RUN:best or RUN:last.
      average: of the parameters; None for the run's own.
      n: how many samples.
      seed: of the samples.
      batch: how many are drawn at a time.

    Raises:
      Refused: there is no such run, checkpoint or average, or it draws no images.
    """
    from launch.run.generation import generate

    opened = saved.open_saved(run, average=average)
    plan = opened.plan

    def drawn(numbers):
        images = generate(
            plan.experiment,
            opened.state,
            seed=seed,
            numbers=numbers,
            labels=None,
            batch=batch,
            mesh=plan.mesh,
        )
        return np.asarray(images)

    def batches(size):
        for start in range(0, n, size):
            yield drawn(range(start, min(start + size, n)))

    shape = drawn(range(1)).shape[1:]
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise Refused(f'{run} draws no images, but arrays of shape {list(shape)}')
    config = plan.config
    average = average or _own_average(config)
    seeds = (config.seed, seed)
    return Images(run, f'samples of step {opened.step}', n, shape, batches, average, seeds)


def _own_average(config):
    return f'own, decay {config.decay}' if 'decay' in config else 'own'
