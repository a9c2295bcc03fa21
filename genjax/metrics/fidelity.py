"""Every fidelity score of generated images, from their features.

Images [N, H, W, C] in [-1, 1] become features [N, D] and logits [N, K] of K classes by an
`Extractor`; every measure is a function of those. The measure called FID is the Frechet distance of
InceptionV3's features and of no others'.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

from genjax.metrics.frechet import bias_curve, default_sizes, frechet_distance
from genjax.metrics.kernel import kernel_distances
from genjax.metrics.modes import classifier_score, score_limit
from genjax.metrics.precision_recall import density_coverage, precision_recall
from genjax.metrics.protocol import Protocol, Score, require_same_features, score_name

LARGE_SAMPLE = (
    10_000  # examples on each side; with fewer, scores are extrapolated to infinitely many
)


class Features(NamedTuple):
    """What an extractor makes of images."""

    pooled: ArrayLike  # [N, D]
    logits: ArrayLike  # [N, K]


class Extractor(NamedTuple):
    """A network that scores are made with."""

    name: str  # 'InceptionV3' for that network with the weights that FID is defined by
    weights: str  # their `weights_digest`
    resize: str  # in words: 'none', or 'bilinear to 299 x 299, as TensorFlow 1'
    features: Callable[[ArrayLike], Features]  # images [B, H, W, C] in [-1, 1] -> Features


class _Measurement(NamedTuple):
    """A value, and where there are such, its deviation and limit, as in `Score`."""

    value: float
    deviation: float | None = None
    limit: float | None = None


def features_of(extractor: Extractor, images: ArrayLike, *, batch: int = 64) -> Features:
    """The features of images, on the host.

    Args:
      extractor: whose features.
      images: [N, H, W, C] in [-1, 1].
      batch: how many images at a time; one compiled program serves all batches.
    """
    starts = range(0, len(images), batch)
    return features_of_batches(
        extractor, (images[start : start + batch] for start in starts), batch=batch
    )


def features_of_batches(
    extractor: Extractor, batches: Iterable[ArrayLike], *, batch: int
) -> Features:
    """The features of images that come in batches, on the host.

    Args:
      extractor: whose features.
      batches: of images [B, H, W, C] in [-1, 1], at least one; one that is shorter is filled up.
      batch: B; one compiled program serves all batches.
    """
    pooled = []
    logits = []
    for images in batches:
        features = jax.device_get(extractor.features(_pad(images, batch)))
        pooled.append(features.pooled[: len(images)])
        logits.append(features.logits[: len(images)])
    return Features(np.concatenate(pooled), np.concatenate(logits))


def _pad(images, length):
    """Repeats the last image up to a length."""
    images = np.asarray(images)
    missing = length - len(images)
    return np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])


def protocol_of(
    extractor: Extractor,
    real: Features,
    fake: Features,
    *,
    split: str,
    average: str,
    seeds: Sequence[int],
) -> Protocol:
    """The protocol of scores of these features.

    Args:
      extractor: that made the features.
      real: features of N real images.
      fake: features of M generated images.
      split, average, seeds: as in `Protocol`.
    """
    return Protocol(
        extractor=extractor.name,
        weights=extractor.weights,
        resize=extractor.resize,
        real=len(real.pooled),
        fake=len(fake.pooled),
        split=split,
        average=average,
        seeds=tuple(seeds),
    )


def scores(extractor: Extractor, real: Features, fake: Features, protocol: Protocol) -> list[Score]:
    """Every measure of features, each named by `score_name`.

    Args:
      extractor: that made the features.
      real: features of N real images.
      fake: features of M generated images.
      protocol: its seeds draw the random subsets.

    Raises:
      ValueError: the protocol is not that of these features and this extractor; the line names the
        first field that differs.
    """
    actual = protocol_of(extractor, real, fake, split='', average='', seeds=())
    require_same_features(protocol, actual)
    measurements = _measure(np.random.default_rng(protocol.seeds), real, fake)
    return [
        Score(score_name(name, extractor.name), m.value, protocol, m.deviation, m.limit)
        for name, m in measurements.items()
    ]


def _measure(rng, real, fake):
    """{name: measurement} of every measure."""
    x = np.asarray(real.pooled, np.float64)
    y = np.asarray(fake.pooled, np.float64)
    n = min(len(x), len(y))
    sizes = default_sizes(n)

    # The order in which rng is used is part of the scores.
    frechet_limit = None
    if n < LARGE_SAMPLE:
        frechet_limit = bias_curve(rng, x, y, sizes=sizes).limit
    kernel, subsets = kernel_distances(rng, x, y, size=min(n // 2, 1000))
    classifier_limit = None
    if n < LARGE_SAMPLE:
        classifier_limit = score_limit(rng, fake.logits, sizes=sizes)

    classifier = classifier_score(fake.logits)
    shares = precision_recall(x, y)._asdict() | density_coverage(x, y)._asdict()
    return {
        'Frechet distance': _Measurement(frechet_distance(x, y), limit=frechet_limit),
        # The kernel distance is unbiased: it is its own limit.
        'kernel distance': _Measurement(kernel, subsets.deviation, kernel),
        'classifier score': _Measurement(classifier.mean, classifier.deviation, classifier_limit),
        **{name: _Measurement(share) for name, share in shares.items()},
    }
