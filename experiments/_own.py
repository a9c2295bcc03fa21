"""What the pages of images of your own share: settings by how many there are, labels, scores."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict, FieldReference

from experiments._extractor import inception_extractor, lazy_extractor, train_extractor
from genjax.averages import Decay, as_decay
from genjax.base import Data, Key, Resident
from genjax.data.derived import pictures
from genjax.data.images.own import is_own, open_named
from genjax.data.images.sets import images
from genjax.metrics.fidelity import Extractor
from genjax.networks.classifier import Classifier
from genjax.parallel import example_keys
from genjax.probes.fidelity import Comparison, comparison
from genjax.probes.figures import Sample

# Of a set without files of its own, before it is opened: as many as CIFAR-10 has.
PREPARED = 50_000
LEAST = 20  # images that the measures need, to train on and to test on


class Size(NamedTuple):
    """Settings by the number of images N, up to `most`."""

    most: float
    steps: int
    batch: int
    width: int


class Computed(NamedTuple):
    """What a FieldReference computes when it is read."""

    fn: Callable[[Any, Any], Any]  # (unused, the value of the reference)
    args: tuple[FieldReference, ...]


def computed(function: Callable[[Any], Any], of: FieldReference) -> FieldReference:
    """A setting that is function(of) until it is set itself."""
    first = function(of.get())

    def apply(_, value):
        return function(value)

    return FieldReference(first, type(first), Computed(apply, (of,)))


@functools.cache
def count(name: str) -> int:
    """How many images a set has, as far as the names of its files tell; what cannot be opened is
    refused when the experiment is built."""
    try:
        return len(open_named(name).names) if is_own(name) else PREPARED
    except (ValueError, OSError):
        return PREPARED


def by_number(name: FieldReference, sizes: tuple[Size, ...], setting: str) -> FieldReference:
    """A setting by the number of images of a set: that of the first size that is large enough."""

    def choose(name):
        n = count(name)
        size = next(size for size in sizes if n <= size.most)
        return getattr(size, setting)

    return computed(choose, name)


def open_images(config: ConfigDict, *, batch: int, seed: int, flip: bool = False) -> Data:
    """The images that the settings images, size, held_out, skip_unreadable and data_dir name.

    Raises:
      ValueError: images is '', or as of `images`.
    """
    return _open(_options(config), batch=batch, seed=seed, flip=flip)


def _options(config: ConfigDict) -> tuple[tuple[str, Any], ...]:
    names = ('size', 'held_out', 'skip_unreadable', 'data_dir')
    return (('name', config.images), *((name, config[name]) for name in names))


def _open(options, **more):
    return images(**dict(options), **more)


def label_counts(data: Data) -> np.ndarray | None:
    """How many images each label has, [K]; None without labels.

    Raises:
      ValueError: the set is prepared by TFDS and too large for the device.
    """
    if data.about is not None:
        labels = data.about.get('labels')
        return None if labels is None else np.array(list(labels.values()))
    if not isinstance(data.train, Resident):
        raise ValueError('images name a prepared set that is streamed; its labels are not counted')
    labels = data.train.arrays.get('label')
    return None if labels is None else np.bincount(np.asarray(labels))


def labels_by_share(counts: np.ndarray) -> Callable[[Key, int], jax.Array]:
    """(key, n) -> labels of samples, each as likely as it is among the images.

    Args:
      counts: how many images have each label, [K].
    """
    with np.errstate(divide='ignore'):
        log_shares = np.log(counts / counts.sum()).astype(np.float32)

    def label(key, n):
        def one(key):
            return jax.random.categorical(key, jnp.asarray(log_shares))

        return jax.vmap(one)(example_keys(key, n))

    return label


def own_extractor(config: ConfigDict, data: Data) -> Callable[[], Extractor] | None:
    """Features by which samples are scored: InceptionV3's where its file is given, and else those
    of a classifier of the labels; None where there are neither, or too few images."""
    n_train, n_test = numbers(data)
    if min(n_train, n_test) < LEAST:
        return None
    if config.inception:
        # Read at once: a wrong file should not wait for the first probe.
        inception = inception_extractor(config.inception)
        return lambda: inception
    counts = label_counts(data)
    if counts is None:
        return None
    batch = min(n_train, 128)
    return lazy_extractor(_classifier, config.classifier, _options(config), len(counts), batch)


@functools.cache
def _classifier(
    steps: int, options: tuple[tuple[str, Any], ...], classes: int, batch: int
) -> Extractor:
    """128 features of images, by their labels."""
    data = pictures(_open(options, batch=batch, seed=0))
    size = dict(options)['size']
    widths = tuple(min(256, 32 << level) for level in range(max(2, (size // 4).bit_length())))
    network = Classifier(widths, 128, classes)
    return train_extractor('classifier of the labels', network, data, steps=steps)


def numbers(data: Data) -> tuple[int, int]:
    """How many images there are to train and to test on."""
    if data.about is not None:
        return data.about['train'], data.about['test']
    n_test = sum(len(batch['image']) for batch in data.test)
    if not isinstance(data.train, Resident):
        return PREPARED, n_test
    return len(data.train.arrays['image']), n_test


def own_comparison(
    config: ConfigDict, data: Data, extractor: Callable[[], Extractor]
) -> Callable[..., Comparison]:
    """(sample, n=, ...) -> samples beside as many images of the set, opened at its first use.

    Args:
      config: of the page.
      data: of the run, with x or image.
      extractor: of the features.
    """
    n_train, _ = numbers(data)
    options = _options(config)

    def compare(
        sample: Sample, *, n: int, seed: int, steps: int, decay: Decay | float
    ) -> Comparison:
        del steps
        n = min(n, n_train)
        size = min(n, 500)

        def real():
            train = _open(options, batch=size, seed=0).train
            for step in range(n // size):
                yield train[step]['image']

        held_out = (batch['image'] for batch in data.test)
        return comparison(
            sample,
            extractor,
            real(),
            held_out,
            n=n,
            split='train',
            average=as_decay(decay).name,
            seeds=(seed, 0),
        )

    return compare
