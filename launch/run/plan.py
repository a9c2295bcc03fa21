"""A command line that has been checked, and what the trainer is given of it."""

import pathlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from genjax.training import Every, Experiment, by_jit, by_pmap
from genjax.training.mesh import Compile, Mesh, Rules
from genjax.training.replay import Recipe
from launch.cli.flags import Flags


class Request(NamedTuple):
    """What a command line asks for, before anything is built."""

    flags: Flags
    name: str  # of the experiment
    page: pathlib.Path | None  # its file, if it lies outside of the tree
    module: ModuleType
    config: ConfigDict
    # The config as the run directory holds it: what is not trained may be of another sampler
    identity: dict[str, Any]
    workdir: pathlib.Path


class Plan(NamedTuple):
    """What a command line comes to: an experiment that is built, and where and how it is run."""

    argv: Sequence[str]
    flags: Flags
    name: str
    page: pathlib.Path | None
    config: ConfigDict
    identity: dict[str, Any]
    workdir: pathlib.Path
    experiment: Experiment
    mesh: Mesh
    rules: Rules


def compiler(plan: Plan) -> Compile:
    """How a plan's programs are compiled."""
    return by_pmap if plan.flags.parallel == 'pmap' else by_jit


def best_metric(config: ConfigDict) -> str:
    """The metric by which the best checkpoint is kept."""
    return config.get('best', 'test/loss')


def trainer_options(plan: Plan) -> dict[str, Any]:
    """What `train` is given but for the seed, the place and how to compile."""
    config = plan.config
    options = {'steps': config.steps, 'until': plan.flags.until, 'steps_per_call': plan.flags.fold}
    options['best'] = best_metric(config)
    if 'every' in config:
        options['every'] = Every(**config.every)
    return options


def recipe(plan: Plan) -> Recipe:
    """All that a planned run follows from."""
    return Recipe(
        experiment=plan.experiment,
        seed=plan.config.seed,
        steps=plan.config.steps,
        mesh=plan.mesh,
        rules=plan.rules,
        every=Every(**plan.config.get('every', {})),
        steps_per_call=plan.flags.fold,
        parallel=compiler(plan),
    )
