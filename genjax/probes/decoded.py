"""Pictures of what codes decode to.

For any `encode` (key, state, batch) -> code [B, ...] and any `decode` (key, state, code) -> x
[B, ...]. A `view` shows x [B, ...] as images [B, H, W, C] in [-1, 1]; `unit_images` is one.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.base import Batch, Key, State
from genjax.compiling import jit_briefly
from genjax.probes.codes import Encode
from genjax.probes.figures import Measure, tile, to_pixels

Decode = Callable[[Key, State, Array], Array]
View = Callable[[Array], Array]
Corrupt = Callable[[Key, Array], Array]  # of one example
Mix = Callable[[Array, Array, Array], Array]  # (weight, start, end) -> codes between


def unit_images(shape: tuple[int, int, int]) -> View:
    """The view of rows x [B, H W C] of grey levels in [0, 1]; it can be traced.

    Args:
      shape: (H, W, C).
    """

    def view(x):
        return 2 * x.reshape(-1, *shape) - 1

    return view


def reconstructions(
    encode: Encode,
    decode: Decode,
    batch: Batch,
    *,
    view: View,
    corrupt: Corrupt | None = None,
    columns: int = 16,
) -> Measure:
    """Rows of originals above what is decoded from their codes, 'reconstructions'.

    Args:
      encode: (key, state, batch) -> codes.
      decode: (key, state, codes) -> x.
      batch: {'x': [B, ...]}; the last examples, which would not fill a row, are left out.
      view: shows x as images.
      corrupt: (key, x) -> x of one example. Where given, the corrupted examples are encoded, and a
        row between the two shows them.
      columns: examples in a row.
    """
    columns = min(columns, len(batch['x']))
    whole_rows = len(batch['x']) // columns * columns
    x = batch['x'][:whole_rows]

    @jit_briefly
    def draw_rows(key, state):
        corrupt_key, encode_key, decode_key = jax.random.split(key, 3)
        if corrupt is None:
            code = encode(encode_key, state, {'x': x})
            shown = (x, decode(decode_key, state, code))
        else:
            corrupted = jax.vmap(corrupt)(jax.random.split(corrupt_key, len(x)), x)
            code = encode(encode_key, state, {'x': corrupted})
            shown = (x, corrupted, decode(decode_key, state, code))
        return [view(rows) for rows in shown]

    def measure(key, state):
        rows = draw_rows(key, state)
        images = np.stack([to_pixels(each) for each in rows])  # [2 or 3, N, H, W, C]
        blocks = images.reshape(len(images), -1, columns, *images.shape[2:]).swapaxes(0, 1)
        tiles = blocks.reshape(-1, *images.shape[2:])
        return {'reconstructions': tile(tiles, columns=columns)}

    return measure


def straight_line(weight: Array, start: Array, end: Array) -> Array:
    """(1 - weight) start + weight end."""
    return (1 - weight) * start + weight * end


def great_circle(weight: Array, start: Array, end: Array) -> Array:
    """From start to end at even angles, for codes that are normal noise.

    On a straight line the middle would be shorter than such noise is. (Shoemake 1985, as Song et
    al. 2021, arXiv:2010.02502, appendix D.5.)

    Args:
      weight: in [0, 1], of a shape that broadcasts with the codes.
      start, end: codes [..., B, ...]; the first axis beside that of the weight is B.
    """
    axes = tuple(range(2, start.ndim))
    lengths = [jnp.sqrt(jnp.sum(x**2, axes, keepdims=True)) for x in (start, end)]
    cosine = jnp.sum(start * end, axes, keepdims=True) / (lengths[0] * lengths[1])
    angle = jnp.arccos(jnp.clip(cosine, -1 + 1e-6, 1 - 1e-6))
    return (jnp.sin((1 - weight) * angle) * start + jnp.sin(weight * angle) * end) / jnp.sin(angle)


def interpolations(
    encode: Encode,
    decode: Decode,
    batch: Batch,
    *,
    view: View,
    steps: int = 9,
    mix: Mix = straight_line,
) -> Measure:
    """Decoded lines between the codes of two examples, 'interpolations'.

    Each row begins and ends with the two examples themselves.

    Args:
      encode: (key, state, batch) -> codes.
      decode: (key, state, codes) -> x.
      batch: {'x': [B, ...]}; each example of its first half is paired with one of its second.
      view: shows x as images.
      steps: codes of a line, both ends included.
      mix: (weight [steps, 1, ...], start [1, B / 2, ...], end) -> codes [steps, B / 2, ...].
    """
    half = len(batch['x']) // 2
    x = batch['x'][: 2 * half]

    @jit_briefly
    def draw_columns(key, state):
        encode_key, decode_key = jax.random.split(key)
        code = encode(encode_key, state, {'x': x})
        weight = np.linspace(0, 1, steps, dtype=np.float32).reshape(-1, *[1] * code.ndim)
        start = code[None, :half]
        end = code[None, half:]
        line = mix(weight, start, end)  # [steps, half, ...]
        decoded = decode(decode_key, state, line.reshape(-1, *code.shape[1:]))
        return view(x[:half]), view(decoded), view(x[half:])

    def measure(key, state):
        columns = np.concatenate([to_pixels(images) for images in draw_columns(key, state)])
        rows = columns.reshape(steps + 2, half, *columns.shape[1:]).swapaxes(0, 1)
        tiles = rows.reshape(-1, *rows.shape[2:])
        return {'interpolations': tile(tiles, columns=steps + 2)}

    return measure


def manifold(decode: Decode, *, view: View, n: int = 20) -> Measure:
    """What n x n codes of two entries decode to, 'manifold'.

    The codes lie at the quantiles of the standard normal distribution; the first entry grows to the
    right, the second upwards, as in a scatter of the codes. (Kingma and Welling 2014,
    arXiv:1312.6114, figure 4.)

    Args:
      decode: (key, state, codes) -> x.
      view: shows x as images.
      n: codes along each axis.
    """
    from scipy.stats import norm

    quantiles = norm.ppf((np.arange(n) + 0.5) / n)
    codes = np.stack(np.meshgrid(quantiles, quantiles[::-1]), -1)
    codes = codes.reshape(-1, 2).astype(np.float32)

    @jit_briefly
    def draw(key, state):
        return view(decode(key, state, codes))

    def measure(key, state):
        return {'manifold': tile(to_pixels(draw(key, state)), columns=n, height=32)}

    return measure
