"""Class labels of conditional networks."""

import jax


def require_labels(classes: int | None, label: jax.Array | None) -> None:
    """Checks that labels are given exactly where a network has classes.

    Args:
      classes: the number of classes; None: the network takes no label.
      label: int [B], or None.

    Raises:
      ValueError: there are classes and no labels, or labels and no classes.
    """
    if (classes is None) != (label is None):
        raise ValueError(
            f'classes is {classes}; labels are {"missing" if label is None else "given"}'
        )
