"""A user's own images: a folder, a zip file or an npz file as a sequence of named images.

Letters: N images, H x W pixels, C channels.
"""

import errno
import hashlib
import json
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from genjax.data.images.errors import one_line
from genjax.data.images.npz import read_npz
from genjax.home import expanded

LABELS = 'dataset.json'  # of StyleGAN and EDM
# What systems leave beside images. Names that begin with a dot are left out as well.
LEFT_BY_SYSTEMS = ('__MACOSX', 'Thumbs.db', 'desktop.ini')
IS_UTF8 = 0x800  # of an entry of a zip file: its name is (PKWARE, APPNOTE 4.4.4)
TRAIN = 'train'
TESTS = ('test', 'val', 'validation')  # names of a folder of images to test on


class ImageFiles(NamedTuple):
    """Images by name, none of them read yet.

    Attributes:
      path: of the folder or file.
      names: of the N images, in ascending order: within the folder or zip file, parted by '/'.
      labels: int32 [N]; None where there are none.
      classes: names of the labels; () without.
      decoded: i -> levels of the i-th image, uint8 [H, W, C] of its own size, with C = 1 where
        every pixel is grey and else 3. It raises a ValueError of one line where that would lose
        something or the file is damaged, see `pixels.decode_grey_or_rgb`.
      encoded: whether the images are image files, which take a while to decode.
      unreadable: a line for each file that cannot be one of the images, seen without reading it.
      identity: hex digits that change where a file is added, removed, renamed or written.
    """

    path: pathlib.Path
    names: tuple[str, ...]
    labels: np.ndarray | None
    classes: tuple[str, ...]
    decoded: Callable[[int], np.ndarray]
    encoded: bool
    unreadable: tuple[str, ...]
    identity: str


class Listing(NamedTuple):
    """What a folder or a zip file holds."""

    stamps: dict[str, Any]  # file -> what changes where it is written
    problems: dict[str, str]  # what cannot be read -> why, as a predicate
    read: Callable[[str], bytes]  # file -> its contents


def open_files(path: str | os.PathLike) -> ImageFiles:
    """Opens a folder, a zip file or an npz file of images.

    Of a folder and a zip file each file is an image, however deep, but for names that begin with a
    dot and what some systems leave behind (LEFT_BY_SYSTEMS). A folder that holds nothing but one
    folder stands for that. The labels are

    - those of `dataset.json`, where there is one: {"labels": [["00000/img.png", 3], ...]}, or
      {"labels": null} for none (Karras et al.'s StyleGAN and EDM);
    - or else the names of the folders, sorted, where there are two or more; what lies deeper
      belongs to the outermost. Below folders `train` and `test` (or `val`, `validation`) they are
      those within.

    Links are followed. An npz file is as `read_npz` says.

    Args:
      path: of it, in which ~ stands for the home folder.

    Raises:
      ValueError: it holds no files, or is damaged, or its labels are no labels.
      OSError: it is not there, or cannot be read.
    """
    path = expanded(os.fspath(path))
    if path.is_dir():
        return _image_files(path, _folder(path))
    if not path.exists():
        raise FileNotFoundError(f'there is no folder, zip or npz file {path}')
    if not zipfile.is_zipfile(path):
        raise ValueError(f'{path} is no folder, zip or npz file')
    stamp = _stamp(path.stat())
    if path.suffix == '.npz':
        return _rows(path, stamp)
    return _image_files(path, _zip_file(path, stamp))


def parts(names: Sequence[str]) -> tuple[str, str] | None:
    """The folders at the top to train and to test on; None where there are not both."""
    tops = {name.partition('/')[0] for name in names if '/' in name}
    test = next((name for name in TESTS if name in tops), None)
    return (TRAIN, test) if TRAIN in tops and test else None


def _folder(path: pathlib.Path) -> Listing:
    stamps = {}
    problems = {}
    for name, found in _walk(path, '', frozenset()):
        if isinstance(found, str):
            problems[name] = found
        else:
            stamps[name] = found

    def read(name):
        return (path / name).read_bytes()

    return Listing(stamps, problems, read)


def _walk(
    folder: pathlib.Path, prefix: str, above: frozenset[tuple[int, int]]
) -> Iterator[tuple[str, Any]]:
    """Each file below a folder by its name, with its stamp, or why it cannot be read.

    Args:
      folder: of it.
      prefix: that the names begin with.
      above: device and inode of each folder that this one lies in.
    """
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        yield prefix.removesuffix('/'), 'is a link in a circle'
        return
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if _is_left_out(entry.name):
            continue
        name = prefix + os.fsencode(entry.name).decode('utf-8', 'backslashreplace')
        if not _is_utf8(entry.name):
            yield name, 'has a name that is not UTF-8'
            continue
        try:
            if entry.is_dir():
                yield from _walk(folder / entry.name, f'{name}/', above | {here})
            elif entry.is_file():
                yield name, _stamp(entry.stat())
            else:
                is_link = entry.is_symlink()
                yield name, 'is a link to nothing' if is_link else 'is no regular file'
        except OSError as error:
            circle = error.errno == errno.ELOOP
            yield name, 'is a link in a circle' if circle else f'cannot be read: {error.strerror}'


def _zip_file(path: pathlib.Path, stamp: Any) -> Listing:
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:
        raise ValueError(f'{path} is damaged: {one_line(error)}') from None
    members = {}
    problems = {}
    for member in archive.infolist():
        name = _name_in_zip(member)
        if member.is_dir() or any(map(_is_left_out, name.split('/'))):
            continue
        if name in members:
            problems[name] = 'is there twice'
        members[name] = member
    stamps = {name: stamp for name in members if name not in problems}

    def read(name):
        return archive.read(members[name])

    return Listing(stamps, problems, read)


def _name_in_zip(member: zipfile.ZipInfo) -> str:
    """The name of an entry, in which Info-ZIP writes UTF-8 without saying so."""
    if member.flag_bits & IS_UTF8:
        return member.filename
    try:
        return member.filename.encode('cp437').decode('utf-8')
    except UnicodeError:
        return member.filename


def _rows(path: pathlib.Path, stamp: Any) -> ImageFiles:
    """The images of an npz file."""
    # Imports Pillow, which digits do without.
    from genjax.data.images import pixels

    arrays = read_npz(path)
    order = sorted(range(len(arrays.names)), key=arrays.names.__getitem__)
    names = tuple(arrays.names[row] for row in order)
    labels = None
    classes = ()
    if arrays.labels is not None:
        labels = arrays.labels[order]
        classes = tuple(map(str, range(labels.max() + 1)))

    def decoded(i):
        image = np.array(arrays.images[order[i]])
        with_channels = image[..., None] if image.ndim == 2 else image
        try:
            return pixels.grey_or_rgb(with_channels)
        except ValueError as error:
            raise ValueError(_line(path, names[i], str(error))) from None

    return ImageFiles(path, names, labels, classes, decoded, False, (), _digest(path, stamp))


def _image_files(path: pathlib.Path, listing: Listing) -> ImageFiles:
    # Imports Pillow, which digits do without.
    from genjax.data.images import pixels

    if not listing.stamps and not listing.problems:
        raise ValueError(f'{path} holds no files')
    prefix = _lone_folders(listing.stamps)
    problems = dict(listing.problems)
    files = sorted(name.removeprefix(prefix) for name in listing.stamps)
    if LABELS in files:
        files.remove(LABELS)
        content = listing.read(prefix + LABELS)
        found, classes = _labels_of_json(path / (prefix + LABELS), content)
        missing = f'has no label in {LABELS}'
    else:
        found, classes = _labels_of_folders(files)
        missing = 'lies in none of the folders that are its label'

    folders = parts(files)
    for name in files:
        if found is not None and name not in found:
            problems[prefix + name] = missing
        elif folders and name.partition('/')[0] not in folders:
            problems[prefix + name] = f'lies in neither {folders[0]} nor {folders[1]}'
    names = tuple(name for name in files if prefix + name not in problems)
    labels = None if found is None else np.array([found[name] for name in names], np.int32)

    def decoded(i):
        try:
            content = listing.read(prefix + names[i])
        except Exception as error:
            why = f'cannot be read: {one_line(error)}'
            raise ValueError(_line(path, prefix + names[i], why)) from None
        try:
            if not content:
                raise ValueError('is empty')
            return pixels.decode_grey_or_rgb(content)
        except ValueError as error:
            raise ValueError(_line(path, prefix + names[i], str(error))) from None

    lines = tuple(_line(path, name, why) for name, why in sorted(problems.items()))
    identity = _digest(path, sorted(listing.stamps.items()), lines)
    return ImageFiles(path, names, labels, classes, decoded, True, lines, identity)


def _lone_folders(names: Sequence[str]) -> str:
    """'a/b/' where a holds nothing but b, and b more than one folder or a file."""
    shared = os.path.commonprefix([os.path.dirname(name) + '/' for name in names])
    return shared[: shared.rfind('/') + 1].lstrip('/')


def _labels_of_folders(
    names: Sequence[str],
) -> tuple[dict[str, int] | None, tuple[str, ...]]:
    """{file: label}, and the names of the labels, by the outermost folders; None without labels."""
    folders = parts(names)
    folder_of = {}
    for name in names:
        top, _, rest = name.partition('/')
        inside = rest if folders and top in folders else name
        folder, slash, _ = inside.partition('/')
        if slash:
            folder_of[name] = folder
    classes = tuple(sorted(set(folder_of.values())))
    if len(classes) < 2:
        return None, ()
    label = {folder: i for i, folder in enumerate(classes)}
    return {name: label[folder] for name, folder in folder_of.items()}, classes


def _labels_of_json(
    path: pathlib.Path, content: bytes
) -> tuple[dict[str, int] | None, tuple[str, ...]]:
    """{file: label}, and the names of the labels, by `dataset.json`; None without labels.

    Files that it names and that are not there are no error: a set may be a part of another.

    Raises:
      ValueError: it is something else.
    """
    try:
        pairs = json.loads(content)['labels']
        labels = None if pairs is None else {name.replace('\\', '/'): n for name, n in pairs}
    except Exception:
        raise ValueError(
            f'{path} is not {{"labels": [["FILE", 3], ...]}} or {{"labels": null}}'
        ) from None
    if not labels:
        return None, ()
    for name, label in labels.items():
        if type(label) is not int or not 0 <= label < 2**31 - 1:
            raise ValueError(f'{path} gives {name} the label {label}; labels are whole numbers')
    return labels, tuple(map(str, range(max(labels.values()) + 1)))


def _is_left_out(name: str) -> bool:
    return name.startswith('.') or name in LEFT_BY_SYSTEMS


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _digest(path: pathlib.Path, *contents: Any) -> str:
    identity = (str(path.resolve()), *contents)
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:16]


def _line(path: pathlib.Path, name: str, why: str) -> str:
    """What is wrong with a file, in one line whatever its name."""
    text = f'{path}/{name}'
    return f'{text if text.isprintable() else ascii(text)} {why}'
