"""One set made of another: a pure function of each batch and its step."""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from genjax.base import Batch, Data, as_pytree
from genjax.data.resident import seeded

BINARY = (
    2**31 + 2
)  # folded into key(seed); a trainer's steps lie below 2**31, its own keys at the end of uint32


def derived(
    data: Data,
    function: Callable[[Batch, jax.Array], Batch],
    test: Callable[[Batch, int], Batch] | None = None,
) -> Data:
    """Applies (batch, step) -> batch, pure and traceable, to every batch.

    Args:
      function: of the training batches, on the device.
      test: of the test batches and their numbers, once, on the host; by default the same.
    """
    train = data.train
    after = lambda function, draw, held, step: function(draw(held, step), step)
    changed = dataclasses.replace(
        train, make_batch=Partial(after, as_pytree(function), train.make_batch)
    )
    tests = [
        jax.tree.map(np.asarray, (test or function)(batch, i)) for i, batch in enumerate(data.test)
    ]
    return Data(changed, tests)


def grey(images):
    """Images in [-1, 1] as rows of grey levels in [0, 1], [B, H W C]."""
    return (images.reshape(len(images), -1) + 1) / 2


def vectors(data: Data) -> Data:
    """Image batches as {'x': float32 [B, H W C] in [0, 1]} and the label, where there is one."""
    return derived(data, lambda batch, step: _with_x(batch, grey(batch['image'])))


def pictures(data: Data) -> Data:
    """Image batches as {'x': float32 [B, H, W, C] in [-1, 1]} and the label, where there is one."""
    return derived(data, lambda batch, step: _with_x(batch, batch['image']))


def stacked(data: Data) -> Data:
    """Grey image batches as {'x': [B, H, W, 3] in [-1, 1], 'label': int32 [B]}: an image to a
    channel, 1,000 classes.

    The channels of training batch s are the batches 3 s, 3 s + 1 and 3 s + 2, and a label is 100 a
    + 10 b + c of their labels; a test image has itself and its next two neighbours in its batch
    (Metz et al. 2017, arXiv:1611.02163).

    Raises:
      ValueError: the images have more than one channel.
    """
    train, join = (
        data.train,
        lambda a, b, c: {
            'x': jnp.concatenate([a['image'], b['image'], c['image']], -1),
            'label': 100 * a['label'] + 10 * b['label'] + c['label'],
        },
    )
    if (channels := data.test[0]['image'].shape[-1]) != 1:
        raise ValueError(f'images have {channels} channels; only those of one can be stacked')
    turned = lambda batch, places: jax.tree.map(lambda rows: np.roll(rows, -places, 0), batch)
    three = lambda draw, held, step: join(*(draw(held, 3 * step + i) for i in range(3)))
    changed = dataclasses.replace(train, make_batch=Partial(three, train.make_batch))
    tests = [
        jax.tree.map(np.asarray, join(batch, turned(batch, 1), turned(batch, 2)))
        for batch in data.test
    ]
    return Data(changed, tests)


def binarized(data: Data, *, seed: int) -> Data:
    """Image batches as {'x': float32 [B, H W C] of 0 and 1} and the label: a grey level is the
    probability of 1.

    Training images are drawn anew at every step, test images once. (Dynamic binarisation: Burda et
    al. 2016, arXiv:1509.00519, after Salakhutdinov and Murray 2008.)
    """

    def draw(which, seed, batch, step):
        key = jax.random.split(jax.random.fold_in(jax.random.key(seed), BINARY))[which]
        return _with_x(batch, _drawn(jax.random.fold_in(key, step), grey(batch['image'])))

    return derived(data, *(seeded(partial(draw, which), seed) for which in range(2)))


def _with_x(batch, x):
    return {'x': x} | {name: batch[name] for name in ('label',) if name in batch}


def _drawn(key, p):
    """0 and 1 with probabilities p [B, D] of 1, which sixteen bits resolve to better than a tenth
    of a grey level."""
    bits = jax.vmap(lambda key: jax.random.bits(key, p.shape[1:], jnp.uint16))(
        jax.random.split(key, len(p))
    )
    # The centre of one of 2^16 intervals lies below p: p of 0 and 1 are certain.
    return ((bits.astype(jnp.float32) + 0.5) * (1 / 65536) < p).astype(jnp.float32)
