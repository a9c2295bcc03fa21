"""Random geometry with its label, the non-leaking augmentation of EDM.

Karras et al. 2022, arXiv:2206.00364, appendix F.2, after Karras et al. 2020, arXiv:2006.06676.
Flips move pixels. Scaling, rotation, stretch and translation are one affine map and one resampling,
by Lanczos' windowed sinc of three lobes on each side; the image is mirrored about its outermost
pixels. A network that is given the label learns to tell what was done from what images are, and
asked for the label 0 it draws images to which nothing was done. (EDM resamples bilinearly at twice
the resolution, by a wavelet's filter.)

Letters: H x W pixels, C channels, P = H W. Points are (x, y) in pixels from the centre of the
image, x to the right and y down; angles are anticlockwise as one sees the image.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from genjax.base import Key

LABELS = 9

SCALE_DEVIATION = 0.2  # of the logarithms to base 2 of scales and stretches
TRANSLATION_DEVIATION = 0.125  # in sides of the image
LOBES = 3

# These are the data, which accelerators would round to half precision.
matmul = partial(jnp.matmul, precision=lax.Precision.HIGHEST)
einsum = partial(jnp.einsum, precision=lax.Precision.HIGHEST)


class Geometry(NamedTuple):
    """What is done to an image, in this order; each entry is 0 where it is not done.

    Attributes:
      x_flip: bool, left to right.
      y_flip: bool, top to bottom.
      scale: n, the image becomes 2^(0.2 n) times as large.
      rotation: an angle in radians.
      stretch: n, the image becomes 2^(0.2 n) times as long along an axis, and as much shorter
        across.
      axis: the angle of that axis, in radians.
      translation: [2], to the right and down, in eighths of the width and of the height.
    """

    x_flip: Array
    y_flip: Array
    scale: Array
    rotation: Array
    stretch: Array
    axis: Array
    translation: Array


def augment_geometry(key: Key, image: Array, *, p: float = 0.12) -> tuple[Array, Array]:
    """An image to which each kind of change is made with probability p, and the label.

    Args:
      key: of the draw.
      image: float [H, W, C], of 4 x 4 pixels or more.
      p: the probability; see `draw_geometry`.

    Returns:
      The image [H, W, C], to the bit as it was where the label is 0; and the label float32 [9].

    Raises:
      ValueError: p lies outside [0, 1], or the image has another shape.
    """
    geometry = draw_geometry(key, p)
    return apply_geometry(geometry, image), label_of(geometry)


def draw_geometry(key: Key, p: float) -> Geometry:
    """Each kind with probability p, but for the flips and the axis.

    Half of all images are flipped left to right wherever p is above 0, and a share p / 2 top to
    bottom; half of the stretches are along the width.

    Source: appendix F.2, table 6; the authors' code for the flips and the axis.

    Args:
      key: of the draw.
      p: the probability.

    Raises:
      ValueError: p lies outside [0, 1].
    """
    if not 0 <= p <= 1:
        raise ValueError(f'p is {p}; a probability lies in [0, 1]')
    x_key, y_key, scale_key, rotation_key, stretch_key, axis_key, shift_key = jax.random.split(
        key, 7
    )

    def angle(key):
        return jax.random.uniform(key, minval=-jnp.pi, maxval=jnp.pi)

    def sometimes(key, draw, probability):
        coin_key, draw_key = jax.random.split(key)
        return jnp.where(jax.random.bernoulli(coin_key, probability), draw(draw_key), 0.0)

    return Geometry(
        x_flip=jax.random.bernoulli(x_key, 0.5 if p > 0 else 0.0),
        y_flip=jax.random.bernoulli(y_key, p / 2),
        scale=sometimes(scale_key, jax.random.normal, p),
        rotation=sometimes(rotation_key, angle, p),
        stretch=sometimes(stretch_key, jax.random.normal, p),
        axis=sometimes(axis_key, angle, 0.5),
        translation=sometimes(shift_key, partial(jax.random.normal, shape=(2,)), p),
    )


def label_of(geometry: Geometry) -> Array:
    """The conditions that a network is given, float32 [9]; 0 where nothing is done.

    The flips, the scale, cos - 1 and sin of the rotation, the stretch times the cos and the sin of
    its axis, and the translation.
    """
    flips = jnp.stack([geometry.x_flip, geometry.y_flip]).astype(jnp.float32)
    return jnp.concatenate(
        [
            flips,
            geometry.scale[None],
            jnp.cos(geometry.rotation)[None] - 1,
            jnp.sin(geometry.rotation)[None],
            (geometry.stretch * jnp.cos(geometry.axis))[None],
            (geometry.stretch * jnp.sin(geometry.axis))[None],
            geometry.translation,
        ]
    )


def apply_geometry(geometry: Geometry, image: Array) -> Array:
    """The image [H, W, C] changed; to the bit as it was where nothing is done.

    Raises:
      ValueError: the image has another shape, or sides of fewer than 4 pixels.
    """
    if image.ndim != 3 or min(image.shape[:2]) <= LOBES:
        raise ValueError(f'image has shape {image.shape}; [H, W, C] with H, W > {LOBES} is needed')
    image = jnp.where(geometry.x_flip, image[:, ::-1], image)
    image = jnp.where(geometry.y_flip, image[::-1], image)
    numbers = (geometry.scale, geometry.rotation, geometry.stretch)
    moves = jnp.any(jnp.stack(numbers) != 0) | jnp.any(geometry.translation != 0)
    return jnp.where(moves, resample(image, _source_points(geometry, image.shape)), image)


def _rotation(angle):
    """The matrix [2, 2] that turns points anticlockwise; y points down."""
    cos = jnp.cos(angle)
    sin = jnp.sin(angle)
    return jnp.stack([jnp.stack([cos, sin]), jnp.stack([-sin, cos])])


def _source_points(geometry, shape):
    """Where in the image each pixel of the result comes from, [P, 2]."""
    H, W, _ = shape
    centre = jnp.array([(W - 1) / 2, (H - 1) / 2])
    y, x = jnp.indices((H, W), dtype=centre.dtype)
    points = jnp.stack([x.reshape(-1), y.reshape(-1)], -1) - centre[None]  # [P, 2]

    shift = TRANSLATION_DEVIATION * jnp.array([W, H], centre.dtype) * geometry.translation
    size = jnp.exp2(SCALE_DEVIATION * geometry.scale)
    length = jnp.exp2(SCALE_DEVIATION * geometry.stretch)
    axis = _rotation(geometry.axis)
    # The inverses, the last change first; a rotation's is its transpose.
    unstretch = matmul(axis * jnp.stack([1 / length, length])[None], axis.T)
    inverse = matmul(_rotation(-geometry.rotation), unstretch) / size
    return matmul(points - shift[None], inverse.T) + centre[None]


def resample(image: Array, points: Array) -> Array:
    """The image [H, W, C] at points [P, 2] in pixels from its first, (x, y): [H, W, C], P = H W.

    Lanczos' windowed sinc along both axes, normalised, on the image mirrored about its outermost
    pixels. At whole pixels it is the pixel, to rounding.
    """
    H, W, C = image.shape
    columns = _lanczos_weights(points[:, 0], W)
    rows = _lanczos_weights(points[:, 1], H)
    # Matrix products, which accelerators do sooner than gathers.
    lines = einsum('ph,hwc->pwc', rows, image)
    return einsum('pw,pwc->pc', columns, lines).reshape(H, W, C)


def _lanczos_weights(position, side):
    """The weights of `side` pixels at each position [P] on their line, [P, side]."""
    last = side - 1
    # Mirrored into [0, last]; then the kernel reaches one mirror image beyond either end.
    position = (last - jnp.abs(last - position % (2 * last)))[:, None]
    pixel = jnp.arange(side, dtype=position.dtype)[None]
    weights = _lanczos(position - pixel)
    weights = weights + jnp.where(pixel > 0, _lanczos(position + pixel), 0)
    weights = weights + jnp.where(pixel < last, _lanczos(2 * last - position - pixel), 0)
    return weights / jnp.sum(weights, 1, keepdims=True)


def _lanczos(distance):
    """sinc(d) sinc(d / 3) for |d| < 3, and 0 beyond."""
    kernel = jnp.sinc(distance) * jnp.sinc(distance / LOBES)
    return jnp.where(jnp.abs(distance) < LOBES, kernel, 0)
