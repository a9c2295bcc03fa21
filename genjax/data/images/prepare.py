"""Image sets of TensorFlow Datasets, prepared, opened and decoded without TensorFlow.

The builders here are the stock ones (names, versions, features, record keys and checksums) with an
extraction of their own, because the stock extraction and image encoding call TensorFlow. Import
this module where it is used: it imports tensorflow_datasets.
"""

import contextlib
import difflib
import gzip
import io
import itertools
import math
import os
import pathlib
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import requests
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
from tensorflow_datasets.image_classification import cifar, mnist

from genjax.home import data_folder, writable

RECORD = 1 + 3 * 32 * 32  # bytes of an example of CIFAR-10


class Mnist(mnist.MNIST, skip_registration=True):
    """MNIST from its four gzipped IDX files."""

    name = 'mnist'

    @property
    def urls(self) -> list[str]:
        kinds = 'images-idx3-ubyte.gz', 'labels-idx1-ubyte.gz'
        return [f'{self.URL}{split}-{kind}' for split in ('train', 't10k') for kind in kinds]

    def _split_generators(self, dl_manager):
        train_images, train_labels, test_images, test_labels = dl_manager.download(self.urls)
        return {
            'train': self._generate_examples(train_images, train_labels),
            'test': self._generate_examples(test_images, test_labels),
        }

    def _generate_examples(self, image_path, label_path):
        images, labels = read_idx(image_path, 28, 28), read_idx(label_path)
        _check_labels(label_path, labels, len(images))
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield index, {'image': _png(image), 'label': int(label)}


class FashionMnist(Mnist, mnist.FashionMNIST, skip_registration=True):
    """Fashion-MNIST, whose files have the names and the format of MNIST's."""

    name = 'fashion_mnist'


class Cifar10(cifar.Cifar10, skip_registration=True):
    """CIFAR-10 from its binary archive: records of a label byte and 3 x 32 x 32 pixels."""

    name = 'cifar10'

    @property
    def urls(self) -> list[str]:
        return [self._cifar_info.url]

    def _split_generators(self, dl_manager):
        info = self._cifar_info
        (archive,) = dl_manager.download(self.urls)
        splits = {'train': info.train_files, 'test': info.test_files}
        (label_file,) = info.label_files
        files = _unpacked(archive, info.prefix, [label_file, *sum(splits.values(), [])])
        if len(names := files[label_file].decode('utf-8', 'replace').split()) != 10:
            raise ValueError(f'{archive} names {len(names)} classes; 10 are needed')
        self.info.features['label'].names = names
        join = lambda names: b''.join(files[name] for name in names)
        return {
            split: self._generate_examples(archive, split, join(names))
            for split, names in splits.items()
        }

    def _generate_examples(self, archive, split, raw):
        if len(raw) % RECORD or not raw:
            raise ValueError(
                f'{archive} has {len(raw)} bytes to {split} on; records are of {RECORD}'
            )
        records = np.frombuffer(raw, np.uint8).reshape(-1, RECORD)
        _check_labels(archive, records[:, 0], len(records))
        for index, record in enumerate(records):
            image = record[1:].reshape(3, 32, 32).transpose(1, 2, 0)
            yield (
                index,
                {'id': f'{split}_{index:05d}', 'image': _png(image), 'label': int(record[0])},
            )


OURS = {builder.name: builder for builder in (Mnist, FashionMnist, Cifar10)}


def read_idx(path: os.PathLike, *shape: int) -> np.ndarray:
    """The array uint8 [N, *shape] in a gzipped IDX file.

    Raises:
      ValueError: the file is damaged, or holds something else.
    """
    try:
        raw = gzip.decompress(pathlib.Path(path).read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f'{path} is damaged or cut short: {error}') from None
    start = bytes([0, 0, 8, 1 + len(shape)])
    head, body = raw[4 : 8 + 4 * len(shape)], raw[8 + 4 * len(shape) :]
    if raw[:4] != start:
        raise ValueError(
            f'{path} starts with {raw[:4]!r}; an IDX file of bytes, {1 + len(shape)} axes, with {start!r}'
        )
    count, *found = np.frombuffer(head.ljust(4 + 4 * len(shape), b'\0'), '>i4').tolist()
    if tuple(found) != shape or count < 1 or len(body) != count * math.prod(shape):
        raise ValueError(
            f'{path} has {len(body)} bytes as {[count, *found]}; {["N", *shape]} are needed'.replace(
                "'", ''
            )
        )
    return np.frombuffer(body, np.uint8).reshape(count, *shape)


def _check_labels(path: os.PathLike, labels: np.ndarray, images: int) -> None:
    if len(labels) != images or labels.max() > 9:
        raise ValueError(
            f'{path} has {len(labels)} labels up to {labels.max()}; {images} of 0 to 9 are needed'
        )


def _unpacked(archive: os.PathLike, folder: str, names: list[str]) -> dict[str, bytes]:
    """Files of a folder in a tar archive, in one pass: each step back would decompress from the
    start."""
    try:
        with tarfile.open(archive, 'r:gz') as tar:
            files = {
                member.name: tar.extractfile(member).read() for member in tar if member.isfile()
            }
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f'{archive} is damaged or cut short: {_line(error)}') from None
    if missing := [name for name in names if folder + name not in files]:
        raise ValueError(f'{archive} holds no {folder}{missing[0]}')
    return {name: files[folder + name] for name in names}


def _line(error: Exception) -> str:
    return ' '.join(str(error).split()) or type(error).__name__


def _png(image: np.ndarray) -> io.BytesIO:
    """An image [H, W] or [H, W, 3] as an open PNG file, which TFDS stores as it is, without
    TensorFlow."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format='png')
    file.seek(0)
    return file


def open_set(name: str, data_dir: str = '') -> tfds.core.DatasetBuilder:
    """The prepared set of that name; mnist, fashion_mnist and cifar10 are prepared first where they
    are not.

    Files already downloaded are looked for in data_dir/NAME, data_dir/downloads/manual and
    data_dir; the rest is downloaded. TFDS's registered checksums hold for both. Nothing that exists
    is overwritten, and a set appears under its own name only when it is complete.

    Args:
      name: of the set, as TFDS spells it (`name/config:version`).
      data_dir: folder of prepared sets, laid out by TFDS; '' means TFDS's default. What has to be
        prepared goes there, or to TFDS's default where data_dir is read-only; only then, or without
        data_dir, is a home needed.

    Raises:
      ValueError: there is no set of that name, or what is there is damaged; a file has another
        checksum than the registered one, or is none of the set.
      FileNotFoundError: the set is neither prepared nor within reach, or there is nowhere to
        prepare it.
    """
    given = data_folder(data_dir)
    builder = _builder(name, given)
    if not builder.data_path.exists() and not (writable(given) and writable(given / name)):
        builder = _builder(name, _home(name, given))
    if not builder.data_path.exists():
        _prepare(builder, [given / name, given / 'downloads' / 'manual', given])
    with _readable(builder.data_path):
        return tfds.builder_from_directory(builder.data_path)


def open_records(builder: tfds.core.DatasetBuilder, part: str) -> Sequence[dict[str, Any]]:
    """The records of a part by index, with every image as the file that is stored.

    TFDS would decode them, by whichever of OpenCV and Pillow is installed.

    Raises:
      ValueError: the record files are damaged, or of a format that allows no random access.
    """
    features = dict(builder.info.features)
    files = [name for name, feature in features.items() if isinstance(feature, tfds.features.Image)]
    try:
        return builder.as_data_source(
            part, decoders={name: tfds.decode.SkipDecoding() for name in files}
        )
    except NotImplementedError:
        kind = builder.info.file_format.value
        raise ValueError(
            f'{builder.data_path} holds {kind} files; random access needs array_record: prepare it elsewhere'
        ) from None
    except RuntimeError as error:
        raise ValueError(f'{builder.data_path} is damaged: {error}') from None


def _home(name: str, given: pathlib.Path) -> pathlib.Path:
    """TFDS's default, where a set goes that is not prepared in a folder that is read-only."""
    try:
        return data_folder()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{name} is not prepared in {given}, which is read-only; {error}'
        ) from None


def _builder(name: str, folder: pathlib.Path) -> tfds.core.DatasetBuilder:
    if name in OURS:
        with _readable(folder / name):
            return OURS[name](data_dir=folder)
    try:
        return tfds.builder(name, data_dir=folder)
    except ValueError:  # no such name, or no name at all: TFDS takes many lines to say so
        known = {'digits', *tfds.list_builders(with_community_datasets=False), *_folders(folder)}
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0)
        raise ValueError(
            f'there is no set {name!r}, nor one prepared in {folder}; nearest: {near[0]}'
        ) from None


@contextlib.contextmanager
def _readable(path: pathlib.Path) -> Iterator[None]:
    """What is wrong with the files of a prepared set can raise anything; here it is a ValueError of
    one line."""
    try:
        yield
    except Exception as error:
        raise ValueError(f'{path} holds no set as TFDS prepares it: {_line(error)}') from None


def _folders(folder: pathlib.Path) -> Iterator[str]:
    """Names of the sets prepared in folder, with and without a configuration."""
    files = itertools.chain(
        folder.glob('*/*/dataset_info.json'), folder.glob('*/*/*/dataset_info.json')
    )
    return (file.relative_to(folder).parts[0] for file in files)


def _prepare(builder: tfds.core.DatasetBuilder, places: list[pathlib.Path]) -> None:
    if type(builder) is not OURS.get(builder.name):
        command = f'tfds build {builder.name} --data_dir={builder.data_dir_root} --file_format=array_record'
        raise FileNotFoundError(
            f'{builder.name} is not prepared in {builder.data_path}; prepare it by: {command}'
        )
    files = [url.rpartition('/')[2] for url in builder.urls]
    found = next(
        (place for place in places if any((place / file).is_file() for file in files)), places[0]
    )
    missing = [file for file in files if not (found / file).is_file()]
    if missing and not _reachable(builder.urls[0]):
        wanted = f'put {", ".join(missing)} into {found}'
        raise FileNotFoundError(
            f'{builder.name} is not prepared and its source is out of reach; {wanted}'
        )
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    config = tfds.download.DownloadConfig(
        manual_dir=found, force_checksums_validation=True, try_download_gcs=False
    )
    with (
        tempfile.TemporaryDirectory() as none
    ):  # where nothing is downloaded nothing but the set shall appear
        options = dict(download_dir=None if missing else none, download_config=config)
        try:
            builder.download_and_prepare(file_format='array_record', **options)
        except NonMatchingChecksumError as error:
            raise ValueError(_line(error).partition(' To debug')[0]) from None
        except OSError:
            if (
                not builder.data_path.exists()
            ):  # else another process, started at the same time, came first
                raise


def _reachable(url: str) -> bool:
    """Whether the source answers at all; TFDS alone would try for minutes before it says no."""
    try:
        requests.head(url, timeout=10)
    except requests.exceptions.RequestException:
        return False
    return True
