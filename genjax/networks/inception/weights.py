"""InceptionV3 with its published weights, as a function of images.

Before the network comes a resize, which is as much a part of the measure as the weights are:
TensorFlow 1's bilinear one, with neither aligned corners nor half-pixel centres.

Shapes: B examples, H rows, W columns; of kernels: K rows, L columns, I channels in, O channels out.
"""

import os
import pathlib
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.networks.inception.inceptionv3 import InceptionV3
from genjax.networks.inception.state_dict import read_arrays

FILE = 'pt_inception-2015-12-05-6726825d.pth'
PUBLISHED = f'https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}'
RESIZE = 'bilinear to 299 x 299, as TensorFlow 1'

Arrays = dict[str, np.ndarray]


class Inception(NamedTuple):
    """InceptionV3 with weights.

    Attributes:
      apply: images [B, H, W, 1 or 3] in [-1, 1] -> pooled features [B, 2048] and logits without the
        bias [B, 1008]. It is compiled for each shape and takes about 12 MB an image.
      variables: the weights, {collection: {name: array}}.
      resize: what is done to the images first, in words.
    """

    apply: Callable[[Array], tuple[Array, Array]]
    variables: dict[str, Arrays]
    resize: str


def load_inception(path: str | os.PathLike) -> Inception:
    """InceptionV3 with the weights of a file.

    Args:
      path: of the file that pytorch-fid publishes, or of one with the same entries as .safetensors.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file holds something else.
    """
    if not pathlib.Path(path).is_file():
        raise FileNotFoundError(
            f'there is no file {path}; InceptionV3 needs {FILE}, published at {PUBLISHED}'
        )
    try:
        variables = variables_of(read_arrays(path))
    except ValueError as error:
        raise ValueError(f'{path} does not hold the weights of InceptionV3: {error}') from None
    apply = partial(_features_and_logits, jax.device_put(variables))
    return Inception(apply, variables, RESIZE)


@jax.jit
def _features_and_logits(variables, images):
    # By default an accelerator would round to fewer bits than a CPU.
    with jax.default_matmul_precision('highest'):
        features = InceptionV3().apply(variables, preprocess(images))
    return features['2048'], features['logits_unbiased']


def preprocess(images: Array) -> Array:
    """Images as InceptionV3 takes them, resized to [B, 299, 299, 3] in [-1, 1).

    They are rounded to the 256 levels of a file first, and grey is repeated to three channels.

    Args:
      images: [B, H, W, 1 or 3] in [-1, 1].

    Raises:
      ValueError: images have another shape, or are integers.
    """
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(f'images have shape {images.shape}; [B, H, W, 1 or 3] is needed')
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(
            f'images have type {images.dtype}; floating point numbers in [-1, 1] are needed'
        )
    levels = jnp.clip(jnp.round((images.astype(jnp.float32) + 1) * 127.5), 0, 255)
    rows = resize_weights(images.shape[1])
    columns = resize_weights(images.shape[2])
    resized = jnp.einsum('mh,bhwc,nw->bmnc', rows, levels, columns, precision='highest')
    return jnp.broadcast_to((resized - 128) / 128, (*resized.shape[:3], 3))


def resize_weights(size: int, target: int = 299) -> np.ndarray:
    """The weights of each of `size` pixels in each of `target`, [target, size] float32.

    Pixel i of the result lies at i size / target, between two pixels; beyond the last there is only
    that one.

    Source: TensorFlow 1's resize_bilinear with align_corners=False.
    """
    position = np.arange(target, dtype=np.float32) * np.float32(size / target)
    below = position.astype(np.int64)
    above = np.minimum(below + 1, size - 1)
    fraction = position - below.astype(np.float32)
    rows = np.arange(target)
    weights = np.zeros((target, size), np.float32)
    weights[rows, below] = 1 - fraction
    weights[rows, above] += fraction
    return weights


def variables_of(arrays: Arrays) -> dict[str, Arrays]:
    """The variables of InceptionV3, from the arrays of a file in the pytorch-fid format.

    Args:
      arrays: by name; kernels are [O, I, K, L], `fc.weight` is [1008, 2048]. Norms' counts of
        batches are left out.

    Returns:
      {collection: {name: array}}.

    Raises:
      ValueError: an entry is unknown, missing or has another shape.
    """
    shapes = _shapes()
    known = {name for collection in shapes.values() for name in collection}
    for name in arrays:
        if name not in known and not name.endswith('.num_batches_tracked'):
            raise ValueError(f'there is an entry {name}, which InceptionV3 does not have')
    return {
        kind: {name: _to_flax(arrays, name, x.shape) for name, x in collection.items()}
        for kind, collection in shapes.items()
    }


@cache
def _shapes() -> dict[str, dict[str, jax.ShapeDtypeStruct]]:
    """The shapes of InceptionV3's variables."""
    image = jax.ShapeDtypeStruct((1, 299, 299, 3), jnp.float32)
    return jax.eval_shape(InceptionV3().init, jax.random.key(0), image)


def _to_flax(arrays, name, shape):
    """The array of a name with its axes in flax's order, where it has this shape."""
    if name not in arrays:
        raise ValueError(f'the entry {name} is missing')
    axes = list(range(len(shape)))[::-1]
    if len(shape) == 4:
        axes = [2, 3, 1, 0]  # [O, I, K, L] to [K, L, I, O]
    torch_shape = tuple(shape[axes.index(axis)] for axis in range(len(shape)))
    if arrays[name].shape != torch_shape:
        raise ValueError(
            f'the entry {name} has shape {arrays[name].shape}; {torch_shape} is needed'
        )
    return np.ascontiguousarray(arrays[name].transpose(axes), np.float32)
