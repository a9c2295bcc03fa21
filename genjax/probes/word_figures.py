"""Pictures and tables of word vectors: uint8 pixels [H, W, 3], and lists of dicts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genjax.base import Embedding
from genjax.metrics.nearest import CaseFold, index_of, neighbours
from genjax.probes.figures import render

CAPITALS = (  # the pairs of figure 2 of Mikolov et al. 2013
    ('China', 'Beijing'),
    ('Russia', 'Moscow'),
    ('Japan', 'Tokyo'),
    ('Turkey', 'Ankara'),
    ('Poland', 'Warsaw'),
    ('Germany', 'Berlin'),
    ('France', 'Paris'),
    ('Italy', 'Rome'),
    ('Greece', 'Athens'),
    ('Spain', 'Madrid'),
    ('Portugal', 'Lisbon'),
)
INCHES = (8, 6)  # of every picture
DOTS = 100  # an inch
# Distinct for every kind of colour vision.
BLUE = '#0072b2'
ORANGE = '#d55e00'
GREY = '#999999'
SIDES = (  # of a point that its name may stand at: right, left, above, below, and between
    (1, 0),
    (-1, 0),
    (0, 1),
    (0, -1),
    (1, 1),
    (-1, 1),
    (1, -1),
    (-1, -1),
)


class _Box(NamedTuple):
    """A rectangle, in pixels."""

    left: float
    bottom: float
    right: float
    top: float


def neighbour_table(
    embedding: Embedding, words: Sequence[str], k: int = 10
) -> list[dict[str, str]]:
    """A row for each word: `word`, and in `neighbours` the k nearest with their cosines.

    Where a word is unknown, `neighbours` says so.
    """
    k = min(k, len(embedding.words) - 1)
    rows = []
    for word in words:
        try:
            (near,) = neighbours(embedding, [word], k)
        except ValueError as error:
            text = str(error)
        else:
            text = ', '.join(f'{name} {cosine:.2f}' for name, cosine in near)
        rows.append({'word': word, 'neighbours': text})
    return rows


def principal_plane(vectors: np.ndarray) -> np.ndarray:
    """Vectors [N, D] on their first two principal components, [N, 2] (0 where there are fewer).

    An axis points to where its largest coordinate lies, so that a picture does not depend on the
    sign of a component.
    """
    centred = vectors - vectors.mean(0)
    left, scale, _ = np.linalg.svd(np.asarray(centred, np.float64), full_matrices=False)
    points = np.zeros((len(vectors), 2))
    points[:, : min(2, len(scale))] = (left * scale)[:, :2]
    largest = np.take_along_axis(points, np.abs(points).argmax(0)[None], 0)
    return points * np.where(largest < 0, -1, 1)


def pairs_picture(
    embedding: Embedding,
    pairs: Sequence[tuple[str, str]] = CAPITALS,
    *,
    casefold: CaseFold = str.upper,
) -> np.ndarray:
    """The words of pairs on their two principal components, each first word joined to its second.

    First words are filled circles with upright names, second words open squares with slanted ones.
    Pairs with an unknown word are left out; the title counts them. (Mikolov et al. 2013,
    arXiv:1310.4546, figure 2.)

    Args:
      embedding: with the words.
      pairs: of words.
      casefold: words with one folded form count as one.
    """
    from matplotlib.figure import Figure

    index = index_of(embedding.words, casefold)
    folded = [(casefold(first), casefold(second)) for first, second in pairs]
    places = [
        [index[first], index[second]]
        for first, second in folded
        if first in index and second in index
    ]
    figure = Figure(INCHES, DOTS, layout='tight')
    axes = figure.add_subplot()
    axes.set(title=f'{len(places)} of {len(pairs)} pairs are in the vocabulary')
    axes.set(xlabel='first principal component', ylabel='second principal component')
    axes.margins(0.16, 0.1)
    if places:
        vectors = embedding.vectors[np.ravel(places)]
        points = principal_plane(vectors).reshape(-1, 2, 2)  # [pair, word, axis]
        axes.plot(*points.transpose(2, 1, 0), color=GREY, linestyle='--', linewidth=0.8, zorder=1)
        axes.scatter(*points[:, 0].T, color=BLUE, marker='o', zorder=2)
        axes.scatter(*points[:, 1].T, edgecolors=ORANGE, facecolors='white', marker='s', zorder=2)
        names = [[embedding.words[i] for i in pair] for pair in places]
        _write_names(figure, axes, points, names)
    return render(figure)


def _write_names(figure, axes, points, names):
    """Writes the names of pairs beside their points, where each covers least of what is there.

    Of sides as good, the one that faces away from the other word of the pair, so that no name lies
    on its own line.

    Args:
      figure, axes: of the picture.
      points: [pair, word, axis].
      names: of the two words of each pair.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()  # lays the axes out, which fixes the pixels of points
    centres = axes.transData.transform(points.reshape(-1, 2)).reshape(points.shape)
    taken = [_Box(*(centre - 5), *(centre + 5)) for pair in centres for centre in pair]
    styles = (dict(color=BLUE), dict(color=ORANGE, style='italic'))
    for word, style in enumerate(styles):
        for point, centre, pair in zip(points[:, word], centres, names, strict=True):
            text = axes.annotate(
                pair[word], point, (0, 0), textcoords='offset pixels', fontsize=11, **style
            )
            extent = text.get_window_extent()
            outward = centre[word] - centre[1 - word]
            shift, box = _best_place(centre[word], outward, extent.width, extent.height, taken)
            text.set_position(shift)
            taken.append(box)


def _best_place(centre, outward, width, height, taken):
    """The place of a name that overlaps least with boxes that are taken.

    Args:
      centre: of its point, in pixels.
      outward: the direction that is preferred, among places as good.
      width, height: of the name, in pixels.
      taken: boxes.

    Returns:
      The shift from the point to the name's lower left corner, and the name's box.
    """

    def alignment(side):
        return np.dot(side, outward) / np.hypot(*side)

    def place(side):
        shift = _shift(side, width, height)
        corner = centre + shift
        return shift, _Box(*corner, *(corner + (width, height)))

    def overlap(place):
        _, box = place
        return sum(_overlap(box, other) for other in taken)

    sides = sorted(SIDES, key=alignment, reverse=True)
    return min([place(side) for side in sides], key=overlap)


def _shift(side, width, height):
    """From a point to the lower left corner of a name beside it, in pixels."""
    right, up = side
    return np.array([(right - 1) * width / 2 + 8 * right, (up - 1) * height / 2 + 7 * up])


def _overlap(a, b):
    """The area that two boxes share."""
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.top, b.top) - max(a.bottom, b.bottom)
    return max(0, width) * max(0, height)
