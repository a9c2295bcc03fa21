"""Scores of generated images with how they were made, so that only like is compared with like."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

INCEPTION = {
    'Frechet distance': 'FID',
    'kernel distance': 'KID',
    'kernel distance of subsets': 'KID of subsets',
    'classifier score': 'IS',
}


class Protocol(NamedTuple):
    """How a score was made; two scores may be compared where all of it is the same."""

    extractor: str
    weights: str
    resize: str
    real: int  # examples
    fake: int
    split: str  # of the real examples: 'train', 'test'
    average: str  # of the parameters that the fake ones are of, by its name; "none"
    seeds: tuple[int, ...]  # of the run and of the samples


class Score(NamedTuple):
    """A number with its protocol.

    Attributes:
      name: as `score_name` gives it.
      value: of the measure.
      protocol: how it was made.
      deviation: the standard deviation over subsets or splits, where the measure has them.
      limit: extrapolated to infinitely many examples, where fewer bias the measure.
    """

    name: str
    value: float
    protocol: Protocol
    deviation: float | None = None
    limit: float | None = None


def score_name(measure: str, extractor: str) -> str:
    """The name of a measure: FID, KID and IS for InceptionV3, else with the extractor's name."""
    if extractor == 'InceptionV3':
        return INCEPTION.get(measure, measure)
    return f'{measure} ({extractor})'


def difference(a: Score, b: Score) -> float:
    """a.value - b.value.

    Raises:
      ValueError: they are of two measures, or were not made in the same way; the line names the
        first field that differs.
    """
    fields = [('name', a.name, b.name)]
    fields += zip(Protocol._fields, a.protocol, b.protocol, strict=True)
    for name, left, right in fields:
        if left != right:
            raise ValueError(f'scores of unlike {name}, {left!r} and {right!r}, cannot be compared')
    return a.value - b.value


def require_same_features(protocol: Protocol, other: Protocol) -> None:
    """Checks that two protocols are of one extractor and of the same numbers of examples.

    Args:
      protocol: as stated.
      other: that of the features.

    Raises:
      ValueError: a field differs; the line names the first.
    """
    for name in ('extractor', 'weights', 'resize', 'real', 'fake'):
        stated = getattr(protocol, name)
        actual = getattr(other, name)
        if stated != actual:
            raise ValueError(f'the protocol says {name} {stated!r}; what is at hand has {actual!r}')


def weights_digest(weights: Any) -> str:
    """16 hexadecimal digits of the sha256 of a pytree's paths, types, shapes and values."""
    digest = hashlib.sha256()
    for path, array in jax.tree.leaves_with_path(jax.device_get(weights)):
        array = np.asarray(array)
        digest.update(f'{jax.tree_util.keystr(path)} {array.dtype} {array.shape}'.encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def to_json(scores: Sequence[Score]) -> str:
    """Scores as text to keep next to a run."""
    rows = [score._asdict() | {'protocol': score.protocol._asdict()} for score in scores]
    return json.dumps(rows, indent=1)


def from_json(text: str) -> list[Score]:
    """Scores as `to_json` wrote them."""
    scores = []
    for row in json.loads(text):
        fields = row['protocol']
        protocol = Protocol(**fields | {'seeds': tuple(fields['seeds'])})
        scores.append(Score(**row | {'protocol': protocol}))
    return scores
