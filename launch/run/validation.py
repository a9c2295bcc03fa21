"""Values that cannot work, refused before anything is built."""

import math
from collections.abc import Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from launch.cli.flat import flat
from launch.cli.refusal import Refused

WHOLE = 2**31 - 1  # jax counts in 32 bits
MEMORY = 2**39  # bytes; no device has more
# What optax takes unchecked, by the last part of its key: 0 at the least, and below this.
OPTAX = {
    'learning_rate': math.inf,
    'weight_decay': math.inf,
    'clip': math.inf,
    'eps': math.inf,
    'b1': 1,
    'b2': 1,
}


def check_config(config: ConfigDict) -> None:
    """Sees that there is something to do.

    Raises:
      Refused: fewer than one step, one example or one step between two events; a seed of more than
        32 bits, of which jax would drop the upper ones and so repeat another seed's run; another
        number of more than jax counts to; an argument of optax's out of its range.
    """
    if not 0 <= config.seed < 2**32:
        raise Refused(f'--config.seed is {config.seed}; it takes 0 to {2**32 - 1}')
    leaves = flat(config.to_dict())
    for key, value in leaves.items():
        counts = key in ('steps', 'batch') or key.startswith('every.')
        if counts and value < 1:
            raise Refused(f'--config.{key} is {value}; it takes 1 or more')
    for key, value in leaves.items():
        _check_value(key, value)


def check_until(until: int | None, steps: int) -> None:
    """Sees that a launch stops, if it does so before the end, at a step of the run.

    Raises:
      Refused: it is to stop past the end.
    """
    if until and until > steps:
        raise Refused(f'--until is {until}; it takes 1 to {steps}, the steps of the config')


def _check_value(key, value):
    for number in value if isinstance(value, tuple) else [value]:
        if type(number) is int and abs(number) > WHOLE and key != 'seed':
            raise Refused(f'--config.{key} is {value}; a whole number takes at most {WHOLE}')
    below = OPTAX.get(key.rpartition('.')[2])
    if below and isinstance(value, int | float) and not 0 <= value < below:
        limit = '' if below == math.inf else f', below {below}'
        raise Refused(f'--config.{key} is {value}; it takes 0 or more{limit}')


def check_devices(
    config: ConfigDict, mesh: Mapping[str, int] | None, parallel: str, devices: int
) -> None:
    """Sees that batches and parameters can be laid out over the devices.

    Args:
      mesh: axis -> devices along it; None: all along data.
      parallel: 'jit' or 'pmap'.
      devices: how many there are.

    Raises:
      Refused: a mesh of another number of devices, pmap over two axes, a batch that the devices do
        not divide, or microbatches that do not divide what a device has of it.
    """
    axes = {'data': 1, 'model': 1} | dict(mesh or {'data': devices})
    if axes['data'] * axes['model'] != devices:
        given = ','.join(f'{axis}={n}' for axis, n in mesh.items())
        raise Refused(f'--mesh is {given}; its product must be the number of devices, {devices}')
    if parallel == 'pmap' and axes['model'] > 1:
        raise Refused(
            f'--parallel is pmap and --mesh has model={axes["model"]}; pmap splits batches only'
        )
    if config.get('batch', devices) % devices:
        raise Refused(
            f'--config.batch is {config.batch}; it takes a multiple of the {devices} devices'
        )
    parts = config.get('microbatches', 1)
    each = config.get('batch', devices) // devices
    if parts > 1 and each % parts:
        raise Refused(
            f'--config.microbatches is {parts}; it takes a divisor of {each}, '
            f'the examples of a batch on each device'
        )


def check_memory(state: Any) -> None:
    """Sees that the state that a run would begin with is none that no device can hold.

    Args:
      state: jax.ShapeDtypeStructs with shardings.

    Raises:
      Refused: a device's part of it is larger than MEMORY.
    """
    needed = sum(map(_bytes_on_a_device, jax.tree.leaves(state)))
    if needed > MEMORY:
        raise Refused(
            f'the state takes {needed >> 30:,} GiB on each device; '
            f'at most {MEMORY >> 30} GiB are allowed'
        )


def _bytes_on_a_device(leaf):
    return math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
