"""Pictures of what a model does, as functions (key, state) -> {name: picture} that a Probe can
hold."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from genjax.base import Key, State

Measure = Callable[[Key, State], dict[str, Any]]


def to_pixels(images: Any) -> np.ndarray:
    """uint8 grey levels 0 to 255 of images in [-1, 1], which are clipped; any shape."""
    return np.clip(np.rint((np.asarray(images, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)


def tile(images: np.ndarray, *, columns: int, height: int = 64, gap: int = 2) -> np.ndarray:
    """Lays images [N, H, W, C] in rows, each enlarged by a whole factor to about `height` pixels:
    [H', W', 3]."""
    factor = max(1, round(height / images.shape[1]))
    images = images.repeat(factor, 1).repeat(factor, 2)
    n, h, w, c = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows, h + gap, columns, w + gap, c), 255, np.uint8)
    for i, image in enumerate(images):
        sheet[i // columns, :h, i % columns, :w] = image
    sheet = sheet.reshape(rows * (h + gap), columns * (w + gap), c)[: -gap or None, : -gap or None]
    return np.broadcast_to(sheet, (*sheet.shape[:2], 3)) if c == 1 else sheet


def drawn(figure: Any) -> np.ndarray:
    """The pixels of a matplotlib Figure, uint8 [H, W, 3]; not one of pyplot's, which keeps a list
    of all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def grid(sample: Callable[[Key, State, int], Any], *, n: int) -> Measure:
    """n samples, images in [-1, 1], as a square of pictures."""
    draw = jax.jit(sample, static_argnums=2)
    columns = math.isqrt(n - 1) + 1

    def measure(key, state):
        return {'grid': tile(to_pixels(draw(key, state, n)), columns=columns)}

    return measure


def film(trajectory: Callable[[Key, State, int], Any], *, n: int) -> Measure:
    """Frames [T, n, H, W, C] in [-1, 1] of samples as they arise: a moving square, and a still of a
    few moments.

    The still has a row for each of the first eight samples and a column for each of eight moments.
    """
    draw = jax.jit(trajectory, static_argnums=2)
    columns = math.isqrt(n - 1) + 1

    def measure(key, state):
        frames = to_pixels(draw(key, state, n))  # [T, n, H, W, C]
        moments = frames[np.linspace(0, len(frames) - 1, 8).round().astype(int), :8]
        still = tile(np.concatenate(moments.swapaxes(0, 1)), columns=8)
        return {
            'film': np.stack([tile(frame, columns=columns) for frame in frames]),
            'moments': still,
        }

    return measure


def strip(forward: Callable[[Key, Any], Any], images: Any) -> Measure:
    """What forward makes of images [N, H, W, C], [T, N, H, W, C]: a row for each image."""

    def measure(key, state):
        del state
        steps = to_pixels(jax.jit(forward)(key, images))
        return {'strip': tile(np.concatenate(steps.swapaxes(0, 1)), columns=len(steps))}

    return measure
