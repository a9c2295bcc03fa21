"""The pictures of runs, made small enough that a page can hold those of many."""

import base64
import io
import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from launch.viewer.runs import Run

MOST = 600  # on a page
SIDE = 320  # pixels


class Picture(NamedTuple):
    run: int  # its number on the page
    probe: str
    step: int
    path: pathlib.Path


class Embedded(NamedTuple):
    address: str  # a data URI
    width: int
    height: int


def found(number: int, run: Run) -> list[Picture]:
    """The pictures that a run's probes drew, by probe and step."""
    named = [
        (re.fullmatch(r'(.+)_(\d{8,})\.(png|gif)', path.name), path)
        for path in run.workdir.glob('samples/*')
    ]
    return sorted(Picture(number, match[1], int(match[2]), path) for match, path in named if match)


def chosen(pictures: Sequence[Picture], most: int = MOST) -> list[Picture]:
    """At most so many: of each probe the last step, then steps between, the same ones for every
    run."""
    steps: dict[str, set[int]] = {}
    for picture in pictures:
        steps.setdefault(picture.probe, set()).add(picture.step)
    ranks = {
        (probe, step): rank
        for probe in steps
        for rank, step in enumerate(_halved(sorted(steps[probe])))
    }
    rank = lambda picture: ranks[picture.probe, picture.step]
    return sorted(sorted(pictures, key=rank)[:most])


def _halved(steps):
    """The last, the first, then whatever lies in the middle of the widest gap."""
    order = [len(steps) - 1] + [0] * (len(steps) > 1)
    while len(order) < len(steps):
        known = sorted(order)
        gaps = [(b - a, -a) for a, b in zip(known, known[1:], strict=False)]
        width, start = max(gaps)
        order.append(width // 2 - start)
    return [steps[i] for i in order]


def embedded(path: pathlib.Path) -> Embedded | None:
    """The picture, or the last frame of a film, no longer than SIDE; None where the file is torn."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.seek(getattr(image, 'n_frames', 1) - 1)
            frame = image.convert('RGB')
    except (OSError, EOFError, SyntaxError, ValueError):  # what Pillow says of a torn file
        return None
    frame.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    content = io.BytesIO()
    frame.save(content, 'WEBP', quality=80, method=2)
    return Embedded(
        f'data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}', *frame.size
    )
