"""Values that cannot work, refused before anything is built."""

from ml_collections import ConfigDict

from launch.flags import Flags
from launch.overrides import flat
from launch.refusal import Refused


def check_config(flags: Flags, config: ConfigDict):
    """Sees that there is something to do.

    Raises:
      Refused: fewer than one step, one example or one step between two events; a stop past the end; a seed
        of more than 32 bits, of which jax would drop the upper ones and so repeat another seed's run.
    """
    if not 0 <= config.seed < 2**32:
        raise Refused(f'--config.seed is {config.seed}; it takes 0 to {2**32 - 1}')
    leaves = flat(config.to_dict())
    for key in (k for k in leaves if k in ('steps', 'batch') or k.startswith('every.')):
        if leaves[key] < 1:
            raise Refused(f'--config.{key} is {leaves[key]}; it takes 1 or more')
    if flags.until and flags.until > config.steps:
        raise Refused(f'--until is {flags.until}; it takes 1 to {config.steps}, the steps of the config')


def check_devices(flags: Flags, config: ConfigDict, devices: int):
    """Sees that batches and parameters can be laid out over the devices.

    Raises:
      Refused: a mesh of another number of devices, pmap over two axes, a batch that the devices do not divide.
    """
    axes = {'data': 1, 'model': 1} | (flags.mesh or {'data': devices})
    if axes['data'] * axes['model'] != devices:
        asked = ','.join(f'{axis}={n}' for axis, n in flags.mesh.items())
        raise Refused(f'--mesh is {asked}; its product must be the number of devices, {devices}')
    if flags.parallel == 'pmap' and axes['model'] > 1:
        raise Refused(f'--parallel is pmap and --mesh has model={axes["model"]}; pmap splits batches only')
    if config.get('batch', devices) % devices:
        raise Refused(f'--config.batch is {config.batch}; it takes a multiple of the {devices} devices')
