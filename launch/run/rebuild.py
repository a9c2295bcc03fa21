"""A run that was launched, planned again from its directory; nothing is written there."""

import pathlib

from launch.cli import catalogue
from launch.cli.flags import parse
from launch.cli.flat import flat
from launch.cli.overrides import override
from launch.cli.refusal import Refused
from launch.run import planning, rundir
from launch.run.plan import Plan
from launch.viewer.runs import training_launches


def plan(workdir: pathlib.Path) -> Plan:
    """The plan of the newest launch that trained in a run directory, with the config of
    config.json.

    Raises:
      Refused: they are not there, or the experiment is gone or has changed so that they suit it no
        more.
    """
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
        texts[key] = value if isinstance(value, str) else repr(value)
    config = override(module.get_config(), texts)
    if flags.data_dir is not None:
        config.data_dir = flags.data_dir
    # The config as it is: no setting of it was given on a command line.
    experiment, mesh, rules = planning.build(module, flags._replace(overrides={}), config)
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
