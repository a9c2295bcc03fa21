"""Means over a whole test set, exact to the last example."""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from genjax.base import Algorithm, Batch, Key, State, length, padded, spread
from genjax.mesh import Mesh, put_batch, replicated


def evaluator(algorithm: Algorithm, batches: Sequence[Batch], key: Key, mesh: Mesh) -> Callable[[State], dict]:
    """state -> {'test/...': mean over all examples}; {} without batches.

    Every batch is padded to the length of the first, so that one program serves all, and what was padded is left
    out of the means.

    Raises:
      ValueError: evaluate gave something else than one value for each example.
    """

    def values(key, state, batch):
        found = algorithm.evaluate(key, state, spread(batch))
        for name, value in found.items():
            if value.shape != (length(batch),):
                raise ValueError(f'evaluate gave {name} of shape {value.shape} for {length(batch)} examples')
        return found

    compiled = jax.jit(values, out_shardings=replicated(mesh))

    def means(state):
        found = [
            compiled(jax.random.fold_in(key, i), state, put_batch(mesh, padded(batch, batches[0], mesh.size)))
            for i, batch in enumerate(batches)
        ]
        real = [length(batch) for batch in batches]
        return {f'test/{name}': _mean([f[name] for f in found], real) for name in (found[0] if found else ())}

    return means


def _mean(values, lengths):
    total = sum(np.asarray(v)[:n].sum(dtype=np.float64) for v, n in zip(values, lengths, strict=True))
    return float(total / sum(lengths))
