"""From a command line to a built experiment, writing nothing on the way."""

import copy
import pathlib
from collections.abc import Sequence
from types import ModuleType

import jax
from ml_collections import ConfigDict

from genjax.training import Experiment, check, make_mesh, take_same_steps
from genjax.training.mesh import Mesh, Rules
from genjax.waiting import doing
from launch.cli import catalogue
from launch.cli.flags import Flags, parse
from launch.cli.overrides import override
from launch.cli.refusal import Refused, refusing
from launch.run import rundir, sample_files, unread_settings
from launch.run.plan import Plan, Request
from launch.run.validation import check_config, check_devices, check_memory, check_until


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
    if asked.flags.steps:
        _check_longer(asked, experiment, mesh, rules)
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
    for given, what in ((flags.query, 'answers questions'), (flags.n, 'draws samples')):
        if given and jax.process_count() > 1:
            flag = '--query' if flags.query else '--n'
            processes = f'{jax.process_count()} processes run'
            raise Refused(f'{flag} is {given}, and {processes}; one alone {what}')
    check_config(config)
    check_devices(config, flags.mesh, flags.parallel, jax.device_count())
    identity = rundir.begun_from(rundir.identity(config), flags.init_from)
    if flags.mode == 'train':
        workdir = flags.workdir or rundir.default(name, identity)
        with refusing(OSError):
            rundir.check(workdir, name, identity, page)
            config.steps = _length(workdir, config.steps, flags.steps)
        check_until(flags.until, config.steps)
    else:
        own = rundir.identity(override(module.get_config(), {}))
        workdir = flags.workdir or rundir.default_trained(name, identity, own)
        with refusing(OSError):
            rundir.check(workdir, name, identity, page, of_samples=True)
        _check_trained(workdir, flags)
        _check_out(workdir, flags)
        identity = rundir.read(workdir / 'config.json') or identity
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
        with doing('checking'):
            state = check(experiment, mesh=mesh, rules=rules, traced_before=traced_before)
        check_memory(state)
    return experiment, mesh, rules


def _length(workdir: pathlib.Path, steps: int, longer: int | None) -> int:
    """How many steps a run is to have.

    Args:
      workdir: of the run.
      steps: of its config.
      longer: what --steps says.

    Raises:
      Refused: there is no run to be made longer, or it is that long already.
    """
    length = rundir.length(workdir) or steps
    if longer is None:
        return length
    if rundir.last_step(workdir) is None:
        raise Refused(
            f'--steps is {longer}, and workdir {workdir} holds no run to make longer; '
            f'--config.steps={longer} trains one of so many steps'
        )
    if longer < length:
        raise Refused(f'--steps is {longer}; the run in {workdir} has {length}, and it takes more')
    return longer


def _check_longer(asked: Request, experiment: Experiment, mesh: Mesh, rules: Rules):
    """Sees that a longer run begins as the run did that is there.

    Raises:
      Refused: its updates or batches hang on its length.
    """
    first = asked.identity['steps']
    config = copy.deepcopy(asked.config)
    config.steps = first
    there, _, _ = build(asked.module, asked.flags, config, mesh=mesh)
    if not take_same_steps(there, experiment, mesh=mesh, rules=rules):
        raise Refused(
            f'--steps is {asked.config.steps}, and what an update of {asked.name} does hangs on the'
            f' length of the run, {first}, as where a learning rate decays over it; '
            f'--config.steps={asked.config.steps} trains another run'
        )


def _config(module: ModuleType, name: str, flags: Flags) -> ConfigDict:
    config = override(module.get_config(), flags.overrides)
    if flags.data_dir is not None:
        if 'data_dir' not in config:
            raise Refused(f'--data_dir is {flags.data_dir}, and {name} reads no prepared data')
        config.data_dir = flags.data_dir
    return config


def _check_trained(workdir: pathlib.Path, flags: Flags):
    """Sees that there is a checkpoint to evaluate or to sample from, or what a run begins with."""
    damaged = any(workdir.glob('checkpoints.damaged/*'))
    if any(workdir.glob('checkpoints/[0-9]*')) or (flags.init_from and not damaged):
        return
    lacks = 'no whole checkpoint, only damaged ones' if damaged else 'no checkpoint; train it first'
    raise Refused(f'--mode is {flags.mode}, and workdir {workdir} holds {lacks}')


def _check_out(workdir: pathlib.Path, flags: Flags):
    """Sees that there is a place for what is drawn."""
    out = flags.out
    if out is not None:
        is_file = out.suffix == sample_files.NPZ
        if is_file and not flags.n:
            raise Refused(f'--out is {out}, which is for samples, with --n; else it takes a folder')
        if out.is_file() and not is_file:
            raise Refused(f'--out is {out}, which is a file; it takes a folder or FILE.npz')
        if not rundir.is_writable(out.parent if is_file else out):
            raise Refused(f'--out is {out}, which is not writable')
        return
    if flags.n:
        raise Refused(f'--n is {flags.n}, without --out, a folder or FILE.npz for the samples')
    if flags.mode == 'sample' and not rundir.is_writable(workdir):
        raise Refused(
            f'workdir {workdir} is not writable; --out DIR is where what is drawn from it goes'
        )
