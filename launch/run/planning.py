"""From a command line to a built experiment, writing nothing on the way."""

import pathlib
from collections.abc import Sequence
from types import ModuleType

import jax
from ml_collections import ConfigDict

from genjax.training import Experiment, check, make_mesh
from genjax.training.mesh import Mesh, Rules
from launch.cli import catalogue
from launch.cli.flags import Flags, parse
from launch.cli.overrides import override
from launch.cli.refusal import Refused, refusing
from launch.run import rundir, unread_settings
from launch.run.plan import Plan, Request
from launch.run.validation import check_config, check_devices, check_memory


def plan(argv: Sequence[str], traced_before: set[str] | None = None) -> Plan:
    """Checks a command line and builds its experiment.

    Args:
      traced_before: as in genjax.training.train.check, where many command lines of one experiment
        are checked.

    Raises:
      Refused: anything that can be known to be wrong by then.
    """
    asked = request(argv)
    experiment, mesh, rules = build(asked.module, asked.flags, asked.config, traced_before)
    if asked.flags.query and not experiment.ask:
        raise Refused(f'--query is {asked.flags.query}, and {asked.name} answers no questions')
    return Plan(
        argv=argv,
        flags=asked.flags,
        name=asked.name,
        page=asked.page,
        config=asked.config,
        identity=asked.identity,
        workdir=asked.workdir,
        experiment=experiment,
        mesh=mesh,
        rules=rules,
    )


def request(argv: Sequence[str]) -> Request:
    """Checks what can be checked of a command line without building its experiment.

    Raises:
      Refused: a flag or a value that is wrong, or a run directory that cannot be used so.
    """
    flags = parse(argv)
    module = catalogue.load(flags.exp)
    name = catalogue.name_of(flags.exp)
    page = catalogue.page(flags.exp)
    config = _config(module, name, flags)
    if flags.query and jax.process_count() > 1:
        raise Refused(
            f'--query is {flags.query}, and {jax.process_count()} processes run; '
            f'one alone answers questions'
        )
    check_config(config, flags.until)
    check_devices(config, flags.mesh, flags.parallel, jax.device_count())
    identity = rundir.identity(config)
    if flags.mode == 'train':
        workdir = flags.workdir or rundir.default(name, identity)
        with refusing(OSError):
            rundir.check(workdir, name, identity, page)
    else:
        own = rundir.identity(override(module.get_config(), {}))
        workdir = flags.workdir or rundir.default_trained(name, identity, own)
        with refusing(OSError):
            rundir.check(workdir, name, identity, page, of_samples=True)
        _check_trained(workdir, flags.mode)
        identity = rundir.read(workdir / 'config.json')
    return Request(flags, name, page, module, config, identity, workdir)


def build(
    module: ModuleType,
    flags: Flags,
    config: ConfigDict,
    traced_before: set[str] | None = None,
    mesh: Mesh | None = None,
) -> tuple[Experiment, Mesh, Rules]:
    """The experiment of a config, with the mesh and the rules that it is trained by.

    Args:
      mesh: by default the one that the flags ask for.

    Raises:
      Refused: it cannot be built or begun; or a setting is without effect.
    """
    name = catalogue.name_of(flags.exp)
    rules = getattr(module, 'RULES', ())
    with refusing(ValueError, OSError, MemoryError):
        if mesh is None:
            mesh = make_mesh(model=(flags.mesh or {}).get('model', 1))
        experiment, unread = unread_settings.build_and_track(module.build, config)
        unread_settings.check(name, flags.overrides, module.get_config(), config, unread)
        check_memory(check(experiment, mesh=mesh, rules=rules, traced_before=traced_before))
    return experiment, mesh, rules


def _config(module: ModuleType, name: str, flags: Flags) -> ConfigDict:
    config = override(module.get_config(), flags.overrides)
    if flags.data_dir is not None:
        if 'data_dir' not in config:
            raise Refused(f'--data_dir is {flags.data_dir}, and {name} reads no prepared data')
        config.data_dir = flags.data_dir
    return config


def _check_trained(workdir: pathlib.Path, mode: str):
    """Sees that there is a checkpoint to evaluate or to sample from."""
    if any(workdir.glob('checkpoints/[0-9]*')):
        return
    damaged = any(workdir.glob('checkpoints.damaged/*'))
    lacks = 'no whole checkpoint, only damaged ones' if damaged else 'no checkpoint; train it first'
    raise Refused(f'--mode is {mode}, and workdir {workdir} holds {lacks}')
