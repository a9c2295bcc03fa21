"""InceptionV3 with its published weights, as a function of images; the network itself is in
`inceptionv3`.

Before the network comes a resize, which is as much a part of the measure as the weights are:
TensorFlow 1's bilinear one, with neither aligned corners nor half-pixel centres.

Shapes: B examples, H rows, W columns; of kernels: K rows, L columns, I channels in, O channels out.
"""

import hashlib
import os
import pathlib
from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from genjax.networks.inception.inceptionv3 import InceptionV3
from genjax.networks.inception.state_dict import read_arrays

FILE = 'pt_inception-2015-12-05-6726825d.pth'
PUBLISHED = f'https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}'
RESIZE = 'bilinear to 299 x 299, as TensorFlow 1'


def resize_weights(size: int, target: int = 299) -> np.ndarray:
    """How much of each of `size` pixels goes into each of `target`, [target, size] float32.

    Pixel i of the result lies at i size / target, between the two pixels beside it; beyond the last
    there is only it.

    Source: TensorFlow 1's resize_bilinear with align_corners=False.
    """
    place = np.arange(target, dtype=np.float32) * np.float32(size / target)
    below = place.astype(np.int64)
    share, rows = place - below.astype(np.float32), np.arange(target)
    weights = np.zeros((target, size), np.float32)
    weights[rows, below] = 1 - share
    weights[rows, np.minimum(below + 1, size - 1)] += share
    return weights


def prepared(images: jax.Array) -> jax.Array:
    """Images [B, H, W, 1 or 3] in [-1, 1] as InceptionV3 wants them, [B, 299, 299, 3] in [-1, 1).

    They are rounded to the 256 levels of a file first, and grey is repeated to three channels.

    Raises:
      ValueError: when traced with images of another shape, or with whole numbers.
    """
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(f'images have shape {images.shape}; [B, H, W, 1 or 3] is needed')
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(
            f'images have type {images.dtype}; floating point numbers in [-1, 1] are needed'
        )
    levels = jnp.clip(jnp.round((images.astype(jnp.float32) + 1) * 127.5), 0, 255)
    rows, columns = map(resize_weights, images.shape[1:3])
    resized = jnp.einsum('mh,bhwc,nw->bmnc', rows, levels, columns, precision='highest')
    return jnp.broadcast_to((resized - 128) / 128, (*resized.shape[:3], 3))


@cache
def _shapes() -> dict[str, dict[str, jax.ShapeDtypeStruct]]:
    image = jax.ShapeDtypeStruct((1, 299, 299, 3), jnp.float32)
    return jax.eval_shape(InceptionV3().init, jax.random.key(0), image)


def variables_of(arrays: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """The variables of InceptionV3, from the arrays of a file in the pytorch-fid format.

    Args:
      arrays: by name; kernels are [O, I, K, L], `fc.weight` is [1008, 2048]. Norms' counts of
        batches are left out.

    Raises:
      ValueError: an entry is unknown, missing or has another shape.
    """
    wanted = _shapes()
    known = {name for collection in wanted.values() for name in collection}
    for name in arrays:
        if name not in known and not name.endswith('.num_batches_tracked'):
            raise ValueError(f'there is an entry {name}, which InceptionV3 does not have')
    fit = lambda collection: {
        name: _fitted(arrays, name, x.shape) for name, x in collection.items()
    }
    return {kind: fit(collection) for kind, collection in wanted.items()}


def _fitted(arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    order = (
        (2, 3, 1, 0) if len(shape) == 4 else range(len(shape))[::-1]
    )  # torch's axes in the order of ours
    if name not in arrays:
        raise ValueError(f'the entry {name} is missing')
    turned = tuple(shape[list(order).index(axis)] for axis in range(len(shape)))
    if arrays[name].shape != turned:
        raise ValueError(f'the entry {name} has shape {arrays[name].shape}; {turned} is needed')
    return np.ascontiguousarray(arrays[name].transpose(order), np.float32)


def digest(variables: dict[str, dict[str, np.ndarray]]) -> str:
    """16 hex digits of the sha256 of names, shapes and values, in the order of the names."""
    hashed = hashlib.sha256()
    for name, x in sorted(item for collection in variables.values() for item in collection.items()):
        hashed.update(f'{name} {x.shape} '.encode() + x.astype('<f4').tobytes())
    return hashed.hexdigest()[:16]


@jax.jit
def _seen(variables: dict, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    with jax.default_matmul_precision(
        'highest'
    ):  # or an accelerator would round to fewer bits than a CPU
        features = InceptionV3().apply(variables, prepared(images))
    return features['2048'], features['logits_unbiased']


def inception(
    path: str | os.PathLike,
) -> tuple[Callable[[jax.Array], tuple[jax.Array, jax.Array]], str, str]:
    """InceptionV3 with the weights of a file.

    Args:
      path: of the file that pytorch-fid publishes, or of one with the same entries as .safetensors.

    Returns: a function of images [B, H, W, 1 or 3] in [-1, 1] that gives pooled features [B, 2048]
      and logits without the bias [B, 1008]; the digest of the weights; the resize in words. The
      function is compiled once a shape and takes about 12 MB an image.

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
    return partial(_seen, jax.device_put(variables)), digest(variables), RESIZE
