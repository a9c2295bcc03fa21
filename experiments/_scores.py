"""Scores of images beside others, by features that an extractor makes or that a file keeps."""

import hashlib
import pathlib
import sys
import zipfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from experiments._extractor import cifar_extractor, digits_extractor, mnist_extractor
from experiments._images import Images
from genjax.data.images.levels import scaled
from genjax.data.progress import progress
from genjax.metrics.fidelity import Extractor, Features, features_of_batches
from genjax.metrics.frechet import Moments, moments
from genjax.metrics.protocol import Protocol
from genjax.metrics.published import Comparison, Draws, ignore, published_scores
from genjax.metrics.statistics import Statistics, from_npz, is_statistics, to_npz

INCEPTION = 'InceptionV3'
NOT_STATED = 'features not stated'  # in the place of an extractor, of files that name none


class Trainable(NamedTuple):
    """A classifier that can be trained to be an extractor, and what is known of it before."""

    name: str  # of the extractor
    make: Callable[..., Extractor]  # (steps, *options) -> Extractor
    steps: int  # that are enough
    shape: tuple[int, int, int]  # of an image, [H, W, C]
    width: int  # features of an image
    needs_data: bool  # whether make takes the folder of the set too


CLASSIFIERS = {  # by the set that they are trained on
    'digits': Trainable('digits classifier', digits_extractor, 1000, (8, 8, 1), 64, False),
    'mnist': Trainable('MNIST classifier', mnist_extractor, 2000, (28, 28, 1), 128, True),
    'cifar10': Trainable('CIFAR-10 classifier', cifar_extractor, 5000, (32, 32, 3), 256, True),
}


class Made(NamedTuple):
    """By what features were made; texts as in `Statistics`."""

    extractor: str
    weights: str
    resize: str


class Side(NamedTuple):
    """One of the two that are compared: what is known of its images, and of which images."""

    features: Features | Moments
    source: str
    part: str
    n: int | None  # images; None where a file does not say it
    shape: tuple[int, int, int] | None  # [H, W, C]; None of a file
    digest: str  # of the levels of its images; '' where a file does not say it
    sized: str = ''  # how they were brought to their size; '' of a file
    average: str = 'none'
    seeds: tuple[int, ...] = ()
    stated: bool = True  # whether it is known what the features are of


def holds_statistics(path: pathlib.Path) -> bool:
    """Whether a file is an `.npz` of statistics, not of images."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix('.npy') for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return False
    return is_statistics(names)


def read_statistics(path: pathlib.Path) -> Statistics:
    """The statistics in a file.

    Raises:
      ValueError: the file holds none.
      OSError: it cannot be read.
    """
    try:
        return from_npz(path.read_bytes())
    except ValueError as error:
        raise ValueError(f'{path} holds no statistics: {error}') from None


def count_of(statistics: Statistics) -> int | None:
    """Of how many images they are; None where the file does not say it."""
    n = statistics.moments.n
    return int(n) if np.isfinite(n) else None


def side_of_statistics(path: str, statistics: Statistics) -> Side:
    """What a file of statistics says of its images."""
    source = f'{path} ({statistics.source})' if statistics.source else path
    return Side(
        statistics.moments,
        source,
        'statistics',
        count_of(statistics),
        None,
        statistics.images,
        stated=bool(statistics.extractor),
    )


def side_of_images(extractor: Extractor, images: Images, *, batch: int) -> Side:
    """The features of images, with a line that says how far they are.

    Args:
      extractor: of the features.
      images: that it is given.
      batch: how many at a time.

    Raises:
      ValueError: an image cannot be read, or has another size than the first.
    """
    digest = hashlib.sha256(repr(images.shape).encode())

    def batches() -> Iterator[np.ndarray]:
        done = 0
        for levels in images.batches(batch):
            digest.update(np.ascontiguousarray(levels).tobytes())
            yield scaled(levels.astype(np.float32), None)
            done += len(levels)
            show(done)

    with progress(sys.stderr, f'features of {images.source}', 'images', images.n) as show:
        features = features_of_batches(extractor, batches(), batch=batch)
    return Side(
        features,
        images.source,
        images.part,
        images.n,
        images.shape,
        digest.hexdigest()[:16],
        images.sized,
        images.average,
        images.seeds,
    )


def statistics_bytes(extractor: Extractor, side: Side) -> bytes:
    """The file of statistics of a side that has features."""
    source = f'{side.source}, {side.part}, {side.n} images'
    statistics = Statistics(
        moments(side.features.pooled),
        extractor.name,
        extractor.weights,
        extractor.resize,
        source,
        side.digest,
    )
    return to_npz(statistics)


def made_by(extractor: Extractor) -> Made:
    """What is said of the features of an extractor."""
    return Made(extractor.name, extractor.weights, extractor.resize)


def stated_by(statistics: Statistics) -> Made:
    """What a file says of its features; '' where it does not."""
    return Made(statistics.extractor, statistics.weights, statistics.resize)


def scored(
    made: Made, fake: Side, real: Side, draws: Draws, begin: Callable[[str], None] = ignore
) -> Comparison:
    """Every score of one side against another, as far as they can be had.

    Args:
      made: of the features of both sides.
      fake: that is scored.
      real: that it is compared with.
      draws: of what is random.
      begin: is told each measure before it is computed.

    Raises:
      ValueError: the two have different numbers of features.
    """
    protocol = Protocol(
        extractor=made.extractor or NOT_STATED,
        weights=made.weights,
        resize=made.resize,
        real=real.n or 0,
        fake=fake.n or 0,
        split=real.part,
        average=fake.average,
        seeds=fake.seeds,
    )
    return published_scores(real.features, fake.features, protocol, draws, begin)
