"""Fidelity of samples of a set of images, by a classifier that is trained on that set.

The classifier has a seed of its own. It is trained where a probe first asks for it, and once in a
process for the same arguments.
"""

import functools
from collections.abc import Callable

import jax
import optax

from genjax.algorithms.classifier import classifier
from genjax.averages import Decay, as_decay
from genjax.base import Data
from genjax.data.derived import derived, pictures
from genjax.data.images.augment import translation
from genjax.data.images.sets import images
from genjax.metrics.fidelity import Extractor, Features
from genjax.metrics.protocol import weights_digest
from genjax.networks.classifier import Classifier
from genjax.networks.inception.weights import load_inception
from genjax.parallel import example_keys
from genjax.probes.fidelity import Comparison, comparison
from genjax.probes.figures import Sample
from genjax.training import Every, Experiment, train


def digits_comparison(
    sample: Sample, *, n: int, seed: int, steps: int, decay: Decay | float
) -> Comparison:
    """Samples beside the 8 x 8 digits.

    1,000 steps of the classifier take 15 s, and it is right of 99.0 % of the test digits.

    Args:
      sample: of a model's averaged parameters, (key, state, n) -> images.
      n: how many samples.
      seed: of the run.
      steps: of the classifier.
      decay: of that average, which scores say.
    """
    extractor = lazy_extractor(digits_extractor, steps)
    return image_comparison('digits', sample, extractor, n=n, seed=seed, decay=decay, size=8)


def mnist_comparison(
    sample: Sample, *, n: int, seed: int, steps: int, decay: Decay | float, data_dir: str
) -> Comparison:
    """Samples beside MNIST; 2,000 steps of the classifier are enough.

    Args: as of `digits_comparison`, and
      data_dir: where the set is.
    """
    extractor = lazy_extractor(mnist_extractor, steps, data_dir)
    return image_comparison(
        'mnist', sample, extractor, n=n, seed=seed, decay=decay, data_dir=data_dir
    )


def cifar_comparison(
    sample: Sample,
    *,
    n: int,
    seed: int,
    steps: int,
    decay: Decay | float,
    data_dir: str,
    weights: str,
) -> Comparison:
    """Samples beside CIFAR-10.

    Args: as of `mnist_comparison`, and
      weights: the file of InceptionV3's weights; '' takes a classifier in its place.
    """
    if weights:
        # Read at once: a wrong file should not wait for the first probe.
        inception = inception_extractor(weights)

        def extractor():
            return inception
    else:
        extractor = lazy_extractor(cifar_extractor, steps, data_dir)
    return image_comparison(
        'cifar10', sample, extractor, n=n, seed=seed, decay=decay, data_dir=data_dir
    )


def image_comparison(
    name: str,
    sample: Sample,
    extractor: Callable[[], Extractor],
    *,
    n: int,
    seed: int,
    decay: Decay | float,
    **options,
) -> Comparison:
    """Compares n samples with as many training images of a set, beside its test images.

    Args:
      name: of a set of `images`.
      sample: (key, state, n) -> images as the set has them.
      extractor: makes the extractor.
      n: how many samples.
      seed: of the run.
      decay: of the average that samples, which scores say.
      options: of `images`.
    """
    size = min(n, 500)
    data = images(name, batch=size, seed=0, **options)
    real = (data.train[step]['image'] for step in range(n // size))
    held_out = (batch['image'] for batch in data.test)
    return comparison(
        sample,
        extractor,
        real,
        held_out,
        n=n,
        split='train',
        average=as_decay(decay).name,
        seeds=(seed, 0),
    )


def lazy_extractor(
    make: Callable[..., Extractor], steps: int, *options: str
) -> Callable[[], Extractor]:
    """Trains an extractor when it is called.

    Args:
      make: (steps, *options) -> Extractor.
      steps: of the classifier.
      options: of make.

    Raises:
      ValueError: at once, where steps are fewer than 1.
    """
    if steps < 1:
        raise ValueError(f'steps of the classifier are {steps}; at least 1 is needed')
    return functools.partial(make, steps, *options)


@functools.cache
def digits_extractor(steps: int) -> Extractor:
    """64 features of images [B, 8, 8, 1]."""
    data = pictures(images('digits', batch=100, size=8, seed=0))
    network = Classifier((32, 64), 64, 10)
    return train_extractor('digits classifier', network, data, steps=steps)


@functools.cache
def mnist_extractor(steps: int, data_dir: str) -> Extractor:
    """128 features of images [B, 28, 28, 1]."""
    data = pictures(images('mnist', batch=128, seed=0, data_dir=data_dir))
    network = Classifier((16, 32, 64), 128, 10)
    return train_extractor('MNIST classifier', network, data, steps=steps)


@functools.cache
def cifar_extractor(steps: int, data_dir: str) -> Extractor:
    """256 features of images [B, 32, 32, 3]."""
    data = pictures(images('cifar10', batch=128, flip=True, seed=0, data_dir=data_dir))
    network = Classifier((64, 128, 256), 256, 10)
    return train_extractor('CIFAR-10 classifier', network, data, steps=steps)


@functools.cache
def inception_extractor(path: str) -> Extractor:
    """2,048 features of images of any size, by which FID is defined."""
    inception = load_inception(path)

    @jax.jit
    def features(x):
        return Features(*inception.apply(x))

    return Extractor('InceptionV3', weights_digest(inception.variables), inception.resize, features)


def train_extractor(name: str, network: Classifier, data: Data, *, steps: int) -> Extractor:
    """The extractor that a classifier becomes in some steps, on one device."""
    optimizer = optax.adamw(optax.cosine_decay_schedule(2e-3, steps), weight_decay=1e-2)
    data = with_random_shifts(data)._replace(test=[])
    experiment = Experiment(classifier(network, optimizer), data, {})
    mesh = jax.make_mesh(
        (1,), ('data',), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1]
    )
    with jax.set_mesh(mesh):  # probes ask for it within a run, on the mesh of that run
        state = train(experiment, seed=0, steps=steps, mesh=mesh, every=Every(steps, steps, steps))
    params = jax.device_get(state.average)

    @jax.jit
    def features(x):
        return Features(*network.apply({'params': params}, x))

    return Extractor(name, weights_digest(params), 'none', features)


def with_random_shifts(data: Data) -> Data:
    """Training images x in [-1, 1] shifted by up to an eighth of their sides, on black.

    This halves the errors on test digits.
    """

    def shift(batch, step):
        keys = example_keys(jax.random.fold_in(jax.random.key(0), step), len(batch['x']))
        return batch | {'x': jax.vmap(translation)(keys, batch['x'] + 1) - 1}

    def keep(batch, _):
        return batch

    return derived(data, shift, keep)
