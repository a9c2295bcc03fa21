"""Rows of numbers as a data set: {'x': float32 [B, D]}, and {'label': int32 [B]} if there are any.

Letters: N rows, D columns, B rows a batch, C classes.
"""

import numpy as np

from genjax.base import Batch, Data, Resident
from genjax.data.resident import fingerprint, resident, with_fingerprints


def table(
    x: np.ndarray,
    label: np.ndarray | None = None,
    *,
    batch: int | None,
    seed: int = 0,
    test: Batch | None = None,
    classes: int | None = None,
    constant: bool = False,
) -> Data:
    """Rows on the device, in shuffled batches or all of them at every step.

    Args:
      x: the training rows, [N, D].
      label: their classes [N], 0 to C - 1; None for rows without labels.
      batch: B; None serves all rows in their own order, as full-batch EM wants them.
      seed: seed of the order.
      test: {'x', 'label'} of the test rows, which are cut into batches of the same size.
      classes: C; every class must then have an example. None leaves labels unchecked.
      constant: whether a column may have one value in all rows.

    Raises:
      ValueError: an entry is not finite, a column is constant, a class has no example, a label lies
        outside 0 to C - 1, or batch outside 1 to N.
    """
    arrays = _checked(x, label, classes, constant)
    test_arrays = None
    tests = []
    if test is not None:
        test_arrays = _checked(test['x'], test.get('label'), None, True)
        tests = _cut(test_arrays, len(arrays['x']) if batch is None else batch)

    train = _whole(arrays) if batch is None else resident(arrays, batch=batch, seed=seed)
    return with_fingerprints(Data(train, tests), fingerprint(test_arrays))


def _whole(arrays: Batch) -> Resident:
    """A training set whose batch is all of its rows at every step."""
    import jax.numpy as jnp

    def make_batch(arrays, step):
        return arrays

    on_device = {name: jnp.asarray(rows) for name, rows in arrays.items()}
    return Resident(on_device, make_batch, fingerprint(arrays))


def _checked(
    x: np.ndarray, label: np.ndarray | None, classes: int | None, constant: bool
) -> dict[str, np.ndarray]:
    """Rows and labels in their dtypes, after the checks that `table` promises."""
    x = np.asarray(x)
    if x.ndim != 2 or not x.size:
        raise ValueError(f'x has shape {x.shape}; a table needs rows and columns, [N, D]')

    # By what float32 holds, in which a large float64 is infinite and small differences vanish.
    bad = np.argwhere(~np.isfinite(x.astype(np.float32)))
    if len(bad):
        row, column = bad[0]
        raise ValueError(
            f'x has {x[row, column]} in column {column}, row {row}; all entries must be finite'
        )

    x = np.ascontiguousarray(x, np.float32)
    same = np.flatnonzero((x == x[:1]).all(0))
    if len(same) and not constant:
        column = same[0]
        raise ValueError(
            f'column {column} of x is {x[0, column]} in all {len(x)} rows; '
            'leave it out, or allow it'
        )

    if label is None:
        return {'x': x}
    label = np.ascontiguousarray(label, np.int32)
    _check_labels(label, len(x), classes)
    return {'x': x, 'label': label}


def _check_labels(label: np.ndarray, rows: int, classes: int | None) -> None:
    if label.shape != (rows,):
        raise ValueError(f'label has shape {label.shape}; x has {rows} rows')
    if classes is None:
        return
    outside = label[(label < 0) | (label >= classes)]
    if len(outside):
        raise ValueError(
            f'label has {outside[0]}; with {classes} classes it lies in 0 to {classes - 1}'
        )
    counts = np.bincount(label, minlength=classes)
    if not counts.all():
        raise ValueError(
            f'class {counts.argmin()} has no examples; each of the {classes} classes needs one'
        )


def _cut(arrays: Batch, size: int) -> list[Batch]:
    """Arrays in batches of a size, the last of which may be shorter."""
    starts = range(0, len(arrays['x']), size)
    return [{name: rows[start : start + size] for name, rows in arrays.items()} for start in starts]
