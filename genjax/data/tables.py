"""Rows of numbers as a data set: {'x': float32 [B, D]} and, where they have one, {'label': int32
[B]}.

Letters: N rows, D columns, B rows a batch, C classes.
"""

import numpy as np

from genjax.base import Batch, Data, Resident
from genjax.data.resident import fingerprint, marked, resident


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
    """Rows on the device, shuffled in batches, or all of them at every step.

    Args:
      x: [N, D].
      label: [N], 0 to C - 1.
      batch: B; None serves all rows in their own order, as full-batch EM wants them.
      seed: of the order.
      test: {'x', 'label'}, cut into batches of the same size.
      classes: C; every class must then have an example.
      constant: whether a column may have one value in all rows.

    Raises:
      ValueError: an entry is not finite, a column is constant, a class has no example, a label lies
        outside 0 to C - 1, or batch outside 1 to N.
    """
    arrays = _checked(x, label, classes, constant)
    size = len(arrays['x']) if batch is None else batch
    rows = None if test is None else _checked(test['x'], test.get('label'), None, True)
    tests = [] if test is None else _cut(rows, size)
    if batch is not None:
        return marked(Data(resident(arrays, batch=batch, seed=seed), tests), fingerprint(rows))
    import jax.numpy as jnp

    held = {name: jnp.asarray(rows) for name, rows in arrays.items()}
    return marked(
        Data(Resident(held, lambda held, step: held, fingerprint(arrays)), tests), fingerprint(rows)
    )


def _checked(x, label, classes, constant):
    x = np.asarray(x)
    if x.ndim != 2 or not x.size:
        raise ValueError(f'x has shape {x.shape}; a table needs rows and columns, [N, D]')
    # Before float32, in which a large float64 would become infinite and small differences would
    # vanish.
    bad = np.argwhere(~np.isfinite(x.astype(np.float32)))
    if len(bad):
        raise ValueError(
            f'x has {x[tuple(bad[0])]} in column {bad[0][1]}, row {bad[0][0]}; all entries must be finite'
        )
    x = np.ascontiguousarray(x, np.float32)
    same = np.flatnonzero((x == x[:1]).all(0))
    if len(same) and not constant:
        raise ValueError(
            f'column {same[0]} of x is {x[0, same[0]]} in all {len(x)} rows; leave it out, or allow it'
        )
    if label is None:
        return {'x': x}
    label = np.ascontiguousarray(label, np.int32)
    _check_labels(label, len(x), classes)
    return {'x': x, 'label': label}


def _check_labels(label, rows, classes):
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
    return [
        {name: rows[i : i + size] for name, rows in arrays.items()}
        for i in range(0, len(arrays['x']), size)
    ]
