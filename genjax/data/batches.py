"""Batches from the host: random access, shuffling, threads and prefetching, all by grain."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple


class Batches(NamedTuple):
    """Endless batches of a set on the host, as `base.Streamed` takes them.

    Attributes:
      load: step -> the batch of that step, arrays stacked along a new leading axis.
      stream: step -> endless iterator over load(step), load(step + 1), ..., prefetched by threads.
      share: (i, n, step) -> a stream of the i-th of n equal parts of each batch; the records of
        the other parts are not fetched.
    """

    load: Callable[[int], Any]
    stream: Callable[[int], Iterator[Any]]
    share: Callable[[int, int, int], Iterator[Any]]


def require_batch(batch: int, n: int) -> None:
    """Checks that a batch of distinct examples can be drawn from a set.

    Args:
      batch: number of examples in the batch.
      n: number of examples in the set.

    Raises:
      ValueError: batch lies outside 1 to n.
    """
    if not 1 <= batch <= n:
        raise ValueError(f'batch is {batch}; a set of {n} examples allows 1 to {n}')


def shuffled(
    source: Sequence[Any],
    *,
    batch: int,
    seed: int,
    read: Callable[[Any], Any] = lambda record: record,
    threads: int = 16,
    prefetch: int = 16,
) -> Batches:
    """Endless shuffled batches, in a new order every epoch.

    Args:
      source: records by index, with a length; a record is fetched when its batch is.
      batch: number of examples in a batch.
      seed: seed of the order, at least 0.
      read: record -> pytree of numpy arrays, of the same shapes for every record.
      threads: number of threads that fetch and read.
      prefetch: number of batches that a stream keeps ready.

    Raises:
      ValueError: batch lies outside 1 to the length of source; or, of `share`, n does not divide
        batch.
    """
    import grain

    require_batch(batch, len(source))
    records = grain.MapDataset.source(source).seed(seed).shuffle().repeat(None).map(read)
    batches = records.batch(batch, drop_remainder=True)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=prefetch)

    def share(i, n, step):
        if batch % n:
            raise ValueError(f'batch is {batch}, which the {n} processes do not divide')
        # The n parts of a batch are n consecutive batches of batch // n examples.
        parts = records.batch(batch // n, drop_remainder=True)
        own_parts = parts[step * n + i :: n]
        return iter(own_parts.to_iter_dataset(options))

    def stream(step):
        return share(0, 1, step)

    return Batches(batches.__getitem__, stream, share)


def ordered(
    source: Sequence[Any], *, batch: int, read: Callable[[Any], Any] = lambda record: record
) -> Sequence[Any]:
    """The batches of a source in its own order, made on access; the last may be shorter.

    Iterating over them uses threads.

    Args:
      source: records by index, with a length.
      batch: number of examples in a batch.
      read: record -> pytree of numpy arrays, of the same shapes for every record.
    """
    import grain

    return grain.MapDataset.source(source).map(read).batch(batch)
