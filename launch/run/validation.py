"""Values that cannot work, refused before anything is built."""

import math
from typing import Any

from ml_collections import ConfigDict

from launch.cli.flags import Flags
from launch.cli.overrides import flat
from launch.cli.refusal import Refused

WHOLE = 2**31 - 1  # jax counts in 32 bits
FOLD = 10**6
MEMORY = 2**39  # bytes; no device has more
# What optax takes without a look, by the last part of its key: 0 at the least, and below this.
OPTAX = dict(learning_rate=math.inf, weight_decay=math.inf, clip=math.inf, eps=math.inf, b1=1, b2=1)


def check_config(flags: Flags, config: ConfigDict):
    """Sees that there is something to do.

    Raises:
      Refused: fewer than one step, one example or one step between two events; a stop past the end;
        a seed of more than 32 bits, of which jax would drop the upper ones and so repeat another
        seed's run; another number of more than jax counts to; an argument of optax's out of its
        range.
    """
    if not 0 <= config.seed < 2**32:
        raise Refused(f'--config.seed is {config.seed}; it takes 0 to {2**32 - 1}')
    leaves = flat(config.to_dict())
    for key in (k for k in leaves if k in ('steps', 'batch') or k.startswith('every.')):
        if leaves[key] < 1:
            raise Refused(f'--config.{key} is {leaves[key]}; it takes 1 or more')
    for key, value in leaves.items():
        _check_value(key, value)
    if flags.until and flags.until > config.steps:
        raise Refused(
            f'--until is {flags.until}; it takes 1 to {config.steps}, the steps of the config'
        )
    if flags.fold and flags.fold > FOLD:
        raise Refused(f'--fold is {flags.fold}; it takes 1 to {FOLD}')


def _check_value(key, value):
    for number in value if isinstance(value, tuple) else [value]:
        if type(number) is int and abs(number) > WHOLE and key != 'seed':
            raise Refused(f'--config.{key} is {value}; a whole number takes at most {WHOLE}')
    below = OPTAX.get(key.rpartition('.')[2])
    if below and isinstance(value, int | float) and not 0 <= value < below:
        raise Refused(
            f'--config.{key} is {value}; it takes 0 or more{"" if below == math.inf else f", below {below}"}'
        )


def check_devices(flags: Flags, config: ConfigDict, devices: int):
    """Sees that batches and parameters can be laid out over the devices.

    Raises:
      Refused: a mesh of another number of devices, pmap over two axes, a batch that the devices do
        not divide.
    """
    axes = {'data': 1, 'model': 1} | (flags.mesh or {'data': devices})
    if axes['data'] * axes['model'] != devices:
        asked = ','.join(f'{axis}={n}' for axis, n in flags.mesh.items())
        raise Refused(f'--mesh is {asked}; its product must be the number of devices, {devices}')
    if flags.parallel == 'pmap' and axes['model'] > 1:
        raise Refused(
            f'--parallel is pmap and --mesh has model={axes["model"]}; pmap splits batches only'
        )
    if config.get('batch', devices) % devices:
        raise Refused(
            f'--config.batch is {config.batch}; it takes a multiple of the {devices} devices'
        )


def check_memory(state: Any):
    """Sees that the state that a run would begin with is none that no device can hold.

    Args:
      state: jax.ShapeDtypeStructs with shardings.

    Raises:
      Refused: a device's part of it is larger than MEMORY.
    """
    import jax

    bytes_of = lambda leaf: math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
    if (needed := sum(map(bytes_of, jax.tree.leaves(state)))) > MEMORY:
        raise Refused(
            f'the state takes {needed >> 30:,} GiB on each device; at most {MEMORY >> 30} GiB are allowed'
        )
