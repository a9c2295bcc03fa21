"""A data set derived from another by a pure function of each batch and its step.

Letters: B examples a batch, H x W pixels, C channels, D = H W C.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.tree_util import Partial

from genjax.base import Batch, Data, Key, as_pytree
from genjax.data.resident import seeded

# Folded into key(seed). A trainer's steps lie below 2**31, its own keys at the end of uint32.
BINARY = 2**31 + 2

# Indices of the keys that binarised images are drawn by.
TRAIN, TEST = 0, 1


def derived(
    data: Data,
    function: Callable[[Batch, Array], Batch],
    test: Callable[[Batch, int], Batch] | None = None,
) -> Data:
    """Applies a function to every batch of a set.

    Args:
      data: the set.
      function: (batch, step) -> batch, pure and traceable; of training batches, on the device.
      test: (batch, i) -> batch, applied once to the i-th test batch, on the host; None: function.
    """

    def make_batch(function, make_source_batch, arrays, step):
        return function(make_source_batch(arrays, step), step)

    train = dataclasses.replace(
        data.train, make_batch=Partial(make_batch, as_pytree(function), data.train.make_batch)
    )
    of_test = test or function
    tests = [_to_host(of_test(batch, i)) for i, batch in enumerate(data.test)]
    return Data(train, tests, data.about)


def grey(images: Array) -> Array:
    """Images [B, H, W, C] in [-1, 1] as rows of grey levels in [0, 1], [B, D]."""
    return (images.reshape(len(images), -1) + 1) / 2


def vectors(data: Data) -> Data:
    """Image batches as {'x': float32 [B, D] in [0, 1]}, and the label where there is one."""

    def vectorise(batch, step):
        return _with_x(batch, grey(batch['image']))

    return derived(data, vectorise)


def pictures(data: Data) -> Data:
    """Image batches as {'x': float32 [B, H, W, C] in [-1, 1]}, and the label if there is one."""

    def rename(batch, step):
        return _with_x(batch, batch['image'])

    return derived(data, rename)


def stacked(data: Data) -> Data:
    """Triples of grey images as one image of three channels, with 1,000 classes.

    Batches are {'x': [B, H, W, 3] in [-1, 1], 'label': int32 [B]}. The channels of training batch
    s are the batches 3 s, 3 s + 1 and 3 s + 2, and a label is 100 a + 10 b + c of their labels. The
    channels of a test image are itself and the next two images of its batch, cyclically. (Metz et
    al. 2017, arXiv:1611.02163.)

    Raises:
      ValueError: the images have more than one channel.
    """
    channels = data.test[0]['image'].shape[-1]
    if channels != 1:
        raise ValueError(f'images have {channels} channels; only those of one can be stacked')

    def stack(red, green, blue):
        return {
            'x': jnp.concatenate([red['image'], green['image'], blue['image']], -1),
            'label': 100 * red['label'] + 10 * green['label'] + blue['label'],
        }

    def make_batch(make_source_batch, arrays, step):
        red, green, blue = (make_source_batch(arrays, 3 * step + i) for i in range(3))
        return stack(red, green, blue)

    def rolled(batch, places):
        return jax.tree.map(lambda rows: np.roll(rows, -places, 0), batch)

    train = dataclasses.replace(data.train, make_batch=Partial(make_batch, data.train.make_batch))
    tests = [_to_host(stack(batch, rolled(batch, 1), rolled(batch, 2))) for batch in data.test]
    return Data(train, tests, data.about)


def binarized(data: Data, *, seed: int) -> Data:
    """Image batches of 0 and 1, where a grey level is the probability of 1.

    Batches are {'x': float32 [B, D]}, and the label where there is one. Training images are drawn
    anew at every step, test images once. (Dynamic binarisation: Burda et al. 2016,
    arXiv:1509.00519, after Salakhutdinov and Murray 2008.)

    Args:
      data: the images.
      seed: seed of the draws, 0 to 2^32 - 1.

    Raises:
      ValueError: the seed lies outside.
    """

    def binarize(which, seed, batch, step):
        key = jax.random.fold_in(jax.random.key(seed), BINARY)
        own_key = jax.random.split(key)[which]
        step_key = jax.random.fold_in(own_key, step)
        return _with_x(batch, _bernoulli(step_key, grey(batch['image'])))

    of_train = seeded(partial(binarize, TRAIN), seed)
    of_test = seeded(partial(binarize, TEST), seed)
    return derived(data, of_train, of_test)


def _with_x(batch: Batch, x: Array) -> Batch:
    """A batch of x, with the labels of another batch if that has any."""
    if 'label' in batch:
        return {'x': x, 'label': batch['label']}
    return {'x': x}


def _bernoulli(key: Key, p: Array) -> Array:
    """0 and 1, float32 [B, D], where p [B, D] are the probabilities of 1.

    Sixteen random bits resolve p to better than a tenth of a grey level.
    """

    def bits_of_example(key):
        return jax.random.bits(key, p.shape[1:], jnp.uint16)

    bits = jax.vmap(bits_of_example)(jax.random.split(key, len(p)))
    # The centre of one of 2^16 intervals lies below p: p of 0 and 1 are certain.
    return ((bits.astype(jnp.float32) + 0.5) * (1 / 65536) < p).astype(jnp.float32)


def _to_host(batch: Batch) -> Batch:
    return jax.tree.map(np.asarray, batch)
