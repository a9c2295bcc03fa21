"""One set made of another: a pure function of each batch and its step."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import Batch, Data

BINARY = 2**31 + 2  # folded into key(seed); a trainer's steps lie below 2**31, its own keys at the end of uint32


def derived(
    data: Data, function: Callable[[Batch, jax.Array], Batch], test: Callable[[Batch, int], Batch] | None = None
) -> Data:
    """Applies (batch, step) -> batch, pure and traceable, to every batch.

    Args:
      function: of the training batches, on the device.
      test: of the test batches and their numbers, once, on the host; by default the same.
    """
    train = data.train
    changed = dataclasses.replace(train, batch=lambda held, step: function(train.batch(held, step), step))
    tests = [jax.tree.map(np.asarray, (test or function)(batch, i)) for i, batch in enumerate(data.test)]
    return Data(changed, tests)


def grey(images):
    """Images in [-1, 1] as rows of grey levels in [0, 1], [B, H W C]."""
    return (images.reshape(len(images), -1) + 1) / 2


def vectors(data: Data) -> Data:
    """Image batches as {'x': float32 [B, H W C] in [0, 1]} and the label, where there is one."""
    return derived(data, lambda batch, step: _with_x(batch, grey(batch['image'])))


def binarized(data: Data, *, seed: int) -> Data:
    """Image batches as {'x': float32 [B, H W C] of 0 and 1} and the label: a grey level is the probability of 1.

    Training images are drawn anew at every step, test images once. (Dynamic binarisation: Burda et al. 2016,
    arXiv:1509.00519, after Salakhutdinov and Murray 2008.)
    """
    key, tests = jax.random.split(jax.random.fold_in(jax.random.key(seed), BINARY))
    draw = lambda key: lambda batch, step: _with_x(batch, _drawn(jax.random.fold_in(key, step), grey(batch['image'])))
    return derived(data, draw(key), draw(tests))


def _with_x(batch, x):
    return {'x': x} | {name: batch[name] for name in ('label',) if name in batch}


def _drawn(key, p):
    """0 and 1 with probabilities p [B, D] of 1, which sixteen bits resolve to better than a tenth of a grey level."""
    bits = jax.vmap(lambda key: jax.random.bits(key, p.shape[1:], jnp.uint16))(jax.random.split(key, len(p)))
    # The centre of one of 2^16 intervals lies below p: p of 0 and 1 are certain.
    return ((bits.astype(jnp.float32) + 0.5) * (1 / 65536) < p).astype(jnp.float32)
