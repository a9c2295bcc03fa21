"""Pictures and tables of what word vectors hold: uint8 pixels [H, W, 3], and lists of dicts."""

from collections.abc import Sequence

import numpy as np

from genjax.base import Embedding
from genjax.metrics.nearest import Fold, index_of, neighbours
from genjax.probes.figures import drawn

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
INCHES, DOTS = (8, 6), 100  # of every picture; dots an inch
BLUE, ORANGE, GREY = '#0072b2', '#d55e00', '#999999'  # apart for every kind of colour vision


def neighbour_table(
    embedding: Embedding, words: Sequence[str], k: int = 10
) -> list[dict[str, str]]:
    """A row for each word: `word`, and in `neighbours` the k nearest with their cosines, or that it
    is unknown."""

    def nearest_to(word):
        try:
            (found,) = neighbours(embedding, [word], min(k, len(embedding.words) - 1))
        except ValueError as error:
            return str(error)
        return ', '.join(f'{name} {cosine:.2f}' for name, cosine in found)

    return [{'word': word, 'neighbours': nearest_to(word)} for word in words]


def plane(vectors: np.ndarray) -> np.ndarray:
    """Vectors [N, D] on their first two principal components, [N, 2] (0 where there are fewer).

    An axis points to where its largest coordinate lies, so that the picture does not hang on the
    sign of a component.
    """
    centred = vectors - vectors.mean(0)
    left, scale, _ = np.linalg.svd(np.asarray(centred, np.float64), full_matrices=False)
    points = np.zeros((len(vectors), 2))
    points[:, : min(2, len(scale))] = (left * scale)[:, :2]
    largest = np.take_along_axis(points, np.abs(points).argmax(0)[None], 0)
    return points * np.where(largest < 0, -1, 1)


def pairs_plane(
    embedding: Embedding, pairs: Sequence[tuple[str, str]] = CAPITALS, *, fold: Fold = str.upper
) -> np.ndarray:
    """The words of pairs on their two principal components, each first word joined to its second.

    First words are filled circles with upright names, second words open squares with slanted ones.
    Pairs with an unknown word are left out; the title counts them. (Mikolov et al. 2013,
    arXiv:1310.4546, figure 2.)
    """
    index = index_of(embedding.words, fold)
    places = [
        [index[fold(word)] for word in pair]
        for pair in pairs
        if all(fold(word) in index for word in pair)
    ]
    figure, axes = _axes()
    axes.set(title=f'{len(places)} of {len(pairs)} pairs are in the vocabulary')
    axes.set(xlabel='first principal component', ylabel='second principal component')
    axes.margins(0.16, 0.1)
    if places:
        points = plane(embedding.vectors[np.ravel(places)]).reshape(-1, 2, 2)  # [pair, word, axis]
        axes.plot(*points.transpose(2, 1, 0), color=GREY, linestyle='--', linewidth=0.8, zorder=1)
        axes.scatter(*points[:, 0].T, color=BLUE, marker='o', zorder=2)
        axes.scatter(*points[:, 1].T, edgecolors=ORANGE, facecolors='white', marker='s', zorder=2)
        _name(figure, axes, points, [[embedding.words[i] for i in pair] for pair in places])
    return drawn(figure)


def _axes():
    """A figure of its own, outside of pyplot, which keeps a list of all figures."""
    from matplotlib.figure import Figure

    figure = Figure(INCHES, DOTS, layout='tight')
    return figure, figure.add_subplot()


def _name(figure, axes, points, names):
    """Writes the names of pairs beside their points [pair, word, axis], where each covers least of
    what is there.

    Of sides as good, the one that looks away from the other word of the pair, so that no name lies
    on its own line.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()  # lays the axes out, which pixels hang on
    centres = axes.transData.transform(points.reshape(-1, 2)).reshape(points.shape)
    taken = [
        (*(centre - 5), *(centre + 5)) for pair in centres for centre in pair
    ]  # left, bottom, right, top
    for which, style in enumerate([dict(color=BLUE), dict(color=ORANGE, style='italic')]):
        for point, centre, name in zip(
            points[:, which], centres, (pair[which] for pair in names), strict=True
        ):
            text = axes.annotate(
                name, point, (0, 0), textcoords='offset pixels', fontsize=11, **style
            )
            box = text.get_window_extent()
            away = centre[which] - centre[1 - which]
            sides = sorted(SIDES, key=lambda side: -np.dot(side, away) / np.hypot(*side))
            shifts = [_shift(side, box.width, box.height) for side in sides]
            boxes = [
                (*(centre[which] + shift), *(centre[which] + shift + (box.width, box.height)))
                for shift in shifts
            ]
            best = min(
                range(len(boxes)), key=lambda i: sum(_overlap(boxes[i], other) for other in taken)
            )
            text.set_position(shifts[best])
            taken.append(boxes[best])


SIDES = (
    (1, 0),
    (-1, 0),
    (0, 1),
    (0, -1),
    (1, 1),
    (-1, 1),
    (1, -1),
    (-1, -1),
)  # right, left, above, below, ...


def _shift(side, width, height):
    """From a point to the lower left corner of a name beside it, in pixels."""
    return np.array(
        [(side[0] - 1) * width / 2 + 8 * side[0], (side[1] - 1) * height / 2 + 7 * side[1]]
    )


def _overlap(a, b):
    """The area that two boxes (left, bottom, right, top) share."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
