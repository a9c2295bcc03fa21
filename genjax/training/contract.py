"""Whether an algorithm's maps fit its data and one another, found by tracing alone: nothing is
compiled or computed."""

import pathlib
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from flax.errors import FlaxError

from genjax.base import Algorithm, Batch, State
from genjax.parallel import batch_length, pad_batch, shard_batch
from genjax.training.evaluation import require_per_example

MISFITS = (
    ValueError,
    TypeError,
    IndexError,
    FlaxError,
)  # by which jax, flax and our own code tell of shapes and dtypes
SAMPLES = 2  # drawn to see that a sample has as many examples as were asked for


def require_fit(
    algorithm: Algorithm, state: State, batch: Batch, test: Sequence[Batch], devices: int
) -> None:
    """Sees that every map of an algorithm takes what it will be given, and gives what the contract
    says.

    `update` and `evaluate` are traced as a run traces them, which then finds them traced: they cost
    a run nothing.

    Args:
      state: as `init` gives it, jax.ShapeDtypeStructs placed on the mesh that is set.
      batch: of training, jax.ShapeDtypeStructs.
      test: host batches; where there are none, `evaluate` is tried on the batch of training.
      devices: that batches are spread over.

    Raises:
      ValueError: a map does not take what it is given, or gives something else; one line, which
        names the map.
    """
    key = jax.eval_shape(jax.random.key, 0)
    _require_alike(test)
    _require_update(traced('update', _as_in_a_run(algorithm.update), key, state, batch), state)

    judged = (
        jax.eval_shape(lambda x: x, pad_batch(test[0], test[0], devices)) if len(test) else batch
    )
    found = traced('evaluate', _as_in_a_run(algorithm.evaluate), key, state, judged)
    if not isinstance(found, dict):
        raise ValueError(f'evaluate gives {type(found).__name__}; needed: metrics by name')
    require_per_example(found, batch_length(judged))
    _require_no_repeats(batch, judged)

    if algorithm.sample is not None:
        sample = jax.jit(algorithm.sample, static_argnums=2)
        drawn = traced('sample', lambda key, state: sample(key, state, SAMPLES), key, state)
        _require_length('sample', drawn, SAMPLES)
    if algorithm.encode is not None:
        code = traced('encode', jax.jit(algorithm.encode), key, state, batch)
        _require_length('encode', code, batch_length(batch))
        if algorithm.decode is not None:
            back = traced('decode', jax.jit(algorithm.decode), key, state, code)
            _require_length('decode', back, batch_length(batch))


def form(*trees: Any) -> str:
    """The structure of trees of arrays, with shapes and dtypes."""
    return str(jax.tree.map(_form, trees))


def traced(name: str, function: Callable, *given: Any) -> Any:
    """What a map of an algorithm gives, as jax.ShapeDtypeStructs.

    Raises:
      ValueError: it does not take what it is given. One line tells of the map, of the error, which
        is chained, and of its place. What `init` refuses stays as it is, and so does every other
        error: that is a bug, not a misfit.
    """
    try:
        return jax.eval_shape(function, *given)
    except KeyError as error:
        batch = given[-1]
        if isinstance(batch, dict) and error.args and error.args[0] not in batch:
            raise ValueError(
                f'{name}: {error} is missing; a batch has: {", ".join(map(str, batch))}'
            ) from error
        raise
    except MISFITS as error:
        if isinstance(error, ValueError) and name == 'init':
            raise
        raise ValueError(f'{name}: {_told(error)}') from error


def _as_in_a_run(function):
    """A map inside another program, as the loop of training and the evaluation call it."""
    inner = jax.jit(function)
    return lambda key, state, batch: inner(jax.random.fold_in(key, 0), state, shard_batch(batch))


def _told(error):
    """An error in one line; a ValueError is taken to say enough, of others the place is told."""
    says = str(error).strip().partition('\n')[0]
    if isinstance(error, ValueError):
        return says
    places = traceback.extract_tb(error.__traceback__)
    own = [place for place in places if 'site-packages' not in pathlib.Path(place.filename).parts]
    return f'{type(error).__name__}: {says} ({pathlib.Path(own[-1].filename).name}, line {own[-1].lineno})'


def _require_alike(test):
    """All test batches run one program, each padded to the length of the first."""
    for i, batch in enumerate(test):
        first, own = _examples(test[0]), _examples(batch)
        if own != first:
            raise ValueError(f'test batch {i + 1} has examples of {own}; the first has {first}')
        if batch_length(batch) > batch_length(test[0]):
            raise ValueError(
                f'test batch {i + 1} has {batch_length(batch)} examples; '
                f'the first, {batch_length(test[0])}, is longest'
            )


def _require_no_repeats(train, test):
    """Of floats an axis of 1 would be broadcast against what was learnt of more, and scored without
    a word."""
    learnt = dict(jax.tree.leaves_with_path(train))
    for path, leaf in jax.tree.leaves_with_path(test):
        like = learnt.get(path)
        if like is None or not np.issubdtype(leaf.dtype, np.floating):
            continue
        pairs = zip(like.shape[1:], leaf.shape[1:], strict=False)
        if any((a == 1) != (b == 1) for a, b in pairs):
            name = jax.tree_util.keystr(path, simple=True)
            raise ValueError(
                f'{name} has examples of {like.shape[1:]} in training and {leaf.shape[1:]} in test'
            )


def _examples(batch):
    return str(jax.tree.map(lambda x: f'{x.dtype}{list(np.shape(x)[1:])}', batch))


def _require_update(given, state):
    if not isinstance(given, tuple) or len(given) != 2 or not isinstance(given[1], dict):
        raise ValueError(
            f'update gives {type(given).__name__}; needed: (state, metrics), the metrics by name'
        )
    after, metrics = given
    for name, metric in metrics.items():
        if metric.shape != ():
            raise ValueError(
                f'update gives {name} of shape {metric.shape}; metrics of an update are scalars'
            )
    before, after = _leaves(state), _leaves(after)
    for path in before | after:
        if before.get(path) != after.get(path):
            gives = f'update gives {path} as {after.get(path, "nothing")}'
            raise ValueError(f'{gives}; in the state before it is {before.get(path, "nothing")}')


def _leaves(tree):
    """Path -> dtype and shape, of every leaf."""
    name = lambda path: jax.tree_util.keystr(path, simple=True, separator='/') or 'the state'
    return {name(path): _form(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}


def _form(leaf):
    return f'{leaf.dtype}{list(leaf.shape)}'


def _require_length(name, given, n):
    for leaf in jax.tree.leaves(given):
        if leaf.shape[:1] != (n,):
            raise ValueError(
                f'{name} gives shape {leaf.shape} for {n} examples; they stand along the first axis'
            )
