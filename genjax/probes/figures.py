"""Pictures of what a model does, as functions (key, state) -> {name: picture} for a Probe.

Pictures are uint8 pixels, [H, W, 3].
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.typing import ArrayLike

from genjax.base import Key, State
from genjax.compiling import jit_briefly

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Measure = Callable[[Key, State], dict[str, Any]]
Sample = Callable[[Key, State, int], jax.Array]  # (key, state, n) -> n draws, [n, ...]


def to_pixels(images: ArrayLike) -> np.ndarray:
    """uint8 grey levels 0 to 255 of images in [-1, 1], which are clipped; any shape."""
    levels = (np.asarray(images, np.float32) + 1) * 127.5
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def tile(images: np.ndarray, *, columns: int, height: int = 64, gap: int = 2) -> np.ndarray:
    """Lays images out in rows on white, each enlarged by a whole factor.

    Args:
      images: uint8 [N, H, W, C], C is 1 or 3.
      columns: images in a row.
      height: about that of an enlarged image, in pixels.
      gap: between images, in pixels.

    Returns:
      [H', W', 3].
    """
    factor = max(1, round(height / images.shape[1]))
    images = images.repeat(factor, 1).repeat(factor, 2)
    n, h, w, c = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows, h + gap, columns, w + gap, c), 255, np.uint8)
    for i, image in enumerate(images):
        sheet[i // columns, :h, i % columns, :w] = image
    sheet = sheet.reshape(rows * (h + gap), columns * (w + gap), c)
    sheet = sheet[: len(sheet) - gap, : sheet.shape[1] - gap]  # no gap at the lower and right edge
    return np.broadcast_to(sheet, (*sheet.shape[:2], 3)) if c == 1 else sheet


def render(figure: 'Figure') -> np.ndarray:
    """The pixels of a matplotlib Figure, [H, W, 3].

    The figure should not be one of pyplot's, which keeps a list of all.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def grid(sample: Sample, *, n: int) -> Measure:
    """n samples, images in [-1, 1], as a square of pictures.

    Args:
      sample: (key, state, n) -> images [n, H, W, C].
      n: how many.
    """
    draw = jit_briefly(sample, static_argnums=2)
    columns = math.isqrt(n - 1) + 1

    def measure(key, state):
        return {'grid': tile(to_pixels(draw(key, state, n)), columns=columns)}

    return measure


def side_by_side(samples: Mapping[str, Sample], *, n: int, columns: int) -> Measure:
    """n samples of each of several samplers, from one key, each a block of pictures with its name.

    Args:
      samples: name -> (key, state, n) -> images [n, H, W, C] in [-1, 1].
      n: how many of each.
      columns: images in a row of a block.
    """
    draws = {name: jit_briefly(sample, static_argnums=2) for name, sample in samples.items()}

    def measure(key, state):
        from matplotlib.figure import Figure

        sheets = {
            name: tile(to_pixels(draw(key, state, n)), columns=columns, height=48)
            for name, draw in draws.items()
        }
        height, width, _ = next(iter(sheets.values())).shape
        size = (len(sheets) * (width / 100 + 0.2), height / 100 + 0.4)
        figure = Figure(size, 100, layout='tight')
        for axes, (name, sheet) in zip(
            figure.subplots(1, len(sheets), squeeze=False)[0], sheets.items(), strict=True
        ):
            axes.imshow(sheet, interpolation='nearest')
            axes.set_title(name)
            axes.axis('off')
        return {'side_by_side': render(figure)}

    return measure


def film(trajectory: Sample, *, n: int) -> Measure:
    """Samples as they arise: a moving square, and a still of a few moments.

    The still has a row for each of the first eight samples and a column for each of eight moments.

    Args:
      trajectory: (key, state, n) -> frames [T, n, H, W, C] in [-1, 1].
      n: how many samples.
    """
    draw = jit_briefly(trajectory, static_argnums=2)
    columns = math.isqrt(n - 1) + 1

    def measure(key, state):
        frames = to_pixels(draw(key, state, n))  # [T, n, H, W, C]
        steps = np.linspace(0, len(frames) - 1, 8).round().astype(int)
        moments = frames[steps, :8]
        still = tile(np.concatenate(moments.swapaxes(0, 1)), columns=8)
        moving = np.stack([tile(frame, columns=columns) for frame in frames])
        return {'film': moving, 'moments': still}

    return measure


def strip(forward: Callable[[Key, ArrayLike], jax.Array], images: ArrayLike) -> Measure:
    """The steps of a forward process, a row for each image.

    Args:
      forward: (key, images) -> [T, N, H, W, C] in [-1, 1].
      images: [N, H, W, C].
    """
    compiled = jax.jit(forward)

    def measure(key, state):
        del state
        steps = to_pixels(compiled(key, images))
        return {'strip': tile(np.concatenate(steps.swapaxes(0, 1)), columns=len(steps))}

    return measure
