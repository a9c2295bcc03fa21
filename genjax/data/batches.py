"""Batches from the host: random access, shuffling, threads and reading ahead, all by grain."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any


def require_batch(batch: int, n: int) -> None:
    """Raises ValueError unless a batch of distinct examples can be drawn from n."""
    if not 1 <= batch <= n:
        raise ValueError(f'batch is {batch}; a set of {n} examples allows 1 to {n}')


def shuffled(
    source: Sequence[Any],
    *,
    batch: int,
    seed: int,
    read: Callable[[Any], Any] = lambda record: record,
    threads: int = 16,
    ahead: int = 16,
) -> tuple[
    Callable[[int], Any], Callable[[int], Iterator[Any]], Callable[[int, int, int], Iterator[Any]]
]:
    """Endless shuffled batches, in a new order every epoch.

    Args:
      source: records by index, with a length; record i is fetched when its batch is.
      batch: examples in a batch.
      seed: of the order, at least 0.
      read: from a record to a pytree of numpy arrays, the same shapes for every record.
      threads: that fetch and read.
      ahead: batches that stream keeps ready.

    Returns:
      load: step -> the batch of that step, arrays stacked along a new leading axis.
      stream: step -> endless iterator over load(step), load(step + 1), ..., read ahead by threads.
      share: (i, n, step) -> the same of the i-th of n equal parts of each batch, and nothing else
        is fetched.

    Raises:
      ValueError: batch lies outside 1 to the length of source.
    """
    import grain

    require_batch(batch, len(source))
    records = grain.MapDataset.source(source).seed(seed).shuffle().repeat(None).map(read)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)

    def share(i, n, step):  # the n parts of a batch are n smaller batches that follow one another
        if batch % n:
            raise ValueError(f'batch is {batch}, which the {n} processes do not divide')
        return iter(
            records.batch(batch // n, drop_remainder=True)[step * n + i :: n].to_iter_dataset(
                options
            )
        )

    return (
        records.batch(batch, drop_remainder=True).__getitem__,
        lambda step: share(0, 1, step),
        share,
    )


def ordered(
    source: Sequence[Any], *, batch: int, read: Callable[[Any], Any] = lambda record: record
) -> Sequence[Any]:
    """The batches of source in its own order, made on access; the last may be shorter. Iterating
    uses threads.

    Args: as of `shuffled`.
    """
    import grain

    return grain.MapDataset.source(source).map(read).batch(batch)
