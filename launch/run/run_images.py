"""Samples of a run as images to be scored; nothing is written in the run."""

from experiments._images import Images, images_of_samples
from genjax.training import generator
from launch.cli.refusal import Refused, refusing
from launch.run import saved


def images_of_run(run: str, *, average: str | None, n: int, seed: int, batch: int) -> Images:
    """The first n samples of a run, with its labels in turn where it has such.

    Args:
      run: RUN, RUN:STEP, RUN:best or RUN:last.
      average: of the parameters; None for the run's own.
      n: how many samples.
      seed: of the samples.
      batch: how many are drawn by one device at a time.

    Raises:
      Refused: there is no such run, checkpoint or average, or it draws no images.
    """
    opened = saved.open_saved(run, average=average)
    plan = opened.plan
    with refusing(ValueError, about=run):
        made = generator(
            plan.experiment, opened.state, seed=seed, mesh=plan.mesh, labels=None, batch=batch
        )
    shape = made.example.shape
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise Refused(f'{run} draws arrays of shape {list(shape)}; images [H, W, C] are scored')

    def draw():
        for group, samples in made.draw(range(-(-n // batch))):
            yield samples[: n - group * batch]

    return images_of_samples(
        run,
        f'samples of step {opened.step}',
        draw,
        n=n,
        shape=shape,
        average=average or _own_average(plan.config),
        seeds=(plan.config.seed, seed),
    )


def _own_average(config):
    return f'its own, decay {config.decay}' if 'decay' in config else 'its own'
