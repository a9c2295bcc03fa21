"""What a network is told beside x and the time: labels, and what augmentation did.

B examples of one shape, C classes; the label C says that there is none.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from genjax.base import Batch, Key, State
from genjax.parallel import example_keys

# (key, x [...]) -> x and the label of what was done to it, [A]
Augment = Callable[[Key, Array], tuple[Array, Array]]
# (key, n) -> the labels of n samples, int32 [n]
Label = Callable[[Key, int], Array]
# (key, state, n) -> samples [n, ...]
Sample = Callable[[Key, State, int], Array]


def images_of(batch: Batch, shape: tuple[int, ...]) -> Array:
    """The images of a batch, [B, *shape].

    Raises:
      ValueError: they are of another shape, which convolutions would take as well, or no floats.
    """
    x = batch['image']
    if x.shape[1:] != shape:
        raise ValueError(f'shape is {shape}; the data have {x.shape[1:]}')
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f'images are {x.dtype}; diffusion needs floats in [-1, 1]')
    return x


def told(batch: Batch, classes: int | None) -> Batch:
    """Name -> [B]: the label, where the model has classes."""
    return {} if classes is None else {'label': batch['label']}


def told_in_training(
    label_key: Key,
    augment_key: Key,
    batch: Batch,
    shape: tuple[int, ...],
    *,
    classes: int | None,
    label_dropout: float,
    augment: Augment | None,
) -> tuple[Array, Batch]:
    """The images of a batch, augmented, and what the network is told of them.

    Args:
      label_key: of which labels are hidden.
      augment_key: of the augmentation.
      batch: {'image': [B, *shape], 'label': [B]}.
      shape: of an image.
      classes: C; None: no labels.
      label_dropout: the share of labels that are hidden.
      augment: of an image; the network is told what was done as `augmentation` [B, A].

    Raises:
      ValueError: see `images_of`.
    """
    x0 = images_of(batch, shape)
    given = told(batch, classes)
    if classes is not None and label_dropout > 0:
        given['label'] = drop_labels(label_key, given['label'], classes, label_dropout)
    if augment is not None:
        x0, given['augmentation'] = jax.vmap(augment)(example_keys(augment_key, len(x0)), x0)
    return x0, given


def shapes_told(
    key: Key, batch: Batch, shape: tuple[int, ...], *, classes: int | None, augment: Augment | None
) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes of what `told_in_training` tells of one example, for the network's beginning.

    Args:
      key: of no consequence, as augmentation wants one.
      batch: see `told_in_training`.
      shape: of an image.
      classes: C; None: no labels.
      augment: see `told_in_training`.
    """
    given = {name: jax.ShapeDtypeStruct((1,), x.dtype) for name, x in told(batch, classes).items()}
    if augment is not None:
        _, done = jax.eval_shape(augment, key, jax.ShapeDtypeStruct(shape, jnp.float32))
        given['augmentation'] = jax.ShapeDtypeStruct((1, *done.shape), done.dtype)
    return given


def drop_labels(key: Key, label: Array, classes: int, share: float) -> Array:
    """Labels [B], a share of them replaced by C, for none."""

    def dropped(key):
        return jax.random.uniform(key) < share

    return jnp.where(jax.vmap(dropped)(example_keys(key, len(label))), classes, label)


def require_label_dropout(label_dropout: float) -> None:
    """Raises a ValueError where it lies outside [0, 1]."""
    if not 0 <= label_dropout <= 1:
        raise ValueError(f'label_dropout is {label_dropout}; it must lie in [0, 1]')


def draw_labelled(draw: Callable[..., Sample]) -> Callable[[Key, State, Array], Array]:
    """(key, state, label int32 [n]) -> samples with these labels.

    Args:
      draw: (label=Label) -> Sample, as `draw_samples` of a denoiser or of a flow map with all
        that is before its label.
    """

    def sample(key, state, label):
        def given(key, n):
            del key, n
            return label

        return draw(label=given)(key, state, len(label))

    return sample


def labels_at_random(classes: int) -> Label:
    """(key, n) -> the labels of n samples, all classes as likely."""

    def label(key, n):
        def one(key):
            return jax.random.randint(key, (), 0, classes)

        return jax.vmap(one)(example_keys(key, n))

    return label


def labels_in_turn(classes: int) -> Label:
    """(key, n) -> 0, 1, ..., C - 1, 0, ..., as the labels of samples."""

    def label(key, n):
        del key
        return jnp.arange(n) % classes

    return label


def labels_by_row(columns: int) -> Label:
    """(key, n) -> the labels of n samples whose rows of so many have one label each."""

    def label(key, n):
        del key
        return jnp.arange(n) // columns

    return label
