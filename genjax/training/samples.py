"""The files in samples/: pictures, films, texts, tables, and the curve of the loss."""

import io
import json
import os
import pathlib
from collections.abc import Mapping

import numpy as np
from PIL import Image

from genjax.base import Embedding
from genjax.training.values import Values, is_number, is_picture, table_text

SAMPLES = 'samples'  # in the run directory


def write_samples(
    workdir: pathlib.Path | str,
    step: int,
    values: Values,
    pngs: Mapping[str, bytes] = {},
    *,
    below: str = '',
) -> list[pathlib.Path]:
    """Writes every picture, film, text, table and file among the values, named by step.

    Args:
      workdir: the run directory.
      step: of the state that the values are of.
      values: by name; numbers and embeddings are left out.
      pngs: pictures by name that were encoded already.
      below: the name of a folder within samples/, for what is not to replace the run's own.

    Returns:
      The files.
    """
    return write_values(pathlib.Path(workdir) / SAMPLES / below, step, values, pngs)


def write_values(
    folder: pathlib.Path, step: int, values: Values, pngs: Mapping[str, bytes] = {}
) -> list[pathlib.Path]:
    """Writes what `write_samples` does to a folder, which is made if need be; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, value in values.items():
        if not is_number(value) and not isinstance(value, Embedding):
            paths.append(_write_sample(folder, name, step, value, pngs.get(name)))
    return paths


def _write_sample(folder, name, step, value, encoded):
    """Writes one value, of a picture its encoded form where there is one; returns the path."""
    stem = name.replace('/', '_')
    if is_picture(value) and value.ndim == 3:
        content, suffix = encoded or png(value), 'png'
    elif is_picture(value):
        content, suffix = gif(value), 'gif'
    elif isinstance(value, bytes):
        own = pathlib.Path(stem)
        stem = own.stem
        content, suffix = value, own.suffix[1:]
    elif isinstance(value, str):
        content, suffix = value.encode(), 'txt'
    else:
        content, suffix = table_text(value, '\t').encode(), 'tsv'
    path = folder / f'{stem}_{step:08d}.{suffix}'
    write_atomically(path, content)
    return path


def write_atomically(path: pathlib.Path, content: bytes) -> None:
    """Writes a file that is there in whole or not at all, whenever the process is killed."""
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_bytes(content)
    os.replace(partial, path)


def to_levels(image: np.ndarray) -> np.ndarray:
    """Images in [-1, 1], which are clipped, as the nearest grey levels, uint8 of the same shape."""
    level = (np.asarray(image, np.float32) + 1) * 127.5
    return np.clip(np.rint(level), 0, 255).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 pixels [H, W, C], or of the last of [T, H, W, C]."""
    image = pixels if pixels.ndim == 3 else pixels[-1]
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, 'png')
    return file.getvalue()


def gif(pixels: np.ndarray) -> bytes:
    """A GIF file of uint8 pixels [T, H, W, C], which rests on its last frame."""
    frames = [Image.fromarray(frame.squeeze()) for frame in pixels]
    durations = [60] * (len(frames) - 1) + [2000]  # milliseconds
    file = io.BytesIO()
    frames[0].save(file, 'gif', save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return file.getvalue()


def write_curve(workdir: pathlib.Path | str) -> None:
    """Draws samples/loss.png: the losses of metrics.jsonl, training and test, against the step."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # a figure of its own: pyplot keeps a list of all

    workdir = pathlib.Path(workdir)
    lines = (workdir / 'metrics.jsonl').read_text('utf-8').splitlines()
    rows = [json.loads(line) for line in lines]
    figure = Figure((7, 4.5), 100, layout='tight')
    axes = figure.add_subplot(xlabel='step', ylabel='loss')
    for name, style in (('loss', '-'), ('test/loss', 'o--')):
        points = [(row['step'], row[name]) for row in rows if row.get(name) is not None]
        if points:
            steps, losses = zip(*points, strict=True)
            axes.plot(steps, losses, style, label=name, markersize=4)
    if axes.lines:
        axes.legend()
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
        write_atomically(workdir / SAMPLES / 'loss.png', png(pixels))
