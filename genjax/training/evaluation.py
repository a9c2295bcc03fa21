"""Means over a whole test set, exact to the last example."""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from genjax.base import Algorithm, Batch, Key, Metrics, State
from genjax.parallel import batch_length, pad_batch, shard_batch
from genjax.training.mesh import Mesh, put_batch, replicated


def evaluator(
    algorithm: Algorithm, batches: Sequence[Batch], key: Key, mesh: Mesh
) -> Callable[[State], dict]:
    """state -> {'test/...': mean over all examples}; {} without batches.

    Every batch is padded to the length of the first, so that one program serves all, and what was
    padded is left out of the means.

    Raises:
      ValueError: evaluate gave something else than one value for each example.
    """

    inner = jax.jit(
        algorithm.evaluate
    )  # so that what was traced when the experiment was checked is of use

    def values(key, state, batch):
        found = inner(key, state, shard_batch(batch))
        require_per_example(found, batch_length(batch))
        return found

    compiled = jax.jit(values, out_shardings=replicated(mesh))

    def means(state):
        found = [
            compiled(
                jax.random.fold_in(key, i),
                state,
                put_batch(mesh, pad_batch(batch, batches[0], mesh.size)),
            )
            for i, batch in enumerate(batches)
        ]
        real = [batch_length(batch) for batch in batches]
        return {
            f'test/{name}': _mean([f[name] for f in found], real)
            for name in (found[0] if found else ())
        }

    return means


def require_per_example(metrics: Metrics, n: int) -> None:
    """Raises ValueError unless metrics are one value for each of n examples, by name."""
    for name, value in metrics.items():
        if value.shape != (n,):
            raise ValueError(f'evaluate gave {name} of shape {value.shape} for {n} examples')


def _mean(values, lengths):
    total = sum(
        np.asarray(v)[:n].sum(dtype=np.float64) for v, n in zip(values, lengths, strict=True)
    )
    return float(total / sum(lengths))
