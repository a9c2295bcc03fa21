"""What codes hold, in numbers and pictures, for any `encode` (key, state, batch) -> code [B, ...]
and any `decode` (key, state, code) -> x [B, ...].

Batches are {'x': [B, ...], 'label': int [B]}, the label where it is asked for. `view` shows x [B,
...] as images [B, H, W, C] in [-1, 1]; `unit_images` is one. Functions of arrays come first, then
measures that a Probe can hold.

N training examples, M test examples, K entries of a code.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from genjax.base import Batch, Key, State
from genjax.parallel import pad_batch
from genjax.probes.figures import Measure, drawn, tile, to_pixels
from genjax.probes.word_figures import plane

Encode = Callable[[Key, State, Batch], Any]
Decode = Callable[[Key, State, Any], Any]
View = Callable[[Any], Any]
Corrupt = Callable[[Key, Any], Any]  # of one example


def unit_images(shape: tuple[int, int, int]) -> View:
    """The view of rows x [B, H W C] of grey levels in [0, 1] as images of shape (H, W, C); it can
    be traced."""
    return lambda x: 2 * x.reshape(-1, *shape) - 1


def linear_accuracy(
    codes: np.ndarray, label: np.ndarray, test_codes: np.ndarray, test_label: np.ndarray
) -> float:
    """The share of test codes that a linear classifier of codes labels rightly.

    The classifier is multinomial logistic regression, scikit-learn's with its L2 penalty (C = 1),
    on codes whose entries have been scaled to mean 0 and variance 1 by those of the training codes.

    Args:
      codes, label: [N, K] and [N], of training.
      test_codes, test_label: [M, K] and [M].
    """
    from sklearn.linear_model import LogisticRegression

    mean, scale = codes.mean(0, dtype=np.float64), codes.std(0, dtype=np.float64)
    standard = lambda x: (x - mean) / np.where(scale > 0, scale, 1)
    classifier = LogisticRegression(max_iter=2000).fit(standard(codes), label)
    return float(classifier.score(standard(test_codes), test_label))


def neighbour_accuracy(
    codes: np.ndarray, label: np.ndarray, test_codes: np.ndarray, test_label: np.ndarray, *, k: int
) -> float:
    """The share of test codes [M, K] that most of their k nearest codes [N, K], by Euclidean
    distance, label rightly.

    Of labels with as many votes the smallest wins.
    """
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(k, algorithm='brute').fit(codes, label)
    return float(classifier.score(test_codes, test_label))


def code_scatter(codes: np.ndarray, label: np.ndarray) -> np.ndarray:
    """A picture of codes [N, K] coloured by label [N], uint8 [H, W, 3].

    Codes of two entries stand where they are, others at their first two principal components.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    direct, classes = codes.shape[1] == 2, np.unique(label)
    points, name = (
        (codes, 'entry {} of the code') if direct else (plane(codes), 'principal component {}')
    )
    colours = (
        colormaps['tab10'].colors
        if len(classes) <= 10
        else colormaps['turbo'](np.linspace(0, 1, len(classes)))
    )
    figure = Figure((8, 6), 100)
    # Where a tight layout, which takes as long as all the rest, would have it.
    axes = figure.add_axes((0.09, 0.09, 0.79, 0.89), xlabel=name.format(1), ylabel=name.format(2))
    for kind, colour in zip(classes, colours, strict=False):
        x, y = points[label == kind].T
        axes.scatter(x, y, s=16, color=colour, alpha=0.7, linewidths=0, label=str(kind))
        # Its name at the median too, so that classes are told apart without their colours.
        axes.text(
            np.median(x),
            np.median(y),
            str(kind),
            size=14,
            weight='bold',
            ha='center',
            bbox=BOX,
            zorder=3,
        )
    axes.legend(title='class', loc='center left', bbox_to_anchor=(1, 0.5), markerscale=2)
    return drawn(figure)


BOX = dict(boxstyle='round,pad=0.15', facecolor='white', edgecolor='none', alpha=0.7)


def code_accuracy(
    encode: Encode, train: Sequence[Batch], test: Sequence[Batch], *, k: int = 5
) -> Measure:
    """How well labels can be read from codes: 'linear', see `linear_accuracy`, and 'nearest',
    `neighbour_accuracy`.

    Raises:
      ValueError: there is no batch to learn from.
    """
    if not train:
        raise ValueError('train has 0 batches; at least 1 is needed to read labels from codes')
    collect = _collector(encode)

    def measure(key, state):
        first, second = jax.random.split(key)
        known, asked = collect(first, state, train), collect(second, state, test)
        return {
            'linear': linear_accuracy(*known, *asked),
            'nearest': neighbour_accuracy(*known, *asked, k=k),
        }

    return measure


def scatter(encode: Encode, batches: Sequence[Batch]) -> Measure:
    """The codes of batches coloured by label, see `code_scatter`."""
    collect = _collector(encode)
    return lambda key, state: {'scatter': code_scatter(*collect(key, state, batches))}


def reconstructions(
    encode: Encode,
    decode: Decode,
    batch: Batch,
    *,
    view: View,
    corrupt: Corrupt | None = None,
    columns: int = 16,
) -> Measure:
    """Rows of originals above what is decoded from their codes; left over are those that would not
    fill a row.

    With corrupt, (key, x) -> x of one example, a row between the two shows what it made of the
    originals, and it is that which is encoded.
    """
    columns = min(columns, len(batch['x']))
    x = batch['x'][: len(batch['x']) // columns * columns]

    @jax.jit
    def rows(key, state):
        noise, first, second = jax.random.split(key, 3)
        seen = x if corrupt is None else jax.vmap(corrupt)(jax.random.split(noise, len(x)), x)
        decoded = decode(second, state, encode(first, state, batch_of(seen)))
        return [view(each) for each in ((x, decoded) if corrupt is None else (x, seen, decoded))]

    batch_of = lambda x: {'x': x}

    def measure(key, state):
        images = np.stack([to_pixels(each) for each in rows(key, state)])  # [2 or 3, N, H, W, C]
        blocks = images.reshape(len(images), -1, columns, *images.shape[2:]).swapaxes(0, 1)
        return {'reconstructions': tile(blocks.reshape(-1, *images.shape[2:]), columns=columns)}

    return measure


def interpolations(
    encode: Encode, decode: Decode, batch: Batch, *, view: View, steps: int = 9
) -> Measure:
    """A row for each example of a batch's first half: from its code on a straight line to that of
    its counterpart in the second half, in so many steps, decoded; the two examples themselves at
    the ends."""
    half = len(batch['x']) // 2
    x = batch['x'][: 2 * half]

    @jax.jit
    def rows(key, state):
        first, second = jax.random.split(key)
        code = encode(first, state, {'x': x})
        weight = np.linspace(0, 1, steps, dtype=np.float32).reshape(-1, *[1] * code.ndim)
        between = (1 - weight) * code[None, :half] + weight * code[
            None, half:
        ]  # [steps, half, ...]
        decoded = decode(second, state, between.reshape(-1, *code.shape[1:]))
        return view(x[:half]), view(decoded), view(x[half:])

    def measure(key, state):
        columns = np.concatenate([to_pixels(images) for images in rows(key, state)])
        columns = columns.reshape(steps + 2, half, *columns.shape[1:]).swapaxes(0, 1)
        return {'interpolations': tile(columns.reshape(-1, *columns.shape[2:]), columns=steps + 2)}

    return measure


def manifold(decode: Decode, *, view: View, n: int = 20) -> Measure:
    """What n x n codes of two entries decode to, at the quantiles of the standard normal
    distribution.

    The first entry grows to the right, the second upwards, as in a scatter of the codes. (Kingma
    and Welling 2014, arXiv:1312.6114, figure 4.)
    """
    from scipy.stats import norm

    quantiles = norm.ppf((np.arange(n) + 0.5) / n)
    codes = np.stack(np.meshgrid(quantiles, quantiles[::-1]), -1).reshape(-1, 2).astype(np.float32)
    decoded = jax.jit(lambda key, state: view(decode(key, state, codes)))
    return lambda key, state: {
        'manifold': tile(to_pixels(decoded(key, state)), columns=n, height=32)
    }


def _collector(encode):
    """(key, state, batches) -> codes [N, K] and labels [N] of all batches, on the host."""
    compiled = jax.jit(encode)

    def collect(key, state, batches):
        whole = (pad_batch(batch, batches[0]) for batch in batches)
        codes = [
            compiled(jax.random.fold_in(key, i), state, batch) for i, batch in enumerate(whole)
        ]
        labels = [np.asarray(batch['label']) for batch in batches]
        codes = np.concatenate(
            [code[: len(label)] for code, label in zip(jax.device_get(codes), labels, strict=True)]
        )
        return codes.reshape(len(codes), -1), np.concatenate(labels)

    return collect
