"""Several processes that train one run together: how they find each other, and which of them acts
and speaks."""

import collections
import os
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from genjax.training import make_mesh
from genjax.training.mesh import put_batch, replicated
from launch.cli.refusal import Refused, refusing

VARIABLES = ('JAX_COORDINATOR_ADDRESS', 'JAX_NUM_PROCESSES', 'JAX_PROCESS_ID')


def join(asked: bool, environment: Mapping[str, str] = os.environ) -> None:
    """Joins the other processes, where --distributed asks for it or a scheduler has started
    several.

    Raises:
      Refused: the variables name no processes, or the others do not come.
    """
    if not asked and not is_one_of_several(environment):
        return
    values = [environment.get(name) for name in VARIABLES]
    address, count, index = values
    if None in values and (count, index) != (None, None):
        missing = VARIABLES[values.index(None)]
        raise Refused(f'--distributed needs {missing} too; {" and ".join(VARIABLES)} go together')
    numbers = {}
    if count is not None:
        if not (count.isdecimal() and index.isdecimal() and int(index) < int(count)):
            raise Refused(
                f'{VARIABLES[1]} is {count} and {VARIABLES[2]} is {index}; '
                f'needed: numbers, the second below the first'
            )
        numbers = {'num_processes': int(count), 'process_id': int(index)}
    with refusing(ValueError, RuntimeError):
        jax.distributed.initialize(address, **numbers)
    _connect_devices()


def _connect_devices():
    """Connects all devices while the processes are still abreast: on CPUs the first to wait does so
    for 30 s alone."""
    mesh = make_mesh()
    total = jax.jit(lambda x: x.sum(), out_shardings=replicated(mesh))
    total(put_batch(mesh, np.ones(mesh.size, np.float32))).block_until_ready()
    _from_first_process(True)


def is_one_of_several(environment: Mapping[str, str]) -> bool:
    """Whether Slurm has started this as one of several tasks of a step, or a TPU pod has more than
    one host."""
    tasks = environment.get('SLURM_STEP_NUM_TASKS', '1') if 'SLURM_PROCID' in environment else '1'
    return int(tasks) > 1 or ',' in environment.get('TPU_WORKER_HOSTNAMES', '')


def once(act: Callable[[], None]) -> None:
    """Lets the first process do what must be done once, before the others go on.

    Raises:
      Refused: it refused, which ends all of them.
    """
    refusal = None
    if jax.process_index() == 0:
        try:
            act()
        except Refused as error:
            refusal = error
    if _from_first_process(refusal is not None):
        raise refusal or Refused('the first process refused, and its output says why')


def _from_first_process(value: bool) -> bool:
    if jax.process_count() == 1:
        return value
    return bool(multihost_utils.broadcast_one_to_all(np.bool_(value)))


def agreed(interrupted: Callable[[], bool]) -> Callable[[], bool]:
    """A function that tells, on all processes alike, whether one of them was interrupted.

    It answers what was so when it was last asked, so that no process waits for its devices to
    learn of the others.
    """
    if jax.process_count() == 1:
        return interrupted
    mesh = Mesh(np.array(jax.devices()), 'process')
    split = NamedSharding(mesh, PartitionSpec('process'))
    whole = NamedSharding(mesh, PartitionSpec())
    any_of = jax.jit(jnp.any, out_shardings=whole)
    answers = collections.deque()

    def any_interrupted():
        here = np.full(jax.local_device_count(), interrupted())
        answers.append(any_of(jax.make_array_from_process_local_data(split, here)))
        return len(answers) > 1 and bool(answers.popleft())

    return any_interrupted
