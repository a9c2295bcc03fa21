"""Files of the averages of parameters that a run keeps, from which others are made afterwards."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from genjax.base import State
from genjax.probes.figures import Measure

UPDATES = 'updates'  # among the arrays of a file


def _same(state):
    return state


def snapshots(names: Sequence[str], fit: Callable[[State], Any] = _same) -> Measure:
    """Leaves averages in files, for `genjax.averages.reconstruction`.

    Args:
      names: of averages among the others of a `Fit`; 'average' for the one that samples.
      fit: the `Fit` in a state, where it is not the state itself.

    Returns:
      A measure of a file NAME.safetensors each, of the leaves by their paths; it says how many
      updates were made.

    Raises:
      ValueError: when measured, for a name that the fit does not keep.
    """

    def measure(key, state):
        del key
        kept = fit(state)
        trees = {'average': kept.average} | kept.others
        missing = [name for name in names if name not in trees]
        if missing:
            raise ValueError(f'no average {missing[0]!r} is kept; there are {sorted(trees)}')
        updates = int(kept.updates)
        return {f'{name}.safetensors': to_safetensors(trees[name], updates) for name in names}

    return measure


def to_safetensors(average: Any, updates: int) -> bytes:
    """safetensors of the leaves of a tree by their paths, and of `updates`, int64 []."""
    import safetensors.numpy

    leaves = jax.device_get(_named_leaves(average))
    arrays = {name: np.asarray(leaf, order='C') for name, leaf in leaves.items()}
    return safetensors.numpy.save(arrays | {UPDATES: np.asarray(updates, np.int64)})


def from_safetensors(content: bytes, like: Any) -> tuple[int, Any]:
    """(updates, average) in a file that `snapshots` left.

    Args:
      content: of the file.
      like: a tree of that form, as the average of a state.

    Raises:
      ValueError: the content is something else, or of another tree.
    """
    import safetensors
    import safetensors.numpy

    try:
        arrays = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError) as error:
        # A KeyError is a type that numpy does not have.
        reason = ' '.join(str(error).split())
        raise ValueError(f'this is no safetensors file of numpy arrays: {reason}') from None

    wanted = _named_leaves(like)
    forms = {name: f'{x.dtype} {list(x.shape)}' for name, x in arrays.items()}
    needed = {name: f'{x.dtype} {list(x.shape)}' for name, x in wanted.items()}
    needed[UPDATES] = 'int64 []'
    for name in needed | forms:
        there, here = forms.get(name), needed.get(name)
        if there != here:
            raise ValueError(f'{name} is {there} in the file; a snapshot of the tree has {here}')
    leaves = [arrays[name] for name in wanted]
    return int(arrays[UPDATES]), jax.tree.unflatten(jax.tree.structure(like), leaves)


def _named_leaves(tree):
    return {
        f'average/{jax.tree_util.keystr(path, simple=True, separator="/")}': leaf
        for path, leaf in jax.tree.leaves_with_path(tree)
    }
