"""Image files brought to one size, one after the other, by several processes where it takes long.

Threads would be no help: of a small file Pillow spends more time in Python than in its libraries.

Letters: N images, H x W pixels, C channels.
"""

import contextlib
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np

from genjax.data.images.files import ImageFiles, open_files

PATIENCE = 1.0  # seconds for which this process decodes alone; to start others takes as long
TOGETHER = 2**18  # bytes of images that a process hands over at a time, or one image


def to_square(image: np.ndarray, size: int) -> np.ndarray:
    """The middle of an image as a square of so many pixels, uint8 [size, size, C].

    The largest square in the middle is cut out (an odd pixel goes with what is below or to the
    right) and resampled by Pillow's Lanczos filter, which is antialiased, as StyleGAN's and EDM's
    tools do; a smaller image is enlarged by it. A square of that size stays as it is.

    Args:
      image: uint8 [H, W, C], C = 1 or 3.
      size: in pixels.
    """
    # Imports Pillow, which digits do without.
    from PIL import Image

    height, width, channels = image.shape
    side = min(height, width)
    top = (height - side) // 2
    left = (width - side) // 2
    square = image[top : top + side, left : left + side]
    if side == size:
        return square
    levels = square[..., 0] if channels == 1 else square
    resized = Image.fromarray(levels).resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(resized).reshape(size, size, channels)


def decode_in_order(files: ImageFiles, size: int | None) -> Iterator[np.ndarray | str]:
    """Each image, uint8 [H, W, C], or one line of why it cannot be read.

    Args:
      files: of the images.
      size: H and W, see `to_square`; None: each keeps its own.

    Raises:
      ValueError: the files changed meanwhile.
      ChildProcessError: a process that decodes was ended.
    """
    start = time.perf_counter()
    n = len(files.names)
    for i in range(n):
        if files.encoded and time.perf_counter() - start > PATIENCE:
            break
        yield _decoded(files, size, i)
    else:
        return
    yield from _by_processes(files, size, i)


def _decoded(files, size, i):
    try:
        image = files.decoded(i)
    except ValueError as error:
        return str(error)
    return image if size is None else to_square(image, size)


def _by_processes(files, size, first):
    """What `decode_in_order` gives from an image on.

    Of several processes each decodes every so manieth part of the images and hands it over by its
    standard output, which holds little: so few images are ahead.
    """
    together = 1 if size is None else max(1, TOGETHER // (3 * size**2))
    starts = range(first, len(files.names), together)
    count = min(os.cpu_count() or 1, len(starts))
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(
                _process(os.fspath(files.path), files.identity, size, starts[k::count], together)
            )
            for k in range(count)
        ]
        for part in range(len(starts)):
            worker = workers[part % count]
            try:
                images = pickle.load(worker.stdout)
            except EOFError:
                raise ChildProcessError(
                    f'a process that decodes {files.path} ended with {worker.wait()}'
                ) from None
            if isinstance(images, ValueError):
                raise images
            yield from images


@contextlib.contextmanager
def _process(path, identity, size, starts, together) -> Iterator[subprocess.Popen]:
    """A process that hands over parts of the images; it ends with the block."""
    work = [path, identity, size, [starts.start, starts.stop, starts.step], together]
    folders = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
    with subprocess.Popen(
        [sys.executable, '-m', 'genjax.data.images.decoding', json.dumps(work)],
        env=os.environ | {'PYTHONPATH': folders},  # the modules of this process
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        process_group=0,  # Ctrl-C is for this process, which ends the others
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def main(argv: Sequence[str]) -> None:
    """Writes parts of the images to the standard output, each a pickle of a list."""
    path, identity, size, starts, together = json.loads(argv[0])
    files = open_files(path)
    output = sys.stdout.buffer
    if files.identity != identity:
        pickle.dump(ValueError(f'{path} changed while it was read'), output)
        return
    for start in range(*starts):
        rows = range(start, min(start + together, len(files.names)))
        pickle.dump([_decoded(files, size, i) for i in rows], output)
        output.flush()


if __name__ == '__main__':
    main(sys.argv[1:])
