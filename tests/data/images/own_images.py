"""Folders of image files, of all that is read and much that is not, and what equals them."""

import os
import pathlib
import zipfile

import numpy as np
from PIL import Image

from genjax.data.images.decoding import to_square
from genjax.data.images.files import open_files
from tests.data.images.tiny_sets import png

# (mode, suffix, options of Pillow)
KINDS = (
    ('RGB', 'png', {}),
    ('L', 'png', {}),
    ('1', 'png', {}),
    ('P', 'png', {}),
    ('LA', 'png', {}),
    ('RGBA', 'png', {}),
    ('RGB', 'jpg', {'quality': 90}),
    ('L', 'jpeg', {}),
    ('RGB', 'webp', {'lossless': True}),
    ('RGB', 'bmp', {}),
)


def write_mixed(folder: pathlib.Path, n: int, *, labels: int = 3, seed: int = 0) -> list[str]:
    """Writes n images of all KINDS and of many sizes below folders that are labels; their names."""
    rng = np.random.default_rng(seed)
    names = []
    for i in range(n):
        mode, suffix, options = KINDS[i % len(KINDS)]
        height, width = rng.integers(3, 40, 2)
        levels = rng.integers(0, 256, (height, width, 3), np.uint8)
        deep = 'deep/er/' if i % 7 == 0 else ''
        name = f'kind {i % labels}/{deep}{i:03}.{suffix}'
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(levels).convert(mode.removesuffix('A'))
        image.convert(mode).save(path, **options)
        names.append(name)
    return sorted(names)


def write_zip(folder: pathlib.Path, path: pathlib.Path, below: str = '') -> pathlib.Path:
    """Writes the files of a folder into a zip file, below another folder."""
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for file in folder.rglob('*'):
            archive.write(file, below + str(file.relative_to(folder)))
    return path


def write_npz(folder: pathlib.Path, path: pathlib.Path, size: int) -> pathlib.Path:
    """Writes the images of a folder at a size as guided-diffusion has them, with their names."""
    files = open_files(folder)
    images = [to_square(files.decoded(i), size) for i in range(len(files.names))]
    rgb = np.stack([np.broadcast_to(image, (size, size, 3)) for image in images])
    np.savez(path, arr_0=rgb, arr_1=files.labels, names=np.array(files.names))
    return path


def write_bad(folder: pathlib.Path, times: int = 5) -> set[str]:
    """Writes twelve files, `times` times, none of which can be read; their names, as lines have
    them."""
    rng = np.random.default_rng(1)
    names = set()
    for i in range(times):
        place = folder / f'kind 0/bad {i}'
        place.mkdir(parents=True)
        levels = rng.integers(0, 256, (20, 30, 3), np.uint8)
        image = Image.fromarray(levels)
        for suffix in ('png', 'jpg', 'webp'):
            file = place / f'truncated.{suffix}'
            image.save(file)
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        (place / 'deep.png').write_bytes(png(levels.astype(int) * 257, 16, 2))
        more = [Image.fromarray(levels[::-1])]
        image.save(place / 'animated.webp', save_all=True, append_images=more)
        image.convert('CMYK').save(place / 'cmyk.jpg')
        clear = np.concatenate([levels, levels[..., :1]], 2)
        Image.fromarray(clear).save(place / 'clear.png')
        (place / 'empty.png').touch()
        (place / 'text.png').write_text('no image')
        (place / 'circle').symlink_to('..')
        (place / 'itself.png').symlink_to('itself.png')
        pathlib.Path(os.fsdecode(os.fsencode(place) + b'/\xff\xfe.png')).touch()
        names |= {f'kind 0/bad {i}/{file.name}' for file in place.iterdir() if file.name.isascii()}
        names.add(f'kind 0/bad {i}/\\xff\\xfe.png')
    return names


def snapshot(folder: pathlib.Path) -> dict[bytes, tuple]:
    """What is in a folder, links not followed: times, sizes and contents."""
    found = {}
    for place, _, files in os.walk(os.fsencode(folder)):
        for path in [place, *(os.path.join(place, file) for file in files)]:
            status = os.lstat(path)
            is_file = os.path.isfile(path) and not os.path.islink(path)
            content = pathlib.Path(os.fsdecode(path)).read_bytes() if is_file else b''
            found[path] = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, content)
    return found
