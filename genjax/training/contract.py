"""Whether an algorithm's maps fit its data and one another.

It is found by tracing alone: nothing is compiled or computed.
"""

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

# The errors by which jax, flax and our own code tell of shapes and dtypes.
MISFITS = (ValueError, TypeError, IndexError, FlaxError)
SAMPLES = 2  # drawn to see that a sample has as many examples as were asked for


def require_fit(
    algorithm: Algorithm, state: State, batch: Batch, test: Sequence[Batch], devices: int
) -> None:
    """Sees that every map takes what it will be given, and gives what the contract says.

    `update` and `evaluate` are traced as a run traces them, which then finds them traced: they cost
    a run nothing.

    Args:
      algorithm: whose maps are traced.
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

    test_batch = batch
    if len(test):
        test_batch = jax.eval_shape(lambda x: x, pad_batch(test[0], test[0], devices))
    metrics = traced('evaluate', _as_in_a_run(algorithm.evaluate), key, state, test_batch)
    if not isinstance(metrics, dict):
        raise ValueError(f'evaluate gives {type(metrics).__name__}; needed: metrics by name')
    require_per_example(metrics, batch_length(test_batch))
    _require_no_repeats(batch, test_batch)

    if algorithm.sample is not None:
        sample = jax.jit(algorithm.sample, static_argnums=2)
        samples = traced('sample', lambda key, state: sample(key, state, SAMPLES), key, state)
        _require_length('sample', samples, SAMPLES)
    if algorithm.encode is not None:
        code = traced('encode', jax.jit(algorithm.encode), key, state, batch)
        _require_length('encode', code, batch_length(batch))
        if algorithm.decode is not None:
            decoded = traced('decode', jax.jit(algorithm.decode), key, state, code)
            _require_length('decode', decoded, batch_length(batch))


def form(*trees: Any) -> str:
    """The structure of trees of arrays, with shapes and dtypes."""
    return str(jax.tree.map(_form, trees))


def traced(name: str, function: Callable, *args: Any) -> Any:
    """What a map of an algorithm gives, as jax.ShapeDtypeStructs.

    Args:
      name: of the map.
      function: the map.
      args: that it is given, the batch last.

    Raises:
      ValueError: it does not take what it is given. One line tells of the map, of the error, which
        is chained, and of its place. What `init` refuses stays as it is, and so does every other
        error: that is a bug, not a misfit.
    """
    try:
        return jax.eval_shape(function, *args)
    except KeyError as error:
        batch = args[-1]
        if isinstance(batch, dict) and error.args and error.args[0] not in batch:
            names = ', '.join(map(str, batch))
            raise ValueError(f'{name}: {error} is missing; a batch has: {names}') from error
        raise
    except MISFITS as error:
        if isinstance(error, ValueError) and name == 'init':
            raise
        raise ValueError(f'{name}: {_one_line(error)}') from error


def _as_in_a_run(function):
    """A map inside another program, as the loop of training and the evaluation call it."""
    inner = jax.jit(function)

    def outer(key, state, batch):
        return inner(jax.random.fold_in(key, 0), state, shard_batch(batch))

    return outer


def _one_line(error):
    """An error in one line: a ValueError's message, of others also the kind and the place."""
    message = str(error).strip().partition('\n')[0]
    if isinstance(error, ValueError):
        return message
    places = traceback.extract_tb(error.__traceback__)
    own = [place for place in places if 'site-packages' not in pathlib.Path(place.filename).parts]
    file = pathlib.Path(own[-1].filename).name
    return f'{type(error).__name__}: {message} ({file}, line {own[-1].lineno})'


def _require_alike(test):
    """All test batches run one program, each padded to the length of the first."""
    for i, batch in enumerate(test):
        first = _example_form(test[0])
        own = _example_form(batch)
        if own != first:
            raise ValueError(f'test batch {i + 1} has examples of {own}; the first has {first}')
        if batch_length(batch) > batch_length(test[0]):
            raise ValueError(
                f'test batch {i + 1} has {batch_length(batch)} examples; '
                f'the first, {batch_length(test[0])}, is longest'
            )


def _require_no_repeats(train, test):
    """Sees that no axis of 1 in the test set stands for a longer one in training.

    Of floats it would be broadcast against what was learnt, and scored without a word.
    """
    train_leaves = dict(jax.tree.leaves_with_path(train))
    for path, leaf in jax.tree.leaves_with_path(test):
        like = train_leaves.get(path)
        if like is None or not np.issubdtype(leaf.dtype, np.floating):
            continue
        pairs = zip(like.shape[1:], leaf.shape[1:], strict=False)
        if any((a == 1) != (b == 1) for a, b in pairs):
            name = jax.tree_util.keystr(path, simple=True)
            raise ValueError(
                f'{name} has examples of {like.shape[1:]} in training and {leaf.shape[1:]} in test'
            )


def _example_form(batch):
    return str(jax.tree.map(lambda x: f'{x.dtype}{list(np.shape(x)[1:])}', batch))


def _require_update(result, state):
    """Sees that `update` gives a state like the one before it, and scalars by name."""
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
        kind = type(result).__name__
        raise ValueError(f'update gives {kind}; needed: (state, metrics), the metrics by name')
    after, metrics = result
    for name, metric in metrics.items():
        if metric.shape != ():
            shape = f'{name} of shape {metric.shape}'
            raise ValueError(f'update gives {shape}; metrics of an update are scalars')
    forms_before = _leaf_forms(state)
    forms_after = _leaf_forms(after)
    for path in forms_before | forms_after:
        was = forms_before.get(path, 'nothing')
        now = forms_after.get(path, 'nothing')
        if was != now:
            raise ValueError(f'update gives {path} as {now}; in the state before it is {was}')


def _leaf_forms(tree):
    """{path: dtype and shape} of every leaf."""
    forms = {}
    for path, leaf in jax.tree.leaves_with_path(tree):
        name = jax.tree_util.keystr(path, simple=True, separator='/') or 'the state'
        forms[name] = _form(leaf)
    return forms


def _form(leaf):
    return f'{leaf.dtype}{list(leaf.shape)}'


def _require_length(name, result, n):
    """Sees that every array of a result has n examples."""
    for leaf in jax.tree.leaves(result):
        if leaf.shape[:1] != (n,):
            raise ValueError(
                f'{name} gives shape {leaf.shape} for {n} examples; they stand along the first axis'
            )
