"""Samples by the thousand: sample i follows from the seed and its number i alone.

Numbers are cut into groups, i in [g B, (g + 1) B), and a group is what one device draws in one
call, by one program. So no bit of a sample depends on the devices, on which others are asked for,
or on where the drawing was stopped; on B it depends by rounding.

Letters: B samples of a group, D devices.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from genjax.base import State
from genjax.training.contract import MISFITS
from genjax.training.experiment import Experiment, run_keys
from genjax.training.mesh import put

AXIS = 'samples'  # that groups are split over; no algorithm knows it


class Generator(NamedTuple):
    """What draws the samples of a state.

    Attributes:
      draw: groups [...] -> (group, its samples [B, ...]) of each, in order.
      example: of a sample.
      size: B.
    """

    draw: Callable[[Sequence[int]], Iterator[tuple[int, np.ndarray]]]
    example: jax.ShapeDtypeStruct
    size: int


def generator(
    experiment: Experiment,
    state: State,
    *,
    seed: int,
    mesh: Mesh,
    labels: Sequence[int] | None = None,
    batch: int = 64,
) -> Generator:
    """Draws samples of a state, images in [-1, 1] where the experiment has them as such.

    Sample i spends fold_in(run_keys(seed).samples, i). Each device draws from the whole state.

    Args:
      experiment: whose samples are drawn.
      state: of its algorithm.
      seed: of the samples, not of the run.
      mesh: the devices.
      labels: of the samples 0, 1, ..., taken in turn; by default all in turn. A model without
        labels takes none.
      batch: B.

    Raises:
      ValueError: the experiment does not sample, or not one array; labels that are none of its.
    """
    one, turn = _one_sample(experiment, labels)
    turn = np.asarray(turn, np.int32)
    key_data = np.asarray(jax.random.key_data(run_keys(seed).samples))
    devices = mesh.devices.flatten()
    row = Mesh(devices, (AXIS,), axis_types=(AxisType.Auto,))
    program = _program(one, row, batch)

    def call(groups):
        """A group on each device; devices without one draw the last again."""
        padded = np.asarray([*groups, *[groups[-1]] * (len(devices) - len(groups))], np.int32)
        group = put(padded, NamedSharding(row, PartitionSpec(AXIS)))
        return groups, program(state, key_data, turn, group)

    def draw(groups):
        waiting = None
        for first in range(0, len(groups), len(devices)):
            called = call(groups[first : first + len(devices)])
            if waiting is not None:  # the devices are at work on the next call by then
                yield from _by_group(*waiting, batch)
            waiting = called
        if waiting is not None:
            yield from _by_group(*waiting, batch)

    return Generator(draw, _example_of(one, state), batch)


def _program(one: Callable[..., jax.Array], row: Mesh, batch: int) -> Callable[..., jax.Array]:
    """(state, data of the root key, labels in turn, a group for each device [D]) -> the samples of
    these groups, [D B, ...], on every device."""

    def draw_group(state, key_data, turn, group):
        """The samples of one device's group [1], [B, ...]."""
        root = jax.random.wrap_key_data(key_data)
        number = group * batch + jnp.arange(batch)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(root, number)
        return jax.vmap(one, (None, 0, 0))(state, keys, turn[number % len(turn)])

    whole = PartitionSpec()
    split = PartitionSpec(AXIS)
    by_device = jax.shard_map(
        draw_group,
        mesh=row,
        in_specs=(whole, whole, whole, split),
        out_specs=split,
        check_vma=False,
    )
    return jax.jit(by_device, out_shardings=NamedSharding(row, whole))


def _by_group(
    groups: Sequence[int], samples: jax.Array, batch: int
) -> Iterator[tuple[int, np.ndarray]]:
    host = np.asarray(samples.addressable_data(0))
    for i, group in enumerate(groups):
        yield group, host[i * batch : (i + 1) * batch]


def generate(
    experiment: Experiment,
    state: State,
    *,
    seed: int,
    numbers: Sequence[int],
    mesh: Mesh,
    labels: Sequence[int] | None = None,
    batch: int = 64,
) -> np.ndarray:
    """The samples of some numbers, [n, ...], as `generator` draws them.

    Args:
      numbers: of the samples, each 0 or more. Whole groups are drawn, of which these are taken.
      experiment, state, seed, mesh, labels, batch: as `generator` takes them.

    Raises:
      ValueError: as `generator` does.
    """
    made = generator(experiment, state, seed=seed, mesh=mesh, labels=labels, batch=batch)
    numbers = np.asarray(numbers, np.int64)
    samples = np.empty((len(numbers), *made.example.shape), made.example.dtype)
    groups, places = numbers // batch, numbers % batch
    for group, drawn in made.draw(np.unique(groups).tolist()):
        here = groups == group
        samples[here] = drawn[places[here]]
    return samples


def labels_of(experiment: Experiment, labels: Sequence[int] | None) -> list[int]:
    """The labels that samples take in turn; [] where the model has none.

    Raises:
      ValueError: some are none of its.
    """
    if experiment.labelled is None:
        if labels is not None:
            raise ValueError(f'labels are {list(labels)}; the model has none')
        return []
    classes = experiment.labelled.classes
    if labels is None:
        return list(range(classes))
    wrong = [label for label in labels if not 0 <= label < classes]
    if wrong or not len(labels):
        raise ValueError(f'labels are {list(labels)}; they must lie in 0..{classes - 1}')
    return list(labels)


def _one_sample(experiment, labels):
    """((state, key, label) -> a sample [...], the labels in turn)."""
    turn = labels_of(experiment, labels)
    if experiment.labelled is not None:
        sample_labelled = experiment.labelled.sample

        def one(state, key, label):
            return jax.tree.map(lambda x: x[0], sample_labelled(key, state, label[None]))

        return one, turn

    sample = experiment.images or experiment.algorithm.sample
    if sample is None:
        raise ValueError('the algorithm defines no samples')

    def one_without(state, key, label):
        del label
        return jax.tree.map(lambda x: x[0], sample(key, state, 1))

    return one_without, [0]


def _example_of(one, state):
    """The shape of a sample.

    Raises:
      ValueError: it cannot be traced, or is not one array.
    """
    key = jax.eval_shape(jax.random.key, 0)
    label = jax.ShapeDtypeStruct((), jnp.int32)
    try:
        example = jax.eval_shape(one, state, key, label)
    except MISFITS as error:
        raise ValueError(f'sample: {error}') from error
    if not isinstance(example, jax.ShapeDtypeStruct):
        raise ValueError(f'sample gives {type(example).__name__}; one array is needed')
    return example
