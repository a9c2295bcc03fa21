"""Scores of generated images that carry how they were made, so that only like is compared with
like.

Images [N, H, W, C] in [-1, 1] become features [N, D] and logits [N, K] of K classes by an
`Extractor`; every measure is a function of those. The measure called FID is the Frechet distance of
InceptionV3's features and of no others'.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from genjax.metrics.frechet import bias_curve, default_sizes, distance
from genjax.metrics.kernel import kernel_distances
from genjax.metrics.modes import classifier_score, score_limit
from genjax.metrics.neighbours import density_coverage, precision_recall

ENOUGH = 10_000  # examples on each side; a score of fewer is printed with its bias
INCEPTION = {'Frechet distance': 'FID', 'kernel distance': 'KID', 'classifier score': 'IS'}


class Features(NamedTuple):
    pooled: Any  # [N, D]
    logits: Any  # [N, K]


class Extractor(NamedTuple):
    name: str  # 'InceptionV3' for that network with the weights that FID is defined by
    weights: str  # their `digest`
    resize: str  # in words: 'none', or 'bilinear to 299 x 299, as TensorFlow 1'
    features: Callable[[Any], Features]  # images [B, H, W, C] in [-1, 1] -> Features


class Protocol(NamedTuple):
    """How a score was made; two scores may be compared where all of it is the same."""

    extractor: str
    weights: str
    resize: str
    real: int  # examples
    fake: int
    split: str  # of the real examples: 'train', 'test'
    average: bool  # whether the fake ones are of averaged parameters
    seeds: tuple[int, ...]  # of the run and of the samples


class Score(NamedTuple):
    name: str
    value: float
    protocol: Protocol
    deviation: float | None = (
        None  # standard deviation over subsets or splits, where the measure has them
    )
    limit: float | None = (
        None  # extrapolated to infinitely many examples, where fewer bias the measure
    )


def difference(a: Score, b: Score) -> float:
    """a.value - b.value.

    Raises:
      ValueError: they are of two measures, or were not made in the same way; the line names the
        first field.
    """
    fields = [('name', a.name, b.name)]
    fields += zip(Protocol._fields, a.protocol, b.protocol, strict=True)
    for name, left, right in fields:
        if left != right:
            raise ValueError(f'scores of unlike {name}, {left!r} and {right!r}, cannot be compared')
    return a.value - b.value


def score_name(measure: str, extractor: str) -> str:
    """What a measure is called: of InceptionV3 FID, KID and IS; of any other extractor with its
    name."""
    return (
        INCEPTION.get(measure, measure)
        if extractor == 'InceptionV3'
        else f'{measure} ({extractor})'
    )


def digest(weights: Any) -> str:
    """16 hexadecimal digits that tell a pytree of arrays from others: of its paths, types, shapes
    and values."""
    found = hashlib.sha256()
    for path, array in jax.tree.leaves_with_path(jax.device_get(weights)):
        array = np.asarray(array)
        found.update(f'{jax.tree_util.keystr(path)} {array.dtype} {array.shape}'.encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def protocol_of(
    extractor: Extractor,
    real: Features,
    fake: Features,
    *,
    split: str,
    average: bool,
    seeds: Sequence[int],
) -> Protocol:
    """The protocol of features at hand, with their numbers counted."""
    numbers = len(real.pooled), len(fake.pooled)
    return Protocol(
        extractor.name, extractor.weights, extractor.resize, *numbers, split, average, tuple(seeds)
    )


def features_of(extractor: Extractor, images: Any, *, batch: int = 64) -> Features:
    """The features of images [N, H, W, C], so many at a time, on the host."""
    parts = [_padded(images[i : i + batch], batch) for i in range(0, len(images), batch)]
    found = [jax.device_get(extractor.features(part)) for part in parts]
    return Features(*(np.concatenate(part)[: len(images)] for part in zip(*found, strict=True)))


def _padded(images, length):
    """Repeats the last image, so that one compiled program serves every batch."""
    images = np.asarray(images)
    return np.concatenate([images, np.repeat(images[-1:], length - len(images), axis=0)])


def scores(extractor: Extractor, real: Features, fake: Features, protocol: Protocol) -> list[Score]:
    """Every measure of features at hand, each named by `score_name`.

    Random subsets are drawn by the protocol's seeds.

    Raises:
      ValueError: the protocol is not that of these features and this extractor; the line names the
        first field.
    """
    _check(protocol, protocol_of(extractor, real, fake, split='', average=False, seeds=()))
    found = _measures(np.random.default_rng(protocol.seeds), real, fake)
    return [
        Score(score_name(name, extractor.name), values[0], protocol, *values[1:])
        for name, values in found.items()
    ]


def _measures(rng, real, fake):
    """Name -> value, and where there are such, its deviation and limit."""
    x, y = (np.asarray(features.pooled, np.float64) for features in (real, fake))
    n = min(len(x), len(y))
    sizes, few = default_sizes(n), n < ENOUGH
    apart = bias_curve(rng, x, y, sizes=sizes).limit if few else None
    kernel, spread = kernel_distances(rng, x, y, size=min(n // 2, 1000))
    sure = score_limit(rng, fake.logits, sizes=sizes) if few else None
    return {
        'Frechet distance': (distance(x, y), None, apart),
        'kernel distance': (kernel, spread.deviation, kernel),  # unbiased: it is its own limit
        'classifier score': (*classifier_score(fake.logits), sure),
        **{name: (value,) for name, value in precision_recall(x, y)._asdict().items()},
        **{name: (value,) for name, value in density_coverage(x, y)._asdict().items()},
    }


def _check(protocol, other):
    """That two protocols are of the same extractor and numbers."""
    for name in ('extractor', 'weights', 'resize', 'real', 'fake'):
        said, found = getattr(protocol, name), getattr(other, name)
        if said != found:
            raise ValueError(f'the protocol says {name} {said!r}; what is at hand has {found!r}')


def score_table(found: Sequence[Score], reference: Sequence[Score] = ()) -> str:
    """Scores of one protocol as text: how they were made, then a line for each, with its bias where
    examples are few.

    Args:
      found: scores of generated examples.
      reference: those of as many other real examples in their place, which a perfect generator
        would get.

    Raises:
      ValueError: the scores are not of one extractor and of the same numbers of examples.
    """
    protocol = found[0].protocol
    for score in (*found, *reference):
        _check(protocol, score.protocol)
    perfect = {score.name: f'{score.value:.5g}' for score in reference}
    rows = [('score', 'value', 'deviation', 'of infinitely many', 'of real examples', '')]
    rows += [
        (
            score.name,
            f'{score.value:.5g}',
            _shown(score.deviation),
            _shown(score.limit),
            perfect.get(score.name, ''),
        )
        + (_remark(score),)
        for score in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ['  '.join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return '\n'.join([_told(protocol), '', *lines]) + '\n'


def _shown(value):
    return '' if value is None else f'{value:.5g}'


def _told(protocol):
    which = 'averaged parameters' if protocol.average else 'the last parameters'
    return (
        f'extractor {protocol.extractor}, weights {protocol.weights}, resize {protocol.resize}\n'
        f'{protocol.real} real examples of {protocol.split}, {protocol.fake} fake ones of {which}, '
        f'seeds {", ".join(map(str, protocol.seeds))}'
    )


def _remark(score):
    few = min(score.protocol.real, score.protocol.fake)
    if few >= ENOUGH:
        return ''
    if score.limit is None:
        return f'changes with the number of examples, {few}'
    if score.limit < 0:
        return f'biased; {few} are too few to say by how much'
    return (
        'unbiased'
        if score.limit == score.value
        else f'biased by {score.value - score.limit:+.3g} with {few}'
    )


def to_json(scores: Sequence[Score]) -> str:
    """Scores as text to keep next to a run."""
    return json.dumps(
        [score._asdict() | {'protocol': score.protocol._asdict()} for score in scores], indent=1
    )


def from_json(text: str) -> list[Score]:
    """Scores as `to_json` wrote them."""
    protocol = lambda found: Protocol(**found | {'seeds': tuple(found['seeds'])})
    return [
        Score(**found | {'protocol': protocol(found['protocol'])}) for found in json.loads(text)
    ]
