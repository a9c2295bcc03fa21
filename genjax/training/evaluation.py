"""Means over a whole test set, exact to the last example."""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from genjax.base import Algorithm, Batch, Key, Metrics, State
from genjax.parallel import batch_length, pad_batch, shard_batch
from genjax.training.mesh import Mesh, put_batch, replicated


def evaluator(
    algorithm: Algorithm, batches: Sequence[Batch], key: Key, mesh: Mesh
) -> Callable[[State], dict[str, float]]:
    """The function state -> {'test/...': mean over all examples}; {} without batches.

    Every batch is padded to the length of the first, so that one program serves all, and what was
    padded is left out of the means.

    Args:
      algorithm: whose `evaluate` is used.
      batches: of the host, none longer than the first.
      key: of the evaluation; batch i spends fold_in(key, i).
      mesh: that batches are split over.

    Raises:
      ValueError: evaluate gave something else than one value for each example.
    """
    # Compiled by itself, so that what was traced when the experiment was checked is of use here.
    evaluate = jax.jit(algorithm.evaluate)

    def evaluate_shard(key, state, batch):
        metrics = evaluate(key, state, shard_batch(batch))
        require_per_example(metrics, batch_length(batch))
        return metrics

    compiled = jax.jit(evaluate_shard, out_shardings=replicated(mesh))

    def means(state):
        if not batches:
            return {}
        metrics = []
        for i, batch in enumerate(batches):
            padded = put_batch(mesh, pad_batch(batch, batches[0], mesh.size))
            metrics.append(compiled(jax.random.fold_in(key, i), state, padded))
        lengths = [batch_length(batch) for batch in batches]
        return {
            f'test/{name}': _mean([each[name] for each in metrics], lengths) for name in metrics[0]
        }

    return means


def require_per_example(metrics: Metrics, n: int) -> None:
    """Sees that metrics are one value for each of n examples.

    Raises:
      ValueError: one is not; its name and shape.
    """
    for name, value in metrics.items():
        if value.shape != (n,):
            raise ValueError(f'evaluate gave {name} of shape {value.shape} for {n} examples')


def _mean(values, lengths):
    """The mean of arrays, of which the first `length` values each are of examples."""
    sums = [
        np.asarray(array)[:length].sum(dtype=np.float64)
        for array, length in zip(values, lengths, strict=True)
    ]
    return float(sum(sums) / sum(lengths))
