"""What judges samples of a set of images: features of a classifier that is trained on that set, by
a seed of its own.

The classifier is trained where a probe first asks, and once in a process for the same arguments.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import optax

from genjax.algorithms.classifier import classifier
from genjax.base import Data, Key, State
from genjax.data.derived import derived, pictures
from genjax.data.images.augment import translation
from genjax.data.images.sets import images
from genjax.metrics.fidelity import Extractor, Features, digest
from genjax.networks.classifier import Classifier
from genjax.networks.inception.weights import inception
from genjax.parallel import example_keys
from genjax.probes.fidelity import Judge, judge
from genjax.training.train import Every, Experiment, train

Sample = Callable[[Key, State, int], Any]  # of a model's averaged parameters


def compared(
    name: str, sample: Sample, extractor: Callable[[], Extractor], *, n: int, seed: int, **options
) -> Judge:
    """Compares n samples with as many training images of a set, and the test images with the same.

    Args:
      name, options: of `images`.
      sample: gives images as the set has them.
      seed: of the run.
    """
    size = min(n, 500)
    data = images(name, batch=size, seed=0, **options)
    real, held_out = (
        (data.train[step]['image'] for step in range(n // size)),
        (batch['image'] for batch in data.test),
    )
    return judge(
        sample, extractor, real, held_out, n=n, split='train', average=True, seeds=(seed, 0)
    )


def digits_judge(sample: Sample, *, n: int, seed: int, steps: int) -> Judge:
    """Of the 8 x 8 digits; 1,000 steps of the classifier take 15 s, and it is right of 99.0 % of
    the test digits."""
    return compared('digits', sample, later(digits, steps), n=n, seed=seed, size=8)


def mnist_judge(sample: Sample, *, n: int, seed: int, steps: int, data_dir: str) -> Judge:
    """Of MNIST; 2,000 steps of the classifier are enough."""
    return compared(
        'mnist', sample, later(mnist, steps, data_dir), n=n, seed=seed, data_dir=data_dir
    )


def cifar_judge(
    sample: Sample, *, n: int, seed: int, steps: int, data_dir: str, weights: str
) -> Judge:
    """Of CIFAR-10: by InceptionV3 with the weights of a file, or by a classifier where that is ''."""
    if weights:
        found = inceptionv3(weights)  # read at once: a wrong file must not wait for the first probe
    extractor = (lambda: found) if weights else later(cifar, steps, data_dir)
    return compared('cifar10', sample, extractor, n=n, seed=seed, data_dir=data_dir)


def later(train: Callable[..., Extractor], steps: int, *where: str) -> Callable[[], Extractor]:
    """Trains an extractor when it is called; a ValueError at once if there are no steps."""
    if steps < 1:
        raise ValueError(f'steps of the classifier are {steps}; at least 1 is needed')
    return functools.partial(train, steps, *where)


@functools.cache
def digits(steps: int) -> Extractor:
    """64 features of images [B, 8, 8, 1]."""
    data = pictures(images('digits', batch=100, size=8, seed=0))
    return trained('digits classifier', Classifier((32, 64), 64, 10), data, steps=steps)


@functools.cache
def mnist(steps: int, data_dir: str) -> Extractor:
    """128 features of images [B, 28, 28, 1]."""
    data = pictures(images('mnist', batch=128, seed=0, data_dir=data_dir))
    return trained('MNIST classifier', Classifier((16, 32, 64), 128, 10), data, steps=steps)


@functools.cache
def cifar(steps: int, data_dir: str) -> Extractor:
    """256 features of images [B, 32, 32, 3]."""
    data = pictures(images('cifar10', batch=128, flip=True, seed=0, data_dir=data_dir))
    return trained('CIFAR-10 classifier', Classifier((64, 128, 256), 256, 10), data, steps=steps)


@functools.cache
def inceptionv3(path: str) -> Extractor:
    """2,048 features of images of any size, by which FID is defined."""
    see, weights, resize = inception(path)
    return Extractor('InceptionV3', weights, resize, jax.jit(lambda x: Features(*see(x))))


def shifted(data: Data) -> Data:
    """Training images x in [-1, 1] by up to an eighth of their sides, black coming in, which spares
    half of the errors on test digits."""

    def shift(batch, step):
        keys = example_keys(jax.random.fold_in(jax.random.key(0), step), len(batch['x']))
        return batch | {'x': jax.vmap(translation)(keys, batch['x'] + 1) - 1}

    return derived(data, shift, lambda batch, _: batch)


def trained(name: str, network: Classifier, data: Data, *, steps: int) -> Extractor:
    """The extractor that a classifier becomes in some steps, on one device."""
    optimizer = optax.adamw(optax.cosine_decay_schedule(2e-3, steps), weight_decay=1e-2)
    experiment = Experiment(classifier(network, optimizer), shifted(data)._replace(test=[]), {})
    mesh = jax.make_mesh(
        (1,), ('data',), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1]
    )
    with jax.set_mesh(mesh):  # it is asked for within a run, on that one's mesh
        state = train(experiment, seed=0, steps=steps, mesh=mesh, every=Every(steps, steps, steps))
    params = jax.device_get(state.average)
    features = jax.jit(lambda x: Features(*network.apply({'params': params}, x)))
    return Extractor(name, digest(params), 'none', features)
