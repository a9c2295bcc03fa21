"""From a command line to a built experiment, writing nothing on the way."""

import pathlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from launch.cli import catalogue
from launch.cli.flags import Flags, parse
from launch.cli.overrides import override
from launch.cli.refusal import Refused, refusing
from launch.run import rundir, unread_settings
from launch.run.validation import check_config, check_devices, check_memory


class Asked(NamedTuple):
    """What a command line asks for, before anything is built."""

    flags: Flags
    module: ModuleType  # of the experiment
    config: ConfigDict
    identity: dict[str, Any]  # the config as the run directory holds it
    workdir: pathlib.Path


class Plan(NamedTuple):
    """What a checked command line comes to."""

    argv: Sequence[str]
    flags: Flags
    config: ConfigDict
    identity: dict[str, Any]
    workdir: pathlib.Path
    experiment: Any  # genjax.training.train.Experiment
    mesh: Any
    rules: Sequence[Any]


def plan(argv: Sequence[str], traced_before: set[str] | None = None) -> Plan:
    """Checks a command line and builds its experiment.

    Args:
      traced_before: as in genjax.training.train.check, where many command lines of one experiment
        are checked.

    Raises:
      Refused: anything that can be known to be wrong by then.
    """
    flags, module, config, *place = asked(argv)
    experiment, mesh, rules = built(module, flags, config, traced_before)
    if flags.query and not experiment.ask:
        raise Refused(f'--query is {flags.query}, and {flags.exp} answers no questions')
    return Plan(argv, flags, config, *place, experiment, mesh, rules)


def asked(argv: Sequence[str]) -> Asked:
    """Checks what can be checked of a command line without building its experiment.

    Raises:
      Refused: a flag or a value that is wrong, or a run directory that cannot be used so.
    """
    flags = parse(argv)
    module = catalogue.load(flags.exp)
    config = _config(module, flags)
    workdir, identity = _checked(flags, config)
    return Asked(flags, module, config, identity, workdir)


def built(
    module: ModuleType, flags: Flags, config: ConfigDict, traced_before: set[str] | None = None
) -> tuple[Any, Any, Sequence[Any]]:
    """The experiment of a config, with the mesh and the rules that it is trained by.

    Raises:
      Refused: it cannot be built or begun; or a setting is without effect.
    """
    from genjax.training.mesh import make_mesh
    from genjax.training.train import check

    rules = getattr(module, 'RULES', ())
    with refusing(ValueError, OSError, MemoryError):
        mesh = make_mesh(model=(flags.mesh or {}).get('model', 1))
        experiment, unread = unread_settings.built(module.build, config)
        unread_settings.check(flags, module.get_config(), config, unread)
        check_memory(check(experiment, mesh=mesh, rules=rules, traced_before=traced_before))
    return experiment, mesh, rules


def _config(module: ModuleType, flags: Flags) -> ConfigDict:
    config = override(module.get_config(), flags.overrides)
    if flags.data_dir is not None:
        if 'data_dir' not in config:
            raise Refused(f'--data_dir is {flags.data_dir}, and {flags.exp} reads no prepared data')
        config.data_dir = flags.data_dir
    return config


def _checked(flags: Flags, config: ConfigDict) -> tuple[pathlib.Path, dict[str, Any]]:
    import jax  # not before there is a config to launch: it takes a second

    if flags.query and flags.mode != 'evaluate':
        raise Refused(
            f'--query is {flags.query} and --mode is {flags.mode}; questions are for --mode evaluate'
        )
    if flags.query and jax.process_count() > 1:
        raise Refused(
            f'--query is {flags.query}, and {jax.process_count()} processes run; one alone answers questions'
        )
    check_config(flags, config)
    check_devices(flags, config, jax.device_count())
    identity = rundir.identity(config)
    workdir = flags.workdir or rundir.default(flags.exp, identity)
    with refusing(OSError):
        rundir.check(workdir, flags.exp, identity)
    if flags.mode != 'train' and not any(workdir.glob('checkpoints/[0-9]*')):
        damaged = any(workdir.glob('checkpoints.damaged/*'))
        lacks = (
            'no whole checkpoint, only damaged ones' if damaged else 'no checkpoint; train it first'
        )
        raise Refused(f'--mode is {flags.mode}, and workdir {workdir} holds {lacks}')
    return workdir, identity
