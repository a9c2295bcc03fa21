"""A run that was launched, planned again from its directory; nothing is written there."""

import pathlib

import jax
from ml_collections import ConfigDict

from genjax.training import make_mesh
from genjax.training.mesh import Mesh
from launch.cli import catalogue
from launch.cli.flags import parse
from launch.cli.flat import flat
from launch.cli.overrides import override
from launch.cli.refusal import Refused, refusing
from launch.run import planning, rundir
from launch.run.plan import Plan
from launch.viewer.runs import training_launches


def plan(workdir: pathlib.Path, *, anywhere: bool = False) -> Plan:
    """The plan of the newest launch that trained in a run directory, with the config of
    config.json, and the steps that the run was made to have since.

    Args:
      workdir: the run directory.
      anywhere: whether the devices may be others than the run's; without it they are laid out as
        that launch laid them out.

    Raises:
      Refused: they are not there, or the experiment is gone or has changed so that they suit it no
        more.
    """
    with refusing(OSError):
        identity = rundir.read(workdir / 'config.json')
        manifest = rundir.read(workdir / 'manifest.json')
    launches = training_launches(manifest['launches']) if manifest else []
    if identity is None or not launches:
        raise Refused(f'{workdir} holds no run that was launched')
    argv = launches[-1]['flags']
    flags = parse(argv)
    module = catalogue.load(flags.exp)
    texts = {}
    for key, value in flat(identity).items():
        if key == rundir.INIT_FROM:
            continue
        texts[key] = value if isinstance(value, str) else repr(value)
    # config.json leaves out where the data lie; a command says it in either way.
    if rundir.DATA_DIR in flags.overrides:
        texts[rundir.DATA_DIR] = flags.overrides[rundir.DATA_DIR]
    config = override(module.get_config(), texts)
    config.steps = rundir.length(workdir) or config.steps
    if flags.data_dir is not None:
        config.data_dir = flags.data_dir
    # The config as it is: no setting of it was given on a command line.
    flags = flags._replace(overrides={})
    mesh = _any_mesh(config) if anywhere else None
    experiment, mesh, rules = planning.build(module, flags, config, mesh=mesh)
    return Plan(
        argv=argv,
        flags=flags,
        name=manifest['experiment'],
        page=catalogue.page(flags.exp),
        config=config,
        identity=identity,
        workdir=workdir,
        experiment=experiment,
        mesh=mesh,
        rules=rules,
    )


def _any_mesh(config: ConfigDict) -> Mesh:
    """As many of the devices, in a row, as divide a batch."""
    devices = jax.devices()
    if jax.process_count() == 1:
        batch = config.get('batch', len(devices))
        count = max(n for n in range(1, len(devices) + 1) if batch % n == 0)
        devices = devices[:count]
    return make_mesh(devices)
