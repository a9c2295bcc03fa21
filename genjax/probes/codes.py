"""Codes by their labels: accuracies of classifiers, and scatters.

For any `encode` (key, state, batch) -> code [B, ...]. Batches are {'x': [B, ...], 'label': int
[B]}. N examples, K entries of a code.
"""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from genjax.base import Batch, Key, State
from genjax.metrics.code_accuracy import linear_accuracy, neighbour_accuracy
from genjax.parallel import pad_batch
from genjax.probes.figures import Measure, render
from genjax.probes.word_figures import principal_plane

Encode = Callable[[Key, State, Batch], jax.Array]

NAME_BOX = dict(boxstyle='round,pad=0.15', facecolor='white', edgecolor='none', alpha=0.7)


def scatter_picture(codes: np.ndarray, label: np.ndarray) -> np.ndarray:
    """A picture of codes coloured by label, uint8 [H, W, 3].

    Codes of two entries are drawn as they are, others at their first two principal components.

    Args:
      codes: [N, K].
      label: [N].
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    if codes.shape[1] == 2:
        points = codes
        axis_name = 'entry {} of the code'
    else:
        points = principal_plane(codes)
        axis_name = 'principal component {}'
    classes = np.unique(label)
    if len(classes) <= 10:
        colours = colormaps['tab10'].colors
    else:
        colours = colormaps['turbo'](np.linspace(0, 1, len(classes)))

    figure = Figure((8, 6), 100)
    # The place that a tight layout would give, which takes as long as all the rest.
    place = (0.09, 0.09, 0.79, 0.89)
    axes = figure.add_axes(place, xlabel=axis_name.format(1), ylabel=axis_name.format(2))
    for kind, colour in zip(classes, colours, strict=False):
        x, y = points[label == kind].T
        axes.scatter(x, y, s=16, color=colour, alpha=0.7, linewidths=0, label=str(kind))
        # The name at the median too, so that classes can be read without their colours.
        axes.text(
            np.median(x),
            np.median(y),
            str(kind),
            size=14,
            weight='bold',
            ha='center',
            bbox=NAME_BOX,
            zorder=3,
        )
    axes.legend(title='class', loc='center left', bbox_to_anchor=(1, 0.5), markerscale=2)
    return render(figure)


def code_accuracy(
    encode: Encode, train: Sequence[Batch], test: Sequence[Batch], *, k: int = 5
) -> Measure:
    """How well labels can be read from codes.

    Args:
      encode: (key, state, batch) -> codes [B, ...].
      train: batches that the classifiers are fitted to.
      test: batches that are classified.
      k: neighbours.

    Returns:
      A measure of 'linear', see `linear_accuracy`, and 'nearest', see `neighbour_accuracy`.

    Raises:
      ValueError: train has no batch.
    """
    if not train:
        raise ValueError('train has 0 batches; at least 1 is needed to read labels from codes')
    encode_all = _encode_all(encode)

    def measure(key, state):
        train_key, test_key = jax.random.split(key)
        train_codes, train_label = encode_all(train_key, state, train)
        test_codes, test_label = encode_all(test_key, state, test)
        data = (train_codes, train_label, test_codes, test_label)
        return {'linear': linear_accuracy(*data), 'nearest': neighbour_accuracy(*data, k=k)}

    return measure


def scatter(encode: Encode, batches: Sequence[Batch]) -> Measure:
    """The codes of batches coloured by label, 'scatter'; see `scatter_picture`."""
    encode_all = _encode_all(encode)

    def measure(key, state):
        codes, label = encode_all(key, state, batches)
        return {'scatter': scatter_picture(codes, label)}

    return measure


def _encode_all(encode):
    """(key, state, batches) -> codes [N, K] and labels [N] of all batches, on the host."""
    compiled = jax.jit(encode)

    def encode_all(key, state, batches):
        results = []
        for i, batch in enumerate(batches):
            padded = pad_batch(batch, batches[0])
            results.append(compiled(jax.random.fold_in(key, i), state, padded))
        labels = [np.asarray(batch['label']) for batch in batches]
        codes = np.concatenate(
            [
                code[: len(label)]
                for code, label in zip(jax.device_get(results), labels, strict=True)
            ]
        )
        return codes.reshape(len(codes), -1), np.concatenate(labels)

    return encode_all
