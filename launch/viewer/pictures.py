"""The pictures of runs, made small enough that a page can hold those of many."""

import base64
import io
import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image

from launch.viewer.runs import Run

MOST = 600  # on a page
SIDE = 320  # pixels
_FILE = re.compile(r'(.+)_(\d{8,})\.(png|gif)')  # a probe, and a step


class Picture(NamedTuple):
    run: int  # its number on the page
    probe: str
    step: int
    path: pathlib.Path


class Embedded(NamedTuple):
    address: str  # a data URI
    width: int
    height: int


def pictures_of(number: int, run: Run) -> list[Picture]:
    """The pictures that a run's probes drew, by probe and step."""
    pictures = []
    for path in run.workdir.glob('samples/*'):
        match = _FILE.fullmatch(path.name)
        if match:
            pictures.append(Picture(number, match[1], int(match[2]), path))
    return sorted(pictures)


def select(pictures: Sequence[Picture], most: int = MOST) -> list[Picture]:
    """At most so many: of each probe the last step, then steps between, the same ones for every
    run."""
    steps: dict[str, set[int]] = {}
    for picture in pictures:
        steps.setdefault(picture.probe, set()).add(picture.step)
    ranks = {}
    for probe in steps:
        for rank, step in enumerate(_by_bisection(sorted(steps[probe]))):
            ranks[probe, step] = rank
    ranked = sorted(pictures, key=lambda picture: ranks[picture.probe, picture.step])
    return sorted(ranked[:most])


def _by_bisection(steps: Sequence[int]) -> list[int]:
    """The last, the first, then whatever lies in the middle of the widest gap."""
    order = [len(steps) - 1]
    if len(steps) > 1:
        order.append(0)
    while len(order) < len(steps):
        known = sorted(order)
        gaps = [(after - before, -before) for before, after in zip(known, known[1:], strict=False)]
        width, negative_start = max(gaps)
        order.append(width // 2 - negative_start)
    return [steps[i] for i in order]


def embed(path: pathlib.Path) -> Embedded | None:
    """The picture, or the last frame of a film, of at most SIDE; None where the file is torn."""
    try:
        with Image.open(path) as image:
            image.seek(getattr(image, 'n_frames', 1) - 1)
            frame = image.convert('RGB')
    except (OSError, EOFError, SyntaxError, ValueError):  # what Pillow says of a torn file
        return None
    frame.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    content = io.BytesIO()
    frame.save(content, 'WEBP', quality=80, method=2)
    encoded = base64.b64encode(content.getvalue()).decode()
    return Embedded(f'data:image/webp;base64,{encoded}', *frame.size)
