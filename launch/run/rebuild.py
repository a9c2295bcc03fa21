"""A run that was launched, planned again from what its directory holds; nothing is written there."""

import pathlib
from typing import Any

from launch.cli import catalogue
from launch.cli.flags import parse
from launch.cli.overrides import flat, override
from launch.cli.refusal import Refused, refusing
from launch.run import rundir
from launch.run.plan import Plan, built
from launch.viewer import runs


def planned(workdir: pathlib.Path) -> Plan:
    """The plan of the newest launch that trained in a run directory, with the config that
    config.json holds.

    Raises:
      Refused: they are not there, or the experiment has changed so that they suit it no more.
    """
    held, manifest = rundir.read(workdir / 'config.json'), rundir.read(workdir / 'manifest.json')
    launches = runs.read(workdir).launches
    if held is None or manifest is None or not launches:
        raise Refused(f'{workdir} holds no run that was launched')
    flags = parse(launches[-1]['flags'])
    module = catalogue.load(manifest['experiment'])
    texts = {
        key: value if isinstance(value, str) else repr(value) for key, value in flat(held).items()
    }
    config = override(module.get_config(), texts)
    if flags.data_dir is not None:
        config.data_dir = flags.data_dir
    experiment, mesh, rules = built(module, flags._replace(overrides={}), config)
    return Plan(launches[-1]['flags'], flags, config, held, workdir, experiment, mesh, rules)


def recipe(plan: Plan) -> Any:
    """All that a planned run follows from: a genjax.training.replay.Recipe."""
    from genjax.training.mesh import by_jit, by_pmap
    from genjax.training.replay import Recipe
    from genjax.training.train import Every

    config, flags = plan.config, plan.flags
    every = Every(**config.get('every', {}))
    parallel = by_pmap if flags.parallel == 'pmap' else by_jit
    return Recipe(
        plan.experiment,
        config.seed,
        config.steps,
        plan.mesh,
        plan.rules,
        every,
        flags.fold,
        parallel,
    )


def saved(workdir: pathlib.Path) -> list[int]:
    """The steps of a run's checkpoints."""
    return sorted(int(path.name) for path in workdir.glob('checkpoints/*') if path.name.isdecimal())


def begun(plan: Plan, step: int) -> tuple[Any, Any]:
    """(state, tally) of a run at the step of a checkpoint, or at its beginning.

    Raises:
      Refused: the checkpoint cannot be used.
    """
    from genjax.training import replay

    with refusing(ValueError, FileNotFoundError, about=f'checkpoint {step} of {plan.workdir}'):
        return replay.begun(recipe(plan), plan.workdir, step)


def before(workdir: pathlib.Path, step: int) -> int:
    """The step of the newest checkpoint from which a run comes to a step; 0 where there is none."""
    return max(there for there in [0, *saved(workdir)] if there < step)


def changes(plan: Plan) -> dict[str, str]:
    """How data and settings differ from those that the run began with: {'data': 'is A there and B
    here'}."""
    began = rundir.read(plan.workdir / 'manifest.json')['data']
    data = getattr(plan.experiment.data.train, 'fingerprint', None)
    here = flat(rundir.identity(plan.config))
    new = sorted(here.keys() - flat(plan.identity).keys())
    found = {} if data == began else {'data': f'is {began} there and {data} here'}
    return found | {f'config.{key}': f'is absent there and {here[key]} here' for key in new}
