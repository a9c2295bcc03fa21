"""Every score of two sets of images, with random draws as published figures are made with.

The subsets of the kernel distance and the splits of the classifier score are those of
torch-fidelity with its default seed, so that its numbers are these.

N real and M fake images, D features, K classes.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from genjax.metrics import fidelity
from genjax.metrics.fidelity import Features
from genjax.metrics.frechet import (
    Moments,
    bias_curve,
    default_sizes,
    moment_distance,
    moments,
)
from genjax.metrics.kernel import kernel_distances
from genjax.metrics.modes import classifier_score, score_limit
from genjax.metrics.precision_recall import density_coverage, precision_recall
from genjax.metrics.protocol import Protocol, Score, score_name

FRECHET = 'Frechet distance'
KERNEL = 'kernel distance'
SUBSETS = 'kernel distance of subsets'
CLASSIFIER = 'classifier score'
FEW = 20  # images, with fewer of which nothing is extrapolated
K_PRECISION = 3  # the neighbour that balls reach to, for precision and recall
K_DENSITY = 5  # and for density and coverage


class Draws(NamedTuple):
    """What is drawn at random, and how often."""

    seed: int = 2020
    subsets: int = 100  # of the kernel distance
    size: int = 1000  # images of a subset on each side; where there are fewer, half of them
    splits: int = 10  # of the classifier score


class Comparison(NamedTuple):
    """Scores of one set against another, and the measures that cannot be had, with the reason."""

    scores: list[Score]
    missing: dict[str, str]


def ignore(measure: str) -> None:
    """Takes no notice of a measure that is begun."""
    del measure


def published_scores(
    real: Features | Moments,
    fake: Features | Moments,
    protocol: Protocol,
    draws: Draws,
    begin: Callable[[str], None] = ignore,
) -> Comparison:
    """Every measure of the fake images against the real ones, as far as what is given allows.

    Of moments there is the Frechet distance alone, and of few images not every measure.

    Args:
      real: features of N images, or their moments.
      fake: features of M images, or their moments.
      protocol: of the scores.
      draws: of subsets and splits.
      begin: is told each measure before it is computed.

    Raises:
      ValueError: the two have different numbers of features, or one side has fewer than 2 images.
    """
    found = {}
    missing = {}

    def add(name, value, deviation=None, limit=None):
        found[name] = Score(score_name(name, protocol.extractor), value, protocol, deviation, limit)

    def omit(reason, *names):
        for name in names:
            missing[score_name(name, protocol.extractor)] = reason

    begin(FRECHET)
    add(FRECHET, moment_distance(_moments(real), _moments(fake)), limit=_limit(real, fake, draws))
    only_moments = 'of statistics there is the Frechet distance alone'
    both = not isinstance(real, Moments) and not isinstance(fake, Moments)
    if both:
        begin(KERNEL)
        _add_kernel_distances(add, real, fake, draws)
    else:
        omit(only_moments, KERNEL, SUBSETS)
    if isinstance(fake, Moments):
        omit(only_moments, CLASSIFIER)
    else:
        begin(CLASSIFIER)
        _add_classifier_score(add, omit, fake, draws)
    if both:
        begin('precision, recall, density, coverage')
        _add_shares(add, omit, real, fake)
    else:
        omit(only_moments, 'precision', 'recall', 'density', 'coverage')
    return Comparison(list(found.values()), missing)


def _add_classifier_score(add, omit, fake, draws):
    n = len(fake.logits)
    if n < draws.splits:
        omit(f'{n} images cannot be split into {draws.splits}', CLASSIFIER)
        return
    order = _published_rng(draws).permutation(n)
    mean, deviation = classifier_score(np.asarray(fake.logits)[order], splits=draws.splits)
    limit = None
    if FEW <= n < fidelity.LARGE_SAMPLE:
        rng = np.random.default_rng(draws.seed)
        limit = score_limit(rng, fake.logits, sizes=default_sizes(n))
    add(CLASSIFIER, mean, deviation, limit)


def _add_kernel_distances(add, real, fake, draws):
    size = subset_size(min(len(real.pooled), len(fake.pooled)), draws)
    # The fake images are drawn first, as torch-fidelity draws those of its first input.
    whole, subsets = kernel_distances(
        _published_rng(draws), fake.pooled, real.pooled, subsets=draws.subsets, size=size
    )
    # Unbiased: it is its own limit.
    add(KERNEL, whole, limit=whole)
    add(SUBSETS, subsets.mean, subsets.deviation)


def _add_shares(add, omit, real, fake):
    x = real.pooled
    y = fake.pooled
    n = min(len(x), len(y))
    if n <= K_PRECISION:
        reason = f'{n} images have no neighbour number {K_PRECISION}'
        omit(reason, 'precision', 'recall')
    else:
        for name, share in precision_recall(x, y, k=K_PRECISION)._asdict().items():
            add(name, share)
    if len(x) <= K_DENSITY:
        reason = f'{len(x)} images have no neighbour number {K_DENSITY}'
        omit(reason, 'density', 'coverage')
    else:
        for name, share in density_coverage(x, y, k=K_DENSITY)._asdict().items():
            add(name, share)


def subset_size(n: int, draws: Draws) -> int:
    """Images of a subset on each side, where the smaller side has n."""
    return draws.size if draws.size <= n else max(n // 2, 2)


def _published_rng(draws):
    # The generator that published figures are drawn with; NumPy keeps it as it is.
    return np.random.RandomState(draws.seed)  # noqa: NPY002


def _moments(side):
    return side if isinstance(side, Moments) else moments(side.pooled)


def _limit(real, fake, draws):
    """The Frechet distance of infinitely many images, where few images of both sides bias it."""
    if isinstance(real, Moments) or isinstance(fake, Moments):
        return None
    n = min(len(real.pooled), len(fake.pooled))
    if not FEW <= n < fidelity.LARGE_SAMPLE:
        return None
    rng = np.random.default_rng(draws.seed)
    return bias_curve(rng, real.pooled, fake.pooled, sizes=default_sizes(n)).limit
